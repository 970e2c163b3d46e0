"""The order of items across workers, as values. A sender labels each frame, and a receiver restores the order.

An element-wise stage labels each frame with the span of numbers that it represents (`frames.Span`). It sends a frame
even if no entry of the span is left. The spans cover all numbers without gaps. So a worker that reads all frames can
put them in order, can drop a frame that arrives twice, and knows at the end that no frame is missing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from typing import Any, NamedTuple

from .frames import Frame, Span

__all__ = ["Numbering", "Order", "Piece", "SpanSplitter", "normalized"]


class Piece(NamedTuple):
    """Entries, the span that they represent, and their numbers within it, as in `Frame`."""

    entries: list[Any]
    span: Span
    numbers: Sequence[int] | None

    def item_index(self, position: int) -> int:
        """The number, at the origin, of the item that made one entry."""
        return self.span.item_index(self.number(position))

    def number(self, position: int) -> int:
        """The number of one entry within the span."""
        return self.span.number(position, self.numbers)

    def replaced(self, position: int, entries: Sequence[Any]) -> Piece:
        """The same piece with these entries instead of one entry. They get the number of that entry."""
        behind = position + 1
        numbers = list(range(self.span.start, self.span.stop)) if self.numbers is None else list(self.numbers)
        numbers[position:behind] = [numbers[position]] * len(entries)
        return self._replace(entries=[*self.entries[:position], *entries, *self.entries[behind:]], numbers=numbers)


class SpanSplitter:
    """Divides one span into smaller spans, because an element-wise stage sends its results in pieces.

    >>> splitter = SpanSplitter(Span(10, 20))
    >>> list(splitter.cut(["a", "b"], [10, 12], done=15))
    [Piece(entries=['a', 'b'], span=Span(start=10, stop=15, prefix=(), last=False, origin=0), numbers=[10, 12])]

    If only some results of an item are sent, they are numbered within the item:

    >>> [piece.span.position for piece in splitter.cut(["c", "d"], [15, 15], done=15)]
    [(15, 0)]
    """

    def __init__(self, span: Span) -> None:
        self._span = span
        self._start = span.start
        # How many results of the item `_start` have been sent. None if the next piece begins with a whole item.
        self._made: int | None = None

    @property
    def start(self) -> int:
        """The first number whose results have not all been sent."""
        return self._start

    def index(self, number: int) -> int:
        """The number, at the origin, of the item to which a number of the span belongs."""
        return self._span.item_index(number)

    def cut(self, entries: list[Any], numbers: Sequence[int] | None, done: int, end: bool = False) -> Iterator[Piece]:
        """Yield pieces for these entries. No more entries follow for numbers below `done`.

        numbers: one for each entry, ascending, none above `done`. None if each number from `start` has exactly one
        entry. end: the span has no more entries.
        """
        first = 0
        if self._made is not None:
            first = bisect_left(numbers or (), self._start + 1)
            is_last = done > self._start
            if first or is_last:
                span = Span(
                    self._made, self._made + first, (*self._span.prefix, self._start), is_last, self._span.origin
                )
                yield Piece(entries[:first], span, None)
            self._made = None if is_last else self._made + first
            self._start += is_last
        stop = len(entries) if numbers is None else bisect_left(numbers, done)
        last = end and self._span.last
        if done > self._start or stop > first or last:
            span = Span(self._start, done, self._span.prefix, last, self._span.origin)
            yield Piece(entries[first:stop], span, _numbers_if_needed(numbers, first, stop, self._start, done))
            self._start = done
        if stop < len(entries) and self._made is None:
            self._made = len(entries) - stop
            yield Piece(entries[stop:], Span(0, self._made, (*self._span.prefix, done), False, self._span.origin), None)


def _numbers_if_needed(
    numbers: Sequence[int] | None, first: int, stop: int, start: int, done: int
) -> Sequence[int] | None:
    """The numbers of some entries. None if each number from start to done has exactly one entry."""
    if numbers is None or (stop - first == done - start and list(numbers[first:stop]) == list(range(start, done))):
        return None
    return numbers[first:stop]


class Numbering:
    """The numbers of a worker's items: new ones, or the numbers of the span that the worker is processing.

    numbers: the numbers of the pending items. The list stays empty as long as the items have consecutive numbers.
    """

    def __init__(self, origin: int, splitter: SpanSplitter | None = None, distinct: bool = False) -> None:
        self.numbers: list[int] = []
        self._origin = origin
        self._splitter = splitter
        self._distinct = distinct

    def spell_out(self, count: int) -> None:
        """An item has no result. From now on, a list contains the number of each result."""
        if not self.numbers and self._splitter is not None:
            self.numbers.extend(range(self._splitter.start, self._splitter.start + count))

    def whole(self, count: int) -> int:
        """The number of these pending items whose item of the span has no more results."""
        if not self.numbers or self._distinct or not count:
            return count
        return bisect_left(self.numbers, self.numbers[count - 1], 0, count)

    def index(self, number: int) -> int:
        """The number, at the origin, of the item to which a number of the span belongs."""
        return self._splitter.index(number) if self._splitter is not None else number

    def pieces(self, entries: list[Any], sent: int, done: int | None, end: bool) -> Iterator[Piece]:
        """Yield the pieces to send. sent: how many items have been sent before.

        done: numbers below it have no more results. None if only the entries show this. end: the span has no more
        entries.
        """
        if self._splitter is None:
            yield Piece(entries, Span(sent, sent + len(entries), origin=self._origin), None)
            return
        numbers = self.numbers[: len(entries)] if self.numbers else None
        del self.numbers[: len(entries)]
        if done is not None:
            yield from self._splitter.cut(entries, numbers, done, end)
        elif numbers is None:
            yield from self._splitter.cut(entries, None, self._splitter.start + len(entries))
        else:
            # The last item may have more results.
            yield from self._splitter.cut(entries, numbers, numbers[-1] + self._distinct)


class Order:
    """Returns frames in order and each part once. Frames may arrive in any order and several times.

    >>> order = Order()
    >>> for start, stop in [(4, 6), (0, 2), (2, 4), (2, 4)]:
    ...     order.push(Frame(0, Span(start, stop), list(range(start, stop))))
    >>> [frame.entries for frame in order.ready()]
    [[0, 1], [2, 3], [4, 5]]
    >>> order.next
    (6,)

    It holds frames that arrive early; `send_limit` and `credits` bound their number. start: the first number.
    A frame that arrives again may be divided differently. But an item must not arrive once whole and once in parts, nor
    in different parts.
    """

    def __init__(self, start: int = 0) -> None:
        self.next: tuple[int, ...] = (start,)
        # The count is unique, so that frames are never compared. The last field is the size in bytes.
        self._early: list[tuple[tuple[int, ...], int, Frame, int]] = []
        # The bytes of the held frames.
        self.nbytes = 0
        # The number of frames so far.
        self._count = 0

    @property
    def waiting(self) -> int:
        """The number of held frames."""
        return len(self._early)

    @property
    def end(self) -> int | None:
        """The number behind all items that are held early or have passed in part. None if there are none."""
        begun = [self.next] if len(normalized(self.next)) > 1 else []
        held = [frame.span.after for _, _, frame, _ in self._early]
        return max((after[0] + (len(normalized(after)) > 1) for after in begun + held), default=None)

    def push(self, frame: Frame, nbytes: int = 0) -> None:
        """Add a frame. nbytes: the bytes that the frame keeps alive here."""
        self._count += 1
        self.nbytes += nbytes
        heappush(self._early, (frame.span.position, self._count, frame, nbytes))

    def ready(self) -> Iterator[Frame]:
        """Yield the frames that are next in order, without the entries that were yielded before."""
        while self._early and self._is_next(self._early[0][2].span):
            _, _, frame, nbytes = heappop(self._early)
            self.nbytes -= nbytes
            fresh = _remainder(frame, self.next)
            if fresh is not None:
                self.next = max(self.next, frame.span.after)
                yield fresh

    def _is_next(self, span: Span) -> bool:
        return normalized(span.position) <= normalized(self.next)


def normalized(position: tuple[int, ...]) -> tuple[int, ...]:
    """Remove the zeros at the end: the first part of an item has the same position as the item."""
    end = len(position)
    while end > 1 and position[end - 1] == 0:
        end -= 1
    return position[:end]


def _remainder(frame: Frame, after: tuple[int, ...]) -> Frame | None:
    """The part of a frame from this position on. None if there is no such part, not even a span without entries."""
    span = frame.span
    if normalized(span.after) <= normalized(after):
        return None
    if normalized(span.position) == normalized(after):
        return frame
    depth = len(span.prefix)
    # The frame begins before the position and ends behind it, so both have the same prefix.
    start = after[depth]
    keep = start - span.start if frame.numbers is None else bisect_left(frame.numbers, start)
    numbers = None if frame.numbers is None else frame.numbers[keep:]
    return frame._replace(span=span._replace(start=start), entries=frame.entries[keep:], numbers=numbers)

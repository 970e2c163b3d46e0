"""The order of items across workers, as values: how a sender tells what a frame stands for, how a receiver restores it.

Element-wise stages give each frame the span of numbers that it stands for (`frames.Span`), and send one even where
nothing is left of it. So whoever reads them all can put them in order, drop what comes twice, and knows at the end
that nothing is missing: the spans tile the whole.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from typing import Any, NamedTuple

from .frames import Frame, Span

__all__ = ["Numbering", "Order", "Piece", "Placing"]


class Piece(NamedTuple):
    """Entries, the span that they stand for, and their numbers within it, as `Frame` has them."""

    entries: list[Any]
    span: Span
    numbers: Sequence[int] | None

    def item_index(self, position: int) -> int:
        """The number of the item that one entry comes from, at its origin."""
        return self.span.item_index(self.number(position))

    def number(self, position: int) -> int:
        """The number within the span of one entry."""
        return self.span.number(position, self.numbers)

    def replaced(self, position: int, entries: Sequence[Any]) -> Piece:
        """The same with these instead of one entry, under its number."""
        behind = position + 1
        numbers = list(range(self.span.start, self.span.stop)) if self.numbers is None else list(self.numbers)
        numbers[position:behind] = [numbers[position]] * len(entries)
        return self._replace(entries=[*self.entries[:position], *entries, *self.entries[behind:]], numbers=numbers)


class Placing:
    """Cuts what an element-wise stage makes of one span into spans of its own, as it leaves in pieces.

    >>> placing = Placing(Span(10, 20))
    >>> list(placing.cut(["a", "b"], [10, 12], done=15))
    [Piece(entries=['a', 'b'], span=Span(start=10, stop=15, prefix=(), last=False, origin=0), numbers=[10, 12])]

    An item of which more is to come than has left is numbered within itself:

    >>> [piece.span.position for piece in placing.cut(["c", "d"], [15, 15], done=15)]
    [(15, 0)]
    """

    def __init__(self, span: Span) -> None:
        self._span = span
        self._start = span.start
        # How much has left of the item `_start`, where that is not all of it.
        self._made: int | None = None

    @property
    def start(self) -> int:
        """The first number of which not all has left."""
        return self._start

    def index(self, number: int) -> int:
        """The number of the item, where it comes from, that a number of the span belongs to."""
        return self._span.item_index(number)

    def cut(self, entries: list[Any], numbers: Sequence[int] | None, done: int, end: bool = False) -> Iterator[Piece]:
        """Pieces for these entries, up to the number `done`, below which nothing more will come.

        numbers: one per entry, ascending, none above `done`; None for one entry for each number from `start`.
        end: this is all of the span.
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
            yield Piece(entries[first:stop], span, _unless_each(numbers, first, stop, self._start, done))
            self._start = done
        if stop < len(entries) and self._made is None:
            self._made = len(entries) - stop
            yield Piece(entries[stop:], Span(0, self._made, (*self._span.prefix, done), False, self._span.origin), None)


def _unless_each(numbers: Sequence[int] | None, first: int, stop: int, start: int, done: int) -> Sequence[int] | None:
    """The numbers of some entries, or None if there is one for each number from start to done."""
    if numbers is None or (stop - first == done - start and list(numbers[first:stop]) == list(range(start, done))):
        return None
    return numbers[first:stop]


class Numbering:
    """Which numbers a worker's items get: new ones, or those of the span that it has in hand.

    numbers: of the pending items, as they come; stays empty where each has the number next to the one before.
    """

    def __init__(self, origin: int, placing: Placing | None = None, distinct: bool = False) -> None:
        self.numbers: list[int] = []
        self._origin = origin
        self._placing = placing
        self._distinct = distinct

    def spell_out(self, count: int) -> None:
        """An item comes to nothing: from here on, numbers tell which each result belongs to."""
        if not self.numbers and self._placing is not None:
            self.numbers.extend(range(self._placing.start, self._placing.start + count))

    def whole(self, count: int) -> int:
        """How many of so many pending items belong to numbers of which nothing more can come."""
        if not self.numbers or self._distinct or not count:
            return count
        return bisect_left(self.numbers, self.numbers[count - 1], 0, count)

    def index(self, number: int) -> int:
        """The number of the item, where it comes from, that a number of the span belongs to."""
        return self._placing.index(number) if self._placing is not None else number

    def pieces(self, entries: list[Any], sent: int, done: int | None, end: bool) -> Iterator[Piece]:
        """What leaves now. sent: how many items have left before.

        done: below this number, nothing more will come; None where only the entries tell. end: that is all of the span.
        """
        if self._placing is None:
            yield Piece(entries, Span(sent, sent + len(entries), origin=self._origin), None)
            return
        numbers = self.numbers[: len(entries)] if self.numbers else None
        del self.numbers[: len(entries)]
        if done is not None:
            yield from self._placing.cut(entries, numbers, done, end)
        elif numbers is None:
            yield from self._placing.cut(entries, None, self._placing.start + len(entries))
        else:
            # Of the last item, there may be more to come.
            yield from self._placing.cut(entries, numbers, numbers[-1] + self._distinct)


class Order:
    """Gives frames back in order, each once, whatever order they come in, and however often.

    >>> order = Order()
    >>> for start, stop in [(4, 6), (0, 2), (2, 4), (2, 4)]:
    ...     order.push(Frame(0, Span(start, stop), list(range(start, stop))))
    >>> [frame.entries for frame in order.ready()]
    [[0, 1], [2, 3], [4, 5]]
    >>> order.next
    (6,)

    It holds what came too early; `gates` bound how much that is.
    Frames may come twice, cut in other places; but not an item once whole and once in parts, nor in parts of two sorts.
    """

    def __init__(self) -> None:
        self.next: tuple[int, ...] = (0,)
        # The number tells frames of the same position apart, which cannot be compared; the last one is in bytes.
        self._early: list[tuple[tuple[int, ...], int, Frame, int]] = []
        # Of what is held.
        self.nbytes = 0
        # Of frames so far.
        self._count = 0

    @property
    def waiting(self) -> int:
        """How many frames are held."""
        return len(self._early)

    def push(self, frame: Frame, nbytes: int = 0) -> None:
        """Take a frame. nbytes: what it keeps alive here."""
        self._count += 1
        self.nbytes += nbytes
        heappush(self._early, (frame.span.position, self._count, frame, nbytes))

    def ready(self) -> Iterator[Frame]:
        """The frames whose turn it is, and of each what had not been given already."""
        while self._early and self._may_go(self._early[0][2].span):
            _, _, frame, nbytes = heappop(self._early)
            self.nbytes -= nbytes
            fresh = _rest(frame, self.next)
            if fresh is not None:
                self.next = max(self.next, frame.span.after)
                yield fresh

    def _may_go(self, span: Span) -> bool:
        return _strip(span.position) <= _strip(self.next)


def _strip(position: tuple[int, ...]) -> tuple[int, ...]:
    """Without the zeros that only lead deeper: the first part of an item stands where the item stands."""
    end = len(position)
    while end > 1 and position[end - 1] == 0:
        end -= 1
    return position[:end]


def _rest(frame: Frame, after: tuple[int, ...]) -> Frame | None:
    """What a frame has from this position on; None if that is nothing, not even the news that nothing was made."""
    span = frame.span
    if _strip(span.after) <= _strip(after):
        return None
    if _strip(span.position) == _strip(after):
        return frame
    depth = len(span.prefix)
    # The frame begins before, and ends behind: so they agree on the way there.
    start = after[depth]
    keep = start - span.start if frame.numbers is None else bisect_left(frame.numbers, start)
    numbers = None if frame.numbers is None else frame.numbers[keep:]
    return frame._replace(span=span._replace(start=start), entries=frame.entries[keep:], numbers=numbers)

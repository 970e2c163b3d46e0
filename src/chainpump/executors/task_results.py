"""The results of the items of tasks, from the end of each item until they are sent: in order, or as they come.

Spans that are sent in order cover all numbers without gaps, as `transport.order` needs it. Spans of results that are
sent as they come may overlap, and numbers may be missing. So they may only be sent if nobody restores their order.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple, Protocol, TypeAlias

from ..transport.frames import Frame, Span

__all__ = ["AsTheyCome", "FrameResults", "InOrder", "Part", "Results", "TaskResults"]

# The results of an item, and their bytes.
Results: TypeAlias = tuple[Sequence[Any], int]


class FrameResults:
    """A frame, and the results of those of its items that are finished."""

    __slots__ = ("_finished", "frame", "results", "sent")

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.results: list[Results | None] = [None] * len(frame.entries)
        # The number of entries whose results were taken from here.
        self.sent = 0
        # All entries before this one are finished.
        self._finished = 0

    def whole(self) -> int:
        """The entries before this one are finished, and so are all others with the same numbers.

        A span that was sent has no more results. So entries with the same number are sent together.
        """
        while self._finished < len(self.results) and self.results[self._finished] is not None:
            self._finished += 1
        numbers = self.frame.numbers
        if numbers is None or self._finished == len(self.results):
            return self._finished
        return bisect_left(numbers, numbers[self._finished], self.sent, self._finished)


class Part(NamedTuple):
    """Results to send: those of some items of a span.

    finished: the number of each item within the span, ascending, and its results. stop: the end of the span, if this is
    its last part. opens: whether it is its first part. done: the span of this part alone.
    """

    span: Span
    opens: bool
    finished: Sequence[tuple[int, Sequence[Any]]]
    stop: int | None
    nbytes: int
    done: Span


class TaskResults(Protocol):
    """Holds results until they are sent. Only the thread of the event loop uses it.

    finished: the number of items that have finished so far.
    """

    finished: int

    def begin(self, frame: Frame) -> FrameResults:
        """The items of this frame will be processed."""
        ...

    def add(self, to: FrameResults, position: int, results: Results) -> None:
        """One item of a frame is finished."""
        ...

    @property
    def is_ready(self) -> bool:
        """Whether there is something to send."""
        ...

    def take(self) -> list[Part]:
        """Remove all that can be sent."""
        ...


class InOrder:
    """Gives results in the order of the items. Spans without items are given, too."""

    def __init__(self) -> None:
        self.finished = 0
        self._frames: deque[FrameResults] = deque()

    def begin(self, frame: Frame) -> FrameResults:
        """As in TaskResults."""
        begun = FrameResults(frame)
        self._frames.append(begun)
        return begun

    def add(self, to: FrameResults, position: int, results: Results) -> None:
        """As in TaskResults."""
        to.results[position] = results
        self.finished += 1

    @property
    def is_ready(self) -> bool:
        """As in TaskResults."""
        if not self._frames:
            return False
        first = self._frames[0]
        whole = first.whole()
        return whole > first.sent or whole == len(first.results)

    def take(self) -> list[Part]:
        """As in TaskResults."""
        parts: list[Part] = []
        while self.is_ready:
            first = self._frames[0]
            parts.append(_next_part(first))
            if first.sent < len(first.results):
                break
            self._frames.popleft()
        return parts


def _next_part(of: FrameResults) -> Part:
    frame, begin, stop = of.frame, of.sent, of.whole()
    found = [results for results in of.results[begin:stop] if results is not None]
    # The frame must not keep results alive that were sent.
    of.results[begin:stop] = [None] * (stop - begin)
    of.sent = stop
    finished = [(frame.number(position), results) for position, (results, _) in enumerate(found, begin)]
    end = frame.span.stop if stop == len(of.results) else None
    done = frame.span if begin == 0 else frame.span._replace(start=frame.number(begin - 1) + 1)
    if end is None:
        done = done._replace(stop=frame.number(stop - 1) + 1, last=False)
    return Part(frame.span, begin == 0, finished, end, sum(nbytes for _, nbytes in found), done)


class AsTheyCome:
    """Gives results as soon as their item is finished. Results that are taken together are sorted by their numbers."""

    def __init__(self) -> None:
        self.finished = 0
        # Origin and prefix of the span, number of the item, its results, and their bytes.
        self._waiting: list[tuple[int, tuple[int, ...], int, Sequence[Any], int]] = []

    def begin(self, frame: Frame) -> FrameResults:
        """As in TaskResults."""
        return FrameResults(frame)

    def add(self, to: FrameResults, position: int, results: Results) -> None:
        """As in TaskResults."""
        span = to.frame.span
        self._waiting.append((span.origin, span.prefix, to.frame.number(position), *results))
        self.finished += 1

    @property
    def is_ready(self) -> bool:
        """As in TaskResults."""
        return bool(self._waiting)

    def take(self) -> list[Part]:
        """As in TaskResults."""
        # A new list, because new results may be added while these are sent.
        waiting, self._waiting = sorted(self._waiting, key=itemgetter(0, 1, 2)), []
        parts = []
        for (origin, prefix), group in groupby(waiting, itemgetter(0, 1)):
            items = list(group)
            span = Span(items[0][2], items[-1][2] + 1, prefix, origin=origin)
            finished = [(number, results) for _, _, number, results, _ in items]
            parts.append(Part(span, True, finished, span.stop, sum(nbytes for *_, nbytes in items), span))
        return parts

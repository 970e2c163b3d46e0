"""A set of numbers as ranges: which items of an origin are done."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

__all__ = ["Ranges"]


class Ranges:
    """A set of numbers from 0 on, held as ranges that are sorted and do not touch each other.

    >>> done = Ranges([(0, 3), (5, 7)])
    >>> done.add(3, 4)
    (0, 4)
    >>> list(done), done.count, done.watermark
    ([(0, 4), (5, 7)], 6, 4)
    >>> [done.original(n) for n in range(3)]
    [4, 7, 8]

    A range includes its start and excludes its stop. One thread at a time may change it.
    """

    __slots__ = ("_before", "_starts", "_stops")

    def __init__(self, pairs: Iterable[tuple[int, int]] = ()) -> None:
        self._starts: list[int] = []
        self._stops: list[int] = []
        # For each range, how many numbers below it are missing. None after a change.
        self._before: list[int] | None = None
        self.update(pairs)

    def add(self, start: int, stop: int) -> tuple[int, int]:
        """Add the numbers of a range. Returns the range that now holds them; an empty range changes nothing.

        Raises ValueError if the range has a negative number, or ends before it starts.
        """
        if not 0 <= start <= stop:
            raise ValueError(f"a range has numbers from 0 on and ends behind its start, but got: ({start}, {stop})")
        if start == stop:
            return start, stop
        # The ranges from `first` up to `last` overlap the new one or touch it.
        first = bisect_left(self._stops, start)
        last = bisect_right(self._starts, stop)
        if first < last:
            start = min(start, self._starts[first])
            stop = max(stop, self._stops[last - 1])
        self._starts[first:last] = [start]
        self._stops[first:last] = [stop]
        self._before = None
        return start, stop

    def update(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Add the numbers of several ranges. Raises ValueError as `add` does."""
        for start, stop in pairs:
            self.add(start, stop)

    @property
    def watermark(self) -> int:
        """The first number that is not in it."""
        return self._stops[0] if self._starts and self._starts[0] == 0 else 0

    @property
    def end(self) -> int:
        """The number behind the last one in it; 0 if it is empty."""
        return self._stops[-1] if self._stops else 0

    @property
    def count(self) -> int:
        """How many numbers are in it."""
        return sum(self._stops) - sum(self._starts)

    def original(self, n: int) -> int:
        """The n-th number that is not in it, counted from 0."""
        if self._before is None:
            before, missing, stop = [], 0, 0
            for start, next_stop in self:
                missing += start - stop
                before.append(missing)
                stop = next_stop
            self._before = before
        passed = bisect_right(self._before, n)
        return self._stops[passed - 1] + n - self._before[passed - 1] if passed else n

    def gaps(self, stop: int) -> Iterator[tuple[int, int]]:
        """The ranges below `stop` of numbers that are not in it."""
        start = 0
        for first, last in self:
            if first >= stop:
                break
            if start < first:
                yield start, first
            start = last
        if start < stop:
            yield start, stop

    def copy(self) -> Ranges:
        """Return a copy."""
        made = Ranges()
        made._starts, made._stops = self._starts.copy(), self._stops.copy()
        return made

    def __contains__(self, number: object) -> bool:
        if not isinstance(number, int):
            return False
        found = bisect_right(self._starts, number)
        return found > 0 and number < self._stops[found - 1]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self._starts, self._stops, strict=True)

    def __bool__(self) -> bool:
        return bool(self._starts)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Ranges):
            return NotImplemented
        return self._starts == other._starts and self._stops == other._stops

    # It can change.
    __hash__ = None  # type: ignore[assignment]  # as for a list

    def __reduce__(self) -> tuple[type[Ranges], tuple[list[tuple[int, int]]]]:
        return Ranges, (list(self),)

    def __repr__(self) -> str:
        return f"Ranges({list(self)})"

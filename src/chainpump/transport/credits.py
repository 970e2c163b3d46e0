"""Credits across workers: the exact bound of `in_flight=n`."""

from __future__ import annotations

from collections.abc import Sequence

from ..ipc.board import Board
from ..ipc.counters import Counter, counter
from ..ipc.descriptors import Descriptor
from .frames import Span

__all__ = ["CreditReturn", "CreditRoom", "Credits"]

# More than there can ever be waiters.
FLOOD = 1 << 32


class Credits:
    """A count of free slots; taking one waits for somebody to give one back. As room, it bounds items and no frames."""

    def __init__(self, count: Counter) -> None:
        self._count = count

    @classmethod
    def of(cls, slots: int) -> Credits:
        """Credits for this many items."""
        return cls(counter(slots, one_by_one=True))

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """What a forked worker must keep."""
        return self._count.descriptors

    @property
    def credits(self) -> Sequence[Credits]:
        """Itself."""
        return (self,)

    def open(self, board: Board) -> None:
        """Nothing to do."""

    def may_send(self, span: Span) -> bool:
        """Always: its items have credits."""
        return True

    def dup(self) -> Credits:
        """The same count behind descriptors of the caller's own."""
        return Credits(self._count.dup())

    def take(self) -> bool:
        """Take one if there is one."""
        try:
            self._count.take()
        except BlockingIOError:
            return False
        return True

    def wait(self) -> None:
        """Wait until there may be one. Who waits must look at the cancel flag afterwards."""
        self._count.wait()

    def give(self, slots: int = 1) -> None:
        """Give slots back."""
        self._count.give(slots)

    def flood(self) -> None:
        """Wake whoever waits, for good: the run is cancelled and nobody counts any more."""
        self.give(FLOOD)

    def close(self) -> None:
        """Close these descriptors of the count."""
        self._count.close()


class CreditReturn:
    """The side of the worker that puts items in order: each item gives its credit back once."""

    is_exact = True

    def __init__(self, credits: Credits) -> None:
        self._credits = credits
        self._passed = 0

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """What a forked worker must keep."""
        return self._credits.descriptors

    def open(self, board: Board) -> None:
        """Nothing to do."""

    def move(self, passed: int, held: int, each: float, arrived: int) -> None:
        """All items below `passed` are finished; what they weigh does not matter."""
        count, self._passed = passed - self._passed, passed
        if count:
            self._credits.give(count)

    def close(self) -> None:
        """Close these descriptors of the count."""
        self._credits.close()


class CreditRoom:
    """The main process's hold on the credits before one worker that puts items in order.

    rows: of the workers that take them.
    """

    is_exact = True

    def __init__(self, slots: int, rows: Sequence[int]) -> None:
        self._credits = Credits.of(slots)
        self._rows = rows

    def begin(self, board: Board) -> None:
        """Nothing to do: the count says it."""

    def sending(self, row: int) -> Credits | None:
        """The credits for a worker, by its row; None if it takes none."""
        return self._credits.dup() if row in self._rows else None

    def returning(self) -> CreditReturn:
        """The other side."""
        return CreditReturn(self._credits.dup())

    def flood(self) -> None:
        """Wake whoever waits, for good: the run is cancelled."""
        self._credits.flood()

    def close(self) -> None:
        """Close these descriptors of the count."""
        self._credits.close()

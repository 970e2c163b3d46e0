"""Credits of several workers: the exact bound of `in_flight=n`."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ..ipc.board import Board
from ..ipc.counters import Counter, counter
from ..ipc.descriptors import Descriptor
from ..ipc.local_counter import LocalCounter
from .flow import gathering_seconds
from .frames import Span

__all__ = ["CreditReturn", "CreditRoom", "Credits"]

# More credits than there can be waiting workers.
WAKE_ALL = 1 << 32


class Credits:
    """A count of free credits, as one taker has it. `take` takes a credit, `give` returns it.

    As a `SendRoom`, it bounds items but no frames.
    One thread takes at a time; any thread may give. Takers in the same process have an object each, by `taker`.
    """

    def __init__(self, count: Counter, number: int) -> None:
        self._count = count
        self.number = number
        # Credits that this taker has taken from the count, and not used yet: none where it gives them one by one.
        self._held = 0

    @classmethod
    def of(cls, number: int, *, one_taker: bool = False, one_process: bool = False) -> Credits:
        """Make credits for this many items.

        one_taker: only one worker takes them, so it takes all at once. one_process: all workers are threads of it.
        """
        make = LocalCounter if one_process else counter
        return cls(make(number, one_by_one=not one_taker), number)

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """The descriptors that a forked worker keeps open."""
        return self._count.descriptors

    @property
    def credits(self) -> Sequence[Credits]:
        """These credits."""
        return (self,)

    def open(self, board: Board) -> None:
        """Do nothing."""

    def may_send(self, span: Span) -> bool:
        """Return True: each item of the frame has a credit already."""
        return True

    def taker(self) -> Credits:
        """Return the same count, with the same descriptors, for one more taker in this process."""
        return Credits(self._count, self.number)

    def dup(self) -> Credits:
        """Return the same count with descriptors of its own."""
        return Credits(self._count.dup(), self.number)

    def take(self) -> bool:
        """Take a credit. Returns False if there is none."""
        if self._held:
            self._held -= 1
            return True
        try:
            self._held = self._count.take() - 1
        except BlockingIOError:
            return False
        return True

    def put_back(self) -> None:
        """Return a credit that was not used. Another worker may take it."""
        self._count.give(1)

    def wait(self, hint: int = 0) -> None:
        """Wait until there may be a credit. The caller must check the cancel flag afterwards.

        hint: how many items the consumer wants in a frame. If it is fast, wait a moment longer for further credits.
        """
        self._count.wait()
        # Nothing wakes this pause. `flow.MOST_GATHER_NS` bounds it, so a cancellation is noticed 0.5 ms later at most.
        # A wait with a limit cannot replace it: `poll` rounds up to 1 ms, and `select` refuses descriptors above 1023.
        if seconds := gathering_seconds(self.number, hint):
            time.sleep(seconds)

    def give(self, number: int = 1) -> None:
        """Return credits."""
        self._count.give(number)

    def wake_all(self) -> None:
        """Wake all waiting workers permanently: the run is cancelled, and the bound does not matter any more."""
        self.give(WAKE_ALL)

    def close(self) -> None:
        """Close these descriptors of the count."""
        self._count.close()


class CreditReturn:
    """The side of the worker that restores the order: it returns the credit of each item once."""

    is_exact = True

    def __init__(self, credits: Credits) -> None:
        self._credits = credits
        self._passed = 0

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """The descriptors that a forked worker keeps open."""
        return self._credits.descriptors

    def open(self, board: Board) -> None:
        """Do nothing."""

    def resume(self, passed: int) -> None:
        """The credits of all items below `passed` have been returned."""
        self._passed = passed

    def hold(self, below: int) -> None:
        """Do nothing: each item that has been made has its credit."""

    def move(self, passed: int, held: int, each: float, arrived: int) -> None:
        """Return the credits of all items below `passed`. Sizes in bytes do not matter here."""
        count, self._passed = passed - self._passed, passed
        if count:
            self._credits.give(count)

    def close(self) -> None:
        """Close these descriptors of the count."""
        self._credits.close()


class CreditRoom:
    """The main process's side of the credits of one worker that restores the order.

    rows: the board rows of the workers that take credits. one_process: as for `Credits.of`.
    """

    is_exact = True

    def __init__(self, number: int, rows: Sequence[int], *, one_process: bool = False) -> None:
        self._credits = Credits.of(number, one_process=one_process)
        self._rows = rows

    def begin(self, board: Board) -> None:
        """Do nothing: the count already has its first value."""

    def sending(self, row: int) -> Credits | None:
        """The credits for a worker, by its row. None if the worker takes none."""
        return self._credits.dup() if row in self._rows else None

    def returning(self) -> CreditReturn:
        """The side of the worker that restores the order."""
        return CreditReturn(self._credits.dup())

    def wake_all(self) -> None:
        """Wake all waiting workers permanently: the run is cancelled."""
        self._credits.wake_all()

    def close(self) -> None:
        """Close these descriptors of the count."""
        self._credits.close()

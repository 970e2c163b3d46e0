"""Receipts for dead letters: a worker of another machine sends no result behind a letter that may still be lost.

    worker ── dead letter ──► report pipe ── agent ── control link ── switchboard ──► main process
       ◄── count on the board, wake-up ───── agent ◄───────── Taken ────────────────────┘

Results leave the machine another way. So they could come out although the machine dies with the letter, and then nobody
would do the item again. The agent writes the count first and wakes the worker afterwards. The worker removes old
wake-ups before it looks at the count. So it notices each change before its wait, or is woken from it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

from ..errors import Cancelled
from ..ipc.board import Board, Cell
from ..ipc.counters import Counter, counter
from ..ipc.descriptors import Descriptor
from ..ipc.wait_times import Wait

__all__ = ["ReceiptGiver", "Receipts"]

WAKE = 1
# How many dead letters may be on their way at once. Their receipts fit into the buffer of a control pipe: the main
# process does not wait for room in it, and nothing would make it send the rest later.
ON_THEIR_WAY = 64


class Receipts:
    """The end of the worker. `open` must be called first. Only the worker's own thread uses it."""

    def __init__(self, wake: Counter) -> None:
        self._wake = wake
        self._row = memoryview(b"")
        # How many dead letters it has sent.
        self._sent = 0

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """The descriptors that a forked worker keeps open."""
        return self._wake.descriptors

    def open(self, board: Board, row: int) -> None:
        """Prepare it in the worker of this row."""
        self._row = board.row(row)

    def expect(self) -> None:
        """One more dead letter is sent."""
        self._sent += 1

    def wait(self, is_over: Callable[[], bool]) -> None:
        """Wait until all of them have been taken. is_over: whether the run was cancelled. Raises Cancelled then."""
        if self._has_all():
            return
        with Wait(self._row, Cell.BLOCKED):
            while True:
                with suppress(BlockingIOError):
                    self._wake.take()
                if is_over():
                    raise Cancelled("the run was cancelled")
                if self._has_all():
                    return
                self._wake.wait()

    @property
    def are_too_many(self) -> bool:
        """Whether so many dead letters are on their way that the next one must wait."""
        return bool(self._sent - self._row[Cell.LETTERS] >= ON_THEIR_WAY)

    def _has_all(self) -> bool:
        return bool(self._row[Cell.LETTERS] >= self._sent)

    def close(self) -> None:
        """Close these descriptors of the counter."""
        self._wake.close()

    def __getstate__(self) -> Counter:
        return self._wake

    def __setstate__(self, wake: Counter) -> None:
        self.__init__(wake)  # type: ignore[misc]  # as it was before it was opened


class ReceiptGiver:
    """The end of the agent, for one worker. row: the board row of the worker, which has sent no dead letter yet."""

    def __init__(self, row: memoryview) -> None:
        self._row = row
        self._row[Cell.LETTERS] = 0
        self._wake = counter(0, one_by_one=False)

    def receipts(self) -> Receipts:
        """The end of the worker, with descriptors of its own."""
        return Receipts(self._wake.dup())

    def taken(self, count: int) -> None:
        """The main process has taken so many dead letters of the worker."""
        self._row[Cell.LETTERS] = count
        self.wake()

    def wake(self) -> None:
        """Wake the worker: it may have been cancelled."""
        self._wake.give(WAKE)

    def close(self) -> None:
        """Close these descriptors of the counter."""
        self._wake.close()

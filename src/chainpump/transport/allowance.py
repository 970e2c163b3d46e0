"""The limit of a stage that numbers items in a durable run: it sends no item that its journal does not know of.

    stage that numbers items ── [limit, on the board] ──►
         ▲                             ▲
         └── wake-ups ── recorder, in the main process: it moves the limit after each write

The recorder moves the limit first and wakes the stage afterwards. The stage removes old wake-ups before it looks at the
limit. So it notices each move before its wait, or is woken from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from ..ipc.board import Board, Cell
from ..ipc.counters import Counter, counter
from ..ipc.descriptors import Descriptor

__all__ = ["Allowance", "Supply", "SupplyRoom"]

WAKE = 1


class Allowance:
    """The side of the worker. `open` must be called first. row: the board row of its stage that numbers items."""

    def __init__(self, wake: Counter, row: int) -> None:
        self._wake = wake
        self._row = row
        self._cells = memoryview(b"")

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """The descriptors that a forked worker keeps open."""
        return self._wake.descriptors

    def open(self, board: Board) -> None:
        """Prepare it in the worker that uses it."""
        self._cells = board.row(self._row)

    @property
    def limit(self) -> int:
        """Items with lower numbers may be sent. The numbers are those of this run."""
        return int(self._cells[Cell.ALLOWED])

    def forget_wakeups(self) -> None:
        """Remove old wake-ups. The caller then looks at the limit and the cancel flag, and waits if it has to."""
        with suppress(BlockingIOError):
            self._wake.take()

    def wait(self) -> None:
        """Wait until the limit may have moved, or the run is cancelled."""
        self._wake.wait()

    def close(self) -> None:
        """Close these descriptors of the counter."""
        self._wake.close()

    def __getstate__(self) -> tuple[Counter, int]:
        return self._wake, self._row

    def __setstate__(self, state: tuple[Counter, int]) -> None:
        self.__init__(*state)  # type: ignore[misc]  # as it was before it was opened


class Supply:
    """The side of the recorder. One thread at a time uses it. cells: the board row of the stage."""

    def __init__(self, wake: Counter, cells: memoryview) -> None:
        self._wake = wake
        self._cells = cells
        # How many items were sent at most, once the run is over.
        self._last: int | None = None

    @property
    def sent(self) -> int:
        """How many items the stage has sent so far, or a few more: those that it is just sending."""
        return int(self._cells[Cell.SENT] + self._cells[Cell.SENDING]) if self._last is None else self._last

    @property
    def least_sent(self) -> int:
        """How many items the stage has sent, or a few less: without those that it is just sending."""
        return int(self._cells[Cell.SENT]) if self._last is None else self._last

    def allow(self, limit: int) -> None:
        """Let the stage send the items below this number."""
        self._cells[Cell.ALLOWED] = limit
        self._wake.give(WAKE)

    def close(self) -> None:
        """No more is sent. Keep the count, and close these descriptors of the counter. A second call does nothing."""
        self._last = self.sent
        self._wake.close()


class SupplyRoom:
    """The main process's side of the limit of one worker. group: its group. row: as above."""

    def __init__(self, group: int, row: int) -> None:
        self.group = group
        self._row = row
        self._wake = counter(0, one_by_one=False)

    def allowance(self) -> Allowance:
        """The side of the worker, with descriptors of its own."""
        return Allowance(self._wake.dup(), self._row)

    def supply(self, board: Board) -> Supply:
        """The side of the recorder, with descriptors of its own."""
        return Supply(self._wake.dup(), board.row(self._row))

    def wake(self) -> None:
        """Wake the worker: the run is cancelled, and the cancel flag says so."""
        self._wake.give(WAKE)

    def close(self) -> None:
        """Close these descriptors of the counter."""
        self._wake.close()

"""How long a worker waits, and for what: told on the board, in one cell for each.

While it works, the cell holds the time that it has waited so far. While it waits, the cell holds that less the time at
which the wait began: a negative number, since nobody has waited for longer than the clock runs. So one look at one cell
tells whether a worker waits, and how long it has waited until now; and what costs no wait costs nothing here.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType

from .board import Cell, State

__all__ = ["UNTOLD", "Wait", "begin_again", "end", "is_waiting", "waited"]

# Cells are unsigned.
MASK = (1 << 64) - 1
# A wait that is nobody's loss: the flusher's, beside the worker.
UNTOLD: AbstractContextManager[None] = nullcontext()


class Wait:
    """A wait of the worker that owns the row, for as long as the block lasts. Not within another one for the same."""

    def __init__(self, row: memoryview, cell: Cell) -> None:
        self._row = row
        self._cell = cell

    def __enter__(self) -> None:
        self._row[self._cell] = (self._row[self._cell] - time.monotonic_ns()) & MASK

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        end_wait(self._row, self._cell, time.monotonic_ns())


def is_waiting(row: memoryview, cell: Cell) -> bool:
    """Whether a worker waits for this."""
    return bool(row[cell] >> 63)


def waited(row: memoryview, cell: Cell, now: int) -> int:
    """For how many ns a worker has waited for this until now, the wait that it is in included."""
    value: int = row[cell]
    return (value + now) & MASK if value >> 63 else value


def end_wait(row: memoryview, cell: Cell, now: int) -> None:
    """It waits no longer; does nothing if it did not."""
    row[cell] = waited(row, cell, now)


def end(row: memoryview, now: int) -> None:
    """Its worker is over, in whatever wait it was."""
    row[Cell.ENDED] = now
    end_wait(row, Cell.STARVED, now)
    end_wait(row, Cell.BLOCKED, now)


def begin_again(row: memoryview) -> None:
    """Another worker takes the place of one that is over: it goes on with its counts."""
    row[Cell.LIVED] += row[Cell.ENDED] - row[Cell.STARTED] if row[Cell.STARTED] else 0
    row[Cell.STARTED] = row[Cell.ENDED] = row[Cell.ITEM] = row[Cell.SENDING] = row[Cell.RETIRES] = 0
    row[Cell.STATE] = State.STARTING

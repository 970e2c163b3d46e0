"""How long a worker waits, and for what. The board has one cell for each kind of wait.

While the worker works, the cell holds the total time that it has waited. While it waits, the cell holds the total time
minus the time at which the wait began. This number is negative, since the total is less than the clock. So one read of
one cell shows whether a worker waits, and how long it has waited until now. A worker that does not wait has no cost.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType

from .board import Cell, State

__all__ = ["REFUSED", "UNCOUNTED", "Wait", "begin_again", "end", "is_waiting", "waited"]

# Cells are unsigned.
MASK = (1 << 64) - 1
# A wait that is not counted: the flusher's, which runs beside the worker.
UNCOUNTED: AbstractContextManager[None] = nullcontext()


class _Refused:
    """A wait that must not happen: a call that would wait raises BlockingIOError instead."""

    def __enter__(self) -> None:
        raise BlockingIOError("the call would have waited")

    def __exit__(self, *_: object) -> None:
        pass


REFUSED: AbstractContextManager[None] = _Refused()


class Wait:
    """A wait of the worker that owns the row, for the duration of the block. Waits for the same reason do not nest."""

    def __init__(self, row: memoryview, cell: int) -> None:
        self._row = row
        self._cell = cell

    def __enter__(self) -> None:
        self._row[self._cell] = (self._row[self._cell] - time.monotonic_ns()) & MASK

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        end_wait(self._row, self._cell, time.monotonic_ns())


def is_waiting(row: memoryview, cell: int) -> bool:
    """Return whether a worker waits for this reason."""
    return bool(row[cell] >> 63)


def waited(row: memoryview, cell: int, now: int) -> int:
    """Return how many ns a worker has waited for this reason until now, including the current wait."""
    value: int = row[cell]
    return (value + now) & MASK if value >> 63 else value


def end_wait(row: memoryview, cell: int, now: int) -> None:
    """End a wait; does nothing if there is none."""
    row[cell] = waited(row, cell, now)


def end(row: memoryview, now: int) -> None:
    """Record the end of a worker; this also ends its current wait."""
    row[Cell.ENDED] = now
    end_wait(row, Cell.STARVED, now)
    end_wait(row, Cell.BLOCKED, now)
    end_wait(row, Cell.SET_UP, now)


def begin_again(row: memoryview) -> None:
    """Prepare a row for a replacement, which continues its counts."""
    row[Cell.LIVED] += row[Cell.ENDED] - row[Cell.STARTED] if row[Cell.STARTED] else 0
    row[Cell.STARTED] = row[Cell.ENDED] = row[Cell.ITEM] = row[Cell.SENDING] = row[Cell.RETIRES] = 0
    row[Cell.STATE] = State.STARTING

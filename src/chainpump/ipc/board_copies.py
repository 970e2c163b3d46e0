"""Copies of a board on other machines: what has changed since the last look, and times of another machine's clock.

    machine that owns a row           machine with a copy of the row
    Watch.changed() ── changes ──►    write(board, changes, clock)

Each row has one owner at a time: the machine on which its worker runs. A change carries whole rows, so that a copy is
always the state of one moment of the owner, and the last change wins.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ..lazy_dataclass import dataclass
from .board import CELLS, Board, Cell
from .wait_times import MASK

__all__ = ["Changes", "Clock", "Watch", "put_row", "write"]

# Cells with a time of the monotonic clock, or 0.
TIMES = (Cell.STARTED, Cell.ENDED, Cell.MOVED)
# Cells that contain the time at which a wait began, while it lasts: see `wait_times`.
WAITS = (Cell.STARVED, Cell.BLOCKED, Cell.SET_UP)


class Changes(NamedTuple):
    """What has changed on a board: rows by their numbers, hints by their junctions, cancel flags by their groups."""

    rows: Sequence[tuple[int, bytes]] = ()
    hints: Sequence[tuple[int, int]] = ()
    flags: Sequence[tuple[int, int]] = ()


@dataclass(frozen=True, slots=True)
class Clock:
    """The monotonic clock of another machine. ahead: its time minus the time here, in ns, or a little less."""

    ahead: int = 0

    @classmethod
    def measured(cls, asked: int, there: int, answered: int) -> Clock:
        """Measure it by one question. asked, answered: times here. there: the time on the other machine in between.

        Two clocks that cannot be told apart count as one. Otherwise the error has the sign with which no time of this
        machine seems to be in the future there.

        >>> Clock.measured(100, 105, 110), Clock.measured(100, 900, 110)
        (Clock(ahead=0), Clock(ahead=790))
        """
        return cls(0 if asked <= there <= answered else there - answered)

    def here(self, row: bytes) -> bytes:
        """A row of the other machine with times of this machine.

        None of them is in the future, except `SINCE`: it identifies a call, so it is moved by the same amount always.
        """
        return _moved(row, -self.ahead, time.monotonic_ns()) if self.ahead else row

    def there(self, row: bytes) -> bytes:
        """A row of this machine with times of the other machine."""
        return _moved(row, self.ahead, time.monotonic_ns() + self.ahead) if self.ahead else row

    def time_here(self, there: int) -> int:
        """What `there` has made of `SINCE` of a row, as it was."""
        return there - self.ahead


SAME = Clock()


def _moved(row: bytes, by: int, latest: int) -> bytes:
    cells = memoryview(bytearray(row)).cast("Q")
    for cell in TIMES:
        if cells[cell]:
            cells[cell] = max(1, min(cells[cell] + by, latest))
    if cells[Cell.SINCE]:
        cells[Cell.SINCE] = max(1, cells[Cell.SINCE] + by)
    for cell in WAITS:
        if cells[cell] >> 63:
            # The total minus the time at which the wait began.
            value = cells[cell] - (MASK + 1) - by
            cells[cell] = max(value, -latest) & MASK
    return cells.tobytes()


class Watch:
    """Finds what has changed on a board since its last look.

    rows, hints, flags: the numbers of the rows, junctions and groups that it watches. At first all values count as 0.
    """

    def __init__(
        self, board: Board, rows: Iterable[int] = (), hints: Iterable[int] = (), flags: Iterable[int] = ()
    ) -> None:
        self._rows = {number: (board.row(number), bytes(8 * CELLS)) for number in rows}
        self._hints = {number: (board.hint(number), 0) for number in hints}
        self._flags = {number: (board.flag(number), 0) for number in flags}

    def changed(self) -> Changes | None:
        """What has changed; None if nothing has."""
        rows = [(number, now) for number, (row, before) in self._rows.items() if (now := row.tobytes()) != before]
        for number, now in rows:
            self._rows[number] = self._rows[number][0], now
        hints, flags = _changed(self._hints), _changed(self._flags)
        return Changes(tuple(rows), hints, flags) if rows or hints or flags else None


def _changed(seen: dict[int, tuple[memoryview, int]]) -> Sequence[tuple[int, int]]:
    found = [(number, now) for number, (cell, before) in seen.items() if (now := int(cell[0])) != before]
    for number, now in found:
        seen[number] = seen[number][0], now
    return tuple(found)


def write(board: Board, changes: Changes, clock: Clock = SAME) -> None:
    """Write changes of another machine to a board of this one. clock: of the other machine."""
    for number, row in changes.rows:
        put_row(board, number, clock.here(row))
    for number, value in changes.hints:
        board.hint(number)[0] = value
    for number, value in changes.flags:
        board.flag(number)[0] = value


def put_row(board: Board, number: int, row: bytes) -> None:
    """Write a whole row. Each cell is written in one step."""
    target = board.row(number)
    for cell, value in enumerate(memoryview(row).cast("Q")):
        target[cell] = value

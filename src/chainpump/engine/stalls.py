"""Stalls: when an item has moved last, and what every worker is at if that is too long ago."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .. import blame
from ..blame import Item, Who
from ..errors import Failure
from ..tables import table
from ..transport.board import Cell, State
from ..transport.waits import is_waiting
from .wiring import Wiring

__all__ = ["Stalls"]

STAMPS = (Cell.STARTED, Cell.SINCE, Cell.MOVED, Cell.ENDED)


@dataclass(frozen=True, slots=True)
class _Standing:
    """What a worker is at. since: ns; when it last told of an item. item: the one that it is in, where it is known."""

    who: Who
    pid: int
    at: str
    since: int
    works: bool
    item: int | None = None


class Stalls:
    """Looks at a run's board, and changes nothing. seconds: without any movement, until that is a stall."""

    def __init__(self, wiring: Wiring, seconds: float) -> None:
        self._wiring = wiring
        self._seconds = seconds
        self._started = time.monotonic_ns()

    def due(self) -> float:
        """When to look again, in seconds of the monotonic clock: sooner there cannot be a stall."""
        rows = (row for group in self._wiring.groups for rows in group.rows for row in rows)
        return max(self._started, *map(self._stamp, rows)) / 1e9 + self._seconds

    def _stamp(self, row: int) -> int:
        cells = self._wiring.board.row(row)
        return max(cells[stamp] for stamp in STAMPS)

    def failure(self, pid_of: Callable[[int, int], int]) -> Failure:
        """What to tell. pid_of: the process of a worker, by its group and number."""
        now = time.monotonic_ns()
        standings = list(self._standings(pid_of))
        turns = self._turns()
        # To blame: who is in the item for which others wait, or else who has been at work for longest.
        at_work = [each for each in standings if each.works] or standings
        holder = min(at_work, key=lambda each: (each.item is None or each.item not in turns.values(), each.since))
        rows = [
            (
                each.who.stage,
                f"{each.who.number} of {each.who.of}, pid {each.pid}",
                f"{each.at} for {(now - each.since) / 1e9:.3g} s" if each.works else each.at,
            )
            for each in standings
        ]
        lines = table(("stage", "worker", "is"), rows).splitlines()
        item = Item(holder.item) if holder.item is not None else None
        return blame.stalled(holder.who, holder.pid, holder.at, self._seconds, lines, item)

    def _turns(self) -> dict[int, int]:
        """Where order is restored: the group that does so, and the item whose turn it is."""
        return {
            section.end: self._wiring.board.row(self._wiring.groups[section.end].rows[0][0])[Cell.PASSED]
            for section in self._wiring.sections
            if section.room is not None
        }

    def _standings(self, pid_of: Callable[[int, int], int]) -> Iterator[_Standing]:
        """Of every worker that has not ended."""
        turns = self._turns()
        for place, group in enumerate(self._wiring.groups):
            for number in range(group.workers):
                rows = [self._wiring.board.row(rows[number]) for rows in group.rows]
                if rows[-1][Cell.STATE] >= State.DONE:
                    continue
                pid = pid_of(place, number)
                at, works, item = self._at(place, rows, turns.get(place))
                if _is_stopped(pid):
                    at, works = "stopped by a signal", True
                since = max(self._started, *(self._stamp(rows[number]) for rows in group.rows))
                yield _Standing(group.who(-1, number), pid, at, since, works, item)

    @staticmethod
    def _at(place: int, rows: list[memoryview], turn: int | None) -> tuple[str, bool, int | None]:
        """In words; whether that is work of its own; and the number of the item, where it is known."""
        first, last = rows[0], rows[-1]
        if first[Cell.STATE] == State.STARTING:
            return "starting", True, None
        if first[Cell.AT_ONCE]:
            return f"in {first[Cell.AT_ONCE]} items at once", True, None
        if is_waiting(first, Cell.STARVED):
            return ("waiting for items" if turn is None else f"waiting for item {turn}"), False, None
        if is_waiting(last, Cell.BLOCKED):
            return "waiting for credit", False, None
        if place == 0:
            made = int(first[Cell.SENT])
            return (f"making item {made}" if len(rows) == 1 else f"at work after {made} items"), True, None
        item = int(first[Cell.INDEX])
        return f"in item {item}", True, item


def _is_stopped(pid: int) -> bool:
    """Whether a process rests until it gets SIGCONT: by SIGSTOP, Ctrl-Z or a debugger. See proc_pid_stat(5)."""
    try:
        _, _, rest = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")
    except OSError:  # it has just died
        return False
    return rest[:1] in "Tt"

"""Stalls: when an item has moved last, and what to tell if that is too long ago."""

from __future__ import annotations

import time
from collections.abc import Iterable

from ..errors import Failure
from ..ipc.board import Cell, State
from ..messages import failure_texts
from ..messages.names import Item
from .worker_status import Roster, Rows, Whereabouts, moved_last, stacks_of, standings, table_of, turns

__all__ = ["Stalls"]

START_UP = 60.0  # seconds; a worker may import large libraries before its first item, on a busy machine


class Stalls:
    """Looks at a run's board, and changes nothing.

    seconds: without any movement, until that is a stall. suspicion: what may make workers wait; empty for nothing.
    """

    def __init__(self, roster: Roster, rows: Rows, seconds: float, suspicion: str = "") -> None:
        self._roster = roster
        self._rows = rows
        self._seconds = seconds
        self._suspicion = suspicion

    def due(self) -> float:
        """When to look again, in seconds of the monotonic clock: sooner there cannot be a stall."""
        return max(self._roster.opened, moved_last(self._roster, self._rows)) / 1e9 + self._allowed()

    def _allowed(self) -> float:
        """Seconds without any movement; more while a worker starts, for which items may wait."""
        is_starting = any(
            self._rows(team.rows[0] + number)[Cell.STATE] == State.STARTING
            for team in self._roster.teams
            for number in range(team.at_first)
        )
        return max(self._seconds, START_UP) if is_starting else self._seconds

    def failure(self) -> Failure:
        """What to tell."""
        now = time.monotonic_ns()
        found = list(standings(self._roster, self._rows))
        awaited = turns(self._roster, self._rows).values()
        # To blame: who is in the item for which others wait, or else who has been at work for longest.
        at_work = [each for each in found if each.works] or found
        holder = min(at_work, key=lambda each: (each.item is None or each.item not in awaited, each.since))
        item = Item(holder.item) if holder.item is not None else None
        lines = [*table_of(found, now).splitlines(), self._suspicion]
        return failure_texts.stalled(holder.who, holder.pid, holder.at, self._allowed(), lines, item)

    def where(self, found: Iterable[Whereabouts]) -> str:
        """What to note with it."""
        return stacks_of(self._roster, self._rows, found)

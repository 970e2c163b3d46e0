"""Stalls: when an item has moved last, and what to tell if that is too long ago."""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import Failure
from ..ipc.board import State
from ..messages import failure_texts
from ..messages.names import Item
from ..progress.reading import Reading
from .worker_status import Roster, WorkerStack, moved_last, stacks_of, table_of, turns, worker_statuses

__all__ = ["Stalls"]

# Seconds; a worker may import large libraries before its first item, on a busy machine.
START_UP = 60.0


class Stalls:
    """Looks at readings of a run, and changes nothing.

    seconds: without any movement, until that is a stall. suspicion: what may make workers wait; empty for nothing.
    """

    def __init__(self, roster: Roster, seconds: float, suspicion: str = "") -> None:
        self._roster = roster
        self._seconds = seconds
        self._suspicion = suspicion

    def due(self, reading: Reading) -> float:
        """When to look again, in seconds of the monotonic clock: sooner there cannot be a stall."""
        return max(self._roster.opened, moved_last(self._roster, reading)) / 1e9 + self._allowed(reading)

    def _allowed(self, reading: Reading) -> float:
        """Seconds without any movement; more while a worker starts, for which items may wait."""
        is_starting = any(
            stages[0].state == State.STARTING
            for team, workers in self._roster.by_team(reading)
            for stages in workers[: team.at_first]
        )
        return max(self._seconds, START_UP) if is_starting else self._seconds

    def failure(self, reading: Reading) -> Failure:
        """What to tell."""
        found = list(worker_statuses(self._roster, reading))
        awaited = turns(self._roster, reading).values()
        # To blame: who is in the item for which others wait, or else who has been at work for longest.
        at_work = [each for each in found if each.works] or found
        holder = min(at_work, key=lambda each: (each.item is None or each.item not in awaited, each.since))
        item = Item(holder.item) if holder.item is not None else None
        lines = [*table_of(found, reading.now).splitlines(), self._suspicion]
        return failure_texts.stalled(holder.who, holder.pid, holder.at, self._allowed(reading), lines, item)

    def stacks(self, reading: Reading, found: Iterable[WorkerStack]) -> str:
        """What to note with it."""
        return stacks_of(self._roster, reading, found)

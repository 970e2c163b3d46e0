"""Stalls: detects that no item has moved for too long, and describes the state of the run."""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import Failure
from ..ipc.board import State
from ..messages import failure_texts
from ..messages.names import Item
from ..progress.reading import Reading
from .worker_status import Roster, WorkerStack, moved_last, stacks_of, table_of, turns, worker_statuses

__all__ = ["Stalls"]

# Seconds. Before its first item, a worker may import large libraries on a busy machine.
START_UP = 60.0


class Stalls:
    """Finds stalls in readings of a run.

    seconds: how long nothing moves in a stall. suspicion: a possible cause, as text; empty for none.
    """

    def __init__(self, roster: Roster, seconds: float, suspicion: str = "") -> None:
        self._roster = roster
        self._seconds = seconds
        self._suspicion = suspicion

    def due(self, reading: Reading) -> float:
        """The earliest possible time of a stall, in seconds of the monotonic clock."""
        return max(self._roster.opened, moved_last(self._roster, reading)) / 1e9 + self._allowed(reading)

    def _allowed(self, reading: Reading) -> float:
        """Seconds for which nothing may move. The time is longer while a worker starts: items may wait for it."""
        is_starting = any(
            stages[0].state == State.STARTING
            for group, workers in self._roster.by_group(reading)
            for stages in workers[: group.at_first]
        )
        return max(self._seconds, START_UP) if is_starting else self._seconds

    def failure(self, reading: Reading) -> Failure:
        """The failure of the run because of a stall."""
        found = list(worker_statuses(self._roster, reading))
        awaited = turns(self._roster, reading).values()
        # The cause is the worker in the item that others wait for, or else the worker that is at work for longest.
        at_work = [each for each in found if each.works] or found
        holder = min(at_work, key=lambda each: (each.item is None or each.item not in awaited, each.since))
        item = Item(holder.item) if holder.item is not None else None
        lines = [*table_of(found, reading.now).splitlines(), self._suspicion]
        return failure_texts.stalled(holder.who, holder.pid, holder.at, self._allowed(reading), lines, item)

    def stacks(self, reading: Reading, found: Iterable[WorkerStack]) -> str:
        """The stacks of the workers, as a text."""
        return stacks_of(self._roster, reading, found)

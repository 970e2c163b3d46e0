"""Stalls: detects that no item has moved for too long, and describes the state of the run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from ..errors import Failure
from ..ipc.board import State
from ..messages import failure_texts
from ..messages.names import Item
from ..progress.reading import Reading
from .worker_status import Roster, WorkerStack, moved_last, stacks_of, table_of, turns, worker_statuses

__all__ = ["Stall", "Stalls"]

# Seconds. Before its first item, a worker may import large libraries on a busy machine.
START_UP = 60.0
# Seconds that all workers have to write their stacks when the run has stalled.
STACKS_WITHIN = 0.5


class Stall(NamedTuple):
    """A stall that was found: its failure, the reading that shows it, and the stacks of all workers as a text."""

    failure: Failure
    reading: Reading
    stacks: str


class Stalls:
    """Finds a stall in readings of a run, in two steps: workers first write their stacks.

    seconds: how long nothing moves in a stall. suspicion: a possible cause, as text; empty for none.
    """

    def __init__(self, roster: Roster, seconds: float, suspicion: str = "") -> None:
        self._roster = roster
        self._seconds = seconds
        self._suspicion = suspicion
        # When the workers were asked for their stacks, in seconds of the monotonic clock; 0 if they were not asked.
        self._asked = 0.0

    def next_look(self, reading: Reading) -> float:
        """When `check()` needs the next reading, in seconds of the monotonic clock.

        This may be earlier than `due()`. While a worker starts, more time is allowed, and when it has started, nobody
        wakes the supervisor.
        """
        if self._asked:
            return self._asked + STACKS_WITHIN
        return min(self.due(reading), reading.now / 1e9 + self._seconds)

    def check(
        self, reading: Reading, ask: Callable[[], None], stacks: Callable[[], Iterable[WorkerStack]]
    ) -> Stall | None:
        """Call `ask` when a stall is due. If the run still stalls when there was time to answer, return the stall.

        stacks: returns the stacks that the workers have written.
        """
        now = reading.now / 1e9
        if self._asked and now < self._asked + STACKS_WITHIN:
            return None
        was_asked, self._asked = self._asked, 0.0
        # The request for stacks may have woken a worker.
        if self.due(reading) > now:
            return None
        if not was_asked:
            self._asked = now
            ask()
            return None
        return Stall(self.failure(reading), reading, stacks_of(self._roster, reading, stacks()))

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

"""Stalls: detects that no item has moved for too long, and describes the state of the run."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from ..errors import Failure
from ..ipc.board import State
from ..messages import failure_texts
from ..messages.names import Item
from ..progress.reading import Reading
from .run_stacks import STACKS_WITHIN
from .worker_status import (
    Roster,
    WorkerStack,
    WorkerStatus,
    is_awaited,
    moved_last,
    stacks_of,
    table_of,
    turns,
    worker_statuses,
)

__all__ = ["Stall", "Stalls"]

# Seconds. Before its first item, a worker may import large libraries, or load a model, on a busy machine.
START_UP = 60.0
# Seconds of a stall until each warning about it.
WARN_AFTER = (60.0, 600.0)


class Stall(NamedTuple):
    """A stall that ends the run: its failure, the reading that shows it, and the stacks of all workers as a text."""

    failure: Failure
    reading: Reading
    stacks: str


class Threshold(NamedTuple):
    """What a stall leads to next: a warning, or the end of the run. Of two at the same time, the end comes first.

    due: in seconds of the monotonic clock. seconds: for how long nothing has moved then.
    """

    due: float
    is_warning: bool
    seconds: float


class Stalls:
    """Finds stalls in readings of a run. A stall leads to warnings, and to the end of the run if it has a limit.

    Before the end, the workers write their stacks. A warning does not request this: the request is a signal, which a
    library may take for the end of its wait, and a run that waits for its next item must not fail because of a warning.

    limit: seconds until a stall ends the run; None if no stall does. warn: logs a text. suspicion: a possible cause, as
    text; empty for none. timed: the indexes of groups with a time limit for each item.
    """

    def __init__(
        self,
        roster: Roster,
        limit: float | None,
        warn: Callable[[str], None],
        suspicion: str = "",
        timed: Collection[int] = (),
    ) -> None:
        self.limit = limit
        self._roster = roster
        self._warn = warn
        self._suspicion = suspicion
        self._timed = timed
        self._shortest = min(WARN_AFTER[0], limit or math.inf)
        # When `check` needs the next reading, in seconds of the monotonic clock.
        self.next_look = roster.opened / 1e9 + self._shortest
        # Whether the workers were asked for their stacks.
        self._was_asked = False
        # When something moved last, in ns, and the number of warnings since then.
        self._moved = 0
        self._warnings = 0
        # The number of stalls that have passed after a warning.
        self._passed = 0
        # When the run last waited only for workers that may take their time, in seconds.
        self._excused = 0.0

    def check(
        self,
        reading: Reading,
        ask: Callable[[], None],
        stacks: Callable[[], Iterable[WorkerStack]],
        *,
        in_loop: bool = False,
    ) -> Stall | None:
        """Log a warning when it is due. Call `ask` when the end is due, and return the stall if it then still lasts.

        stacks: returns the stacks that the workers have written. in_loop: the last worker is the caller's loop, which
        does not request an item.
        """
        now = reading.now / 1e9
        was_asked, self._was_asked = self._was_asked, False
        if (moved := moved_last(self._roster, reading)) > self._moved:
            self._passed += self._warnings > 0
            self._moved, self._warnings = moved, 0
        # The request for stacks may have woken a worker.
        found = list(worker_statuses(self._roster, reading)) if self.due(reading) <= now else []
        if found:
            threshold = min(self._thresholds(reading))
            if threshold.is_warning:
                self._report(reading, found, threshold.seconds, in_loop)
            elif was_asked:
                failure = self.failure(reading, found, threshold.seconds)
                return Stall(failure, reading, stacks_of(stacks()))
            else:
                self._was_asked = True
                ask()
        # While a worker starts, more time is allowed, and when it has started, nobody wakes the supervisor.
        due = self.due(reading)
        self.next_look = min(due, now + self._shortest) if due > now else now + STACKS_WITHIN
        return None

    def due(self, reading: Reading) -> float:
        """The earliest possible time of the next warning or of the end, in seconds of the monotonic clock."""
        return min((each.due for each in self._thresholds(reading)), default=math.inf)

    def _thresholds(self, reading: Reading) -> Iterator[Threshold]:
        """The next warning, if one is left, and the end, if there is a limit.

        A stall that has passed after a warning doubles the times of later warnings. So slow items cause few warnings.
        """
        moved = max(self._roster.opened, moved_last(self._roster, reading)) / 1e9
        if self.limit is not None:
            seconds = self._allowed(reading, self.limit)
            yield Threshold(moved + seconds, is_warning=False, seconds=seconds)
        if self._warnings < len(WARN_AFTER):
            seconds = self._allowed(reading, WARN_AFTER[self._warnings]) * 2**self._passed
            yield Threshold(max(moved, self._excused) + seconds, is_warning=True, seconds=seconds)

    def _allowed(self, reading: Reading, seconds: float) -> float:
        """Seconds for which nothing may move. The time is longer while a worker starts or is set up."""
        is_starting = any(
            stages[0].state == State.STARTING and is_awaited(group, number, stages[0])
            for group, workers in self._roster.by_group(reading)
            for number, stages in enumerate(workers)
        )
        return max(seconds, START_UP) if is_starting else seconds

    def _report(self, reading: Reading, found: Sequence[WorkerStatus], seconds: float, in_loop: bool) -> None:
        """Log a warning, unless the run waits only for workers that may take their time.

        These are the caller's loop between two items, and workers in items with a time limit. No limit applies to the
        start of a worker.
        """
        loop = len(self._roster.groups) - 1 if in_loop else None
        at_work = [each for each in found if each.works]
        if at_work and all(
            each.slot[0] == loop or (each.slot[0] in self._timed and each.has_items) for each in at_work
        ):
            self._excused = reading.now / 1e9
            return
        self._warnings += 1
        self._warn(str(self.failure(reading, found, seconds, goes_on=True)))

    def failure(
        self, reading: Reading, found: Sequence[WorkerStatus], seconds: float, *, goes_on: bool = False
    ) -> Failure:
        """The failure of a run in which nothing has moved for some seconds. goes_on: only its text is needed."""
        awaited = turns(self._roster, reading).values()
        # The cause is the worker in the item that others wait for, or else the worker that is at work for longest.
        at_work = [each for each in found if each.works] or found
        holder = min(at_work, key=lambda each: (each.item is None or each.item not in awaited, each.since))
        item = Item(holder.item) if holder.item is not None else None
        lines = [*table_of(found, reading.now).splitlines(), self._suspicion]
        advice = failure_texts.stall_goes_on(self.limit) if goes_on else failure_texts.STALL_ENDS
        return failure_texts.stalled(holder.who, holder.pid, holder.at, seconds, [*lines, advice], item)

"""Autoscaler: how many workers each auto stage has while a run goes on, by what the board and the system tell.

The supervisor looks here when that is due; nobody polls. A window is twice as long as the one before while nothing is
decided: so the first looks come soon, and a run that goes evenly is seldom looked at.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from typing import TypeAlias

from ..ipc.board import State
from ..ipc.cpus import processors
from ..lazy_dataclass import dataclass
from ..messages.names import Role
from ..plan.operators import Operator
from ..progress.reading import Reading
from ..progress.scaling_rule import HOLDS_UP, Decision, Pool, Trial, scale
from .meter import Meter
from .utilisation import SECOND, Mark, Utilisation, mark, utilisation
from .wiring import Wiring
from .worker_slot import WorkerSlot

__all__ = ["Autoscaler"]

# Seconds; the first window: the kernel counts processors in ticks of up to 10 ms.
SHORT = 0.1
# Seconds; the longest window: what changes is seen within two of them.
LONG = 2.0
# Seconds for which workers have been idle before they are taken back.
IDLE = 1.0
# Seconds before a stage is given again what it has lost; twice as long each time.
HOLD = 2.0
# Seconds.
LONGEST_HOLD = 64.0
# Seconds before it is told what more workers have brought.
TRIED = 0.5
# Items in a window whose rate is to be compared.
COUNTED = 8
# Seconds for which so many are waited for.
PATIENCE = 5.0

# By group: how many workers it is to have, and why.
Changes: TypeAlias = dict[int, tuple[int, str]]


@dataclass(slots=True)
class _Line:
    """What is remembered of an auto stage.

    commits: its workers must not end before it is known how the run does. trial: of the workers that it was given last,
    until it is known what came of them. most: how many it may have until a time, in seconds of the monotonic clock.
    losses: how often it has lost some.
    """

    commits: bool
    trial: Trial | None = None
    most: int = 0
    until: float = 0.0
    losses: int = 0

    def hold(self, workers: int) -> None:
        """For a while it may have no more than these."""
        self.most, self.until = workers, time.monotonic() + min(HOLD * 2**self.losses, LONGEST_HOLD)
        self.losses += 1

    def needs_more(self, pool: Pool, received: int, seconds: float) -> bool:
        """Whether the window is to go on, until it can tell a rate that somebody wants to know."""
        may_grow = pool.workers > 1 and pool.most > pool.workers and pool.load >= HOLDS_UP
        is_short = received < COUNTED and seconds < PATIENCE
        return is_short and may_grow if self.trial is None else is_short or seconds < TRIED


class Autoscaler:
    """Decides; belongs to the supervisor's thread, which tells it who is there, and starts whom it wants."""

    def __init__(self, wiring: Wiring, meter: Meter) -> None:
        self._wiring = wiring
        self._meter = meter
        self._lines: dict[int, _Line] = {}
        for group, each in enumerate(wiring.groups):
            # A sink function may commit what it has as its input ends.
            if each.is_auto:
                last = each.stages[-1]
                self._lines[group] = _Line(last.role is Role.SINK and not isinstance(last.call, Operator))
        self._processors = processors() if self._lines else 0
        # The window that goes on, if there is one.
        self._began: Mark | None = None
        # That it is to last.
        self._seconds = SHORT
        self._due = time.monotonic() + SHORT
        self.decisions: list[Decision] = []

    @property
    def due(self) -> float | None:
        """When to look again, in seconds of the monotonic clock; None where no stage is auto."""
        return self._due if self._lines else None

    def look(self, active: Collection[WorkerSlot], occupied: Collection[WorkerSlot]) -> Sequence[WorkerSlot]:
        """The slots in which workers are to be started now. Who is not needed is asked to retire.

        active: whose workers have not said how they ended. occupied: where nobody can be started yet.
        """
        began, self._began = self._began, None
        reading = self._meter.read()
        if not all(_is_settled(slot, reading) for slot in active):
            self._due = time.monotonic() + SHORT
            return ()
        self._due = time.monotonic() + self._seconds
        hosts = {slot.pid: slot.group_index for slot in active if slot.group.own_process}
        now = mark(reading, self._meter.interpreter, hosts)
        if began is None:
            self._began = now
            return ()
        seen = utilisation(self._meter.places, began, now, hosts)
        staying = [
            [slot for slot in slots if slot in active and not slot.read_in(reading).retires]
            for slots in self._wiring.slots
        ]
        pools = {group: self._pool(group, slots, reading, seen) for group, slots in enumerate(staying) if slots}
        lines = {group: line for group, line in self._lines.items() if group in pools}
        if any(line.needs_more(pools[group], seen.received[group], seen.seconds) for group, line in lines.items()):
            self._began = began
            return ()
        changes = _failed(lines, pools, seen) or self._wanted(pools, seen)
        before = len(self.decisions)
        started = [
            slot
            for group, change in changes.items()
            for slot in self._change(change, staying[group], active, occupied, reading)
        ]
        if len(self.decisions) == before:
            self._began, self._seconds = now, min(2 * self._seconds, LONG)
        else:
            self._seconds = SHORT
        self._due = time.monotonic() + self._seconds
        return started

    def _pool(self, group: int, staying: Sequence[WorkerSlot], reading: Reading, seen: Utilisation) -> Pool:
        """The workers of a group that are not about to retire, and how many there may be next."""
        workers = len(staying)
        least = most = workers
        line = self._lines.get(group)
        if line is not None and not _has_ended(self._wiring.slots[group], reading):
            least = workers if line.commits or seen.seconds < IDLE else 1
            most = max(workers, line.most if time.monotonic() < line.until else self._wiring.groups[group].workers)
        return Pool(self._wiring.groups[group].names[0][1], workers, min(seen.busy[group], workers), least, most)

    def _wanted(self, pools: Mapping[int, Pool], seen: Utilisation) -> Changes:
        """What the figures call for; where they tell a rate, it is remembered what is hoped for."""
        groups = list(pools)
        room, found = scale(list(pools.values()), self._processors, seen.asked)
        changes = {groups[place]: change for place, change in found.items()}
        for group, (workers, _) in changes.items():
            if workers < pools[group].workers:
                self._lines[group].hold(workers)
            elif seen.received[group] >= COUNTED:
                rate = seen.received[group] / seen.seconds
                self._lines[group].trial = Trial(pools[group].workers, workers, rate, seen.asked, room)
        return changes

    def _change(
        self,
        change: tuple[int, str],
        staying: Sequence[WorkerSlot],
        active: Collection[WorkerSlot],
        occupied: Collection[WorkerSlot],
        reading: Reading,
    ) -> Sequence[WorkerSlot]:
        """Ask workers to retire, or to stay after all; returns the slots in which others are to be started."""
        workers, reason = change
        for slot in staying[workers:]:
            slot.retire()
        slots = [slot for slot in self._wiring.slots[staying[0].group_index] if slot not in staying]
        # And they may still wait for an item.
        asked = [slot for slot in slots if slot in active]
        free = [slot for slot in slots if slot not in occupied]
        given = [*asked, *free][: max(workers - len(staying), 0)]
        for slot in given:
            if slot in asked:
                slot.keep()
            else:
                slot.is_retired = False
                slot.input_before = slot.read_in(reading).input_mark
        after = min(workers, len(staying) + len(given))
        if after != len(staying):
            stage = staying[0].group.names[0][1]
            self.decisions.append(Decision(reading.at / SECOND, stage, len(staying), after, reason))
        return [slot for slot in given if slot not in asked]


def _is_settled(slot: WorkerSlot, reading: Reading) -> bool:
    """Whether a worker has begun with its input: before that it may load what it needs, however long that takes.

    The caller begins when it likes; until then, the others wait for it.
    """
    if slot.group.is_caller:
        return True
    worker = slot.read_in(reading)
    return worker.started > 0 and (slot.group_index == 0 or worker.input_mark != slot.input_before)


def _has_ended(slots: Sequence[WorkerSlot], reading: Reading) -> bool:
    """Whether a worker has come to the end of all input, or has stopped: more of them would find nothing to do."""
    workers = (slot.read_in(reading) for slot in slots if not slot.is_retired)
    return any(worker.state in {State.DONE, State.STOPPED} for worker in workers)


def _failed(lines: Mapping[int, _Line], pools: Mapping[int, Pool], seen: Utilisation) -> Changes:
    """Who loses again what was of no use."""
    changes = {}
    for group, line in lines.items():
        trial, line.trial = line.trial, None
        reason = trial.failure(seen.received[group] / seen.seconds, seen.asked) if trial is not None else None
        if trial is not None and reason is not None:
            keeps = pools[group].workers if line.commits else trial.before
            line.hold(keeps)
            changes[group] = (keeps, reason)
    return changes

"""The autoscaler decides how many workers each "auto" stage has while a run goes on.

It uses measurements of the board and of the operating system. The supervisor calls it when a measurement is due; no
thread polls. While no decision is made, each window of time is twice as long as the one before. So the first
measurements come soon, and a steady run is measured rarely.
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

# Seconds of the first window. The kernel counts processor time in ticks of up to 10 ms, so a window cannot be shorter.
SHORT = 0.1
# Seconds of the longest window. A change is noticed within two windows.
LONG = 2.0
# Seconds for which workers must have been idle before they are retired.
IDLE = 1.0
# Seconds before a stage may have as many workers again as it has lost. The time doubles with each loss.
HOLD = 2.0
# The largest number of these seconds.
LONGEST_HOLD = 64.0
# Seconds before the result of added workers is judged.
TRIED = 0.5
# The least number of items in a window whose rate can be compared.
COUNTED = 8
# Seconds after which a window ends even with fewer items.
PATIENCE = 5.0

# By index of the group: how many workers it should have, and why.
Changes: TypeAlias = dict[int, tuple[int, str]]


@dataclass(slots=True)
class _AutoStage:
    """The memory of the autoscaler for one "auto" stage.

    commits: its workers must not end before the result of the run is known. trial: the last addition of workers, until
    its result is known. most, until: the stage may have `most` workers until this time, in seconds of the monotonic
    clock. losses: how often the stage has lost workers.
    """

    commits: bool
    trial: Trial | None = None
    most: int = 0
    until: float = 0.0
    losses: int = 0

    def hold(self, workers: int) -> None:
        """Allow no more workers than these for some time."""
        self.most, self.until = workers, time.monotonic() + min(HOLD * 2**self.losses, LONGEST_HOLD)
        self.losses += 1

    def needs_more(self, pool: Pool, received: int, seconds: float) -> bool:
        """Whether the window should go on because it cannot give a rate yet, and the rate is needed."""
        may_grow = pool.workers > 1 and pool.most > pool.workers and pool.load >= HOLDS_UP
        is_short = received < COUNTED and seconds < PATIENCE
        return is_short and may_grow if self.trial is None else is_short or seconds < TRIED


class Autoscaler:
    """Decides how many workers to have; the supervisor starts them. Belongs to the supervisor's thread."""

    def __init__(self, wiring: Wiring, meter: Meter) -> None:
        self._wiring = wiring
        self._meter = meter
        self._auto_stages: dict[int, _AutoStage] = {}
        for group, each in enumerate(wiring.groups):
            if each.is_auto:
                last = each.stages[-1]
                # A sink function may commit its results when its input ends.
                commits = last.role is Role.SINK and not isinstance(last.call, Operator)
                self._auto_stages[group] = _AutoStage(commits)
        self._processors = processors() if self._auto_stages else 0
        # The begin of the current window.
        self._began: Mark | None = None
        # How long the current window should last.
        self._seconds = SHORT
        self._due = time.monotonic() + SHORT
        self.decisions: list[Decision] = []

    @property
    def due(self) -> float | None:
        """When to measure again, in seconds of the monotonic clock; None if no stage is "auto"."""
        return self._due if self._auto_stages else None

    def decide(self, active: Collection[WorkerSlot], occupied: Collection[WorkerSlot]) -> Sequence[WorkerSlot]:
        """The slots in which workers should be started now. Asks superfluous workers to retire.

        active: the slots whose workers have not reported their end. occupied: the slots in which no worker can be
        started yet.
        """
        began, self._began = self._began, None
        reading = self._meter.read()
        if not all(_is_settled(slot, reading) for slot in active):
            self._due = time.monotonic() + SHORT
            return ()
        self._due = time.monotonic() + self._seconds
        hosts = {slot.pid: slot.group_index for slot in active if slot.group.executor.capabilities.has_own_pid}
        now = mark(reading, self._meter.interpreter, hosts)
        if began is None:
            self._began = now
            return ()
        seen = utilisation(self._meter.stage_facts, began, now, hosts)
        staying = [
            [slot for slot in slots if slot in active and not slot.read_in(reading).retires]
            for slots in self._wiring.slots
        ]
        pools = {group: self._pool(group, slots, reading, seen) for group, slots in enumerate(staying) if slots}
        stages = {group: stage for group, stage in self._auto_stages.items() if group in pools}
        if any(stage.needs_more(pools[group], seen.received[group], seen.seconds) for group, stage in stages.items()):
            self._began = began
            return ()
        changes = _failed_trials(stages, pools, seen) or self._wanted(pools, seen)
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
        """The workers of a group without those that retire, and how many workers it may have next."""
        workers = len(staying)
        least = most = workers
        stage = self._auto_stages.get(group)
        if stage is not None and not _has_ended(self._wiring.slots[group], reading):
            least = workers if stage.commits or seen.seconds < IDLE else 1
            most = max(workers, stage.most if time.monotonic() < stage.until else self._wiring.groups[group].workers)
        return Pool(self._wiring.groups[group].names[0][1], workers, min(seen.busy[group], workers), least, most)

    def _wanted(self, pools: Mapping[int, Pool], seen: Utilisation) -> Changes:
        """The changes by the scaling rule. If there is a rate, also remember the expected gain."""
        groups = list(pools)
        room, found = scale(list(pools.values()), self._processors, seen.demand)
        changes = {groups[index]: change for index, change in found.items()}
        for group, (workers, _) in changes.items():
            if workers < pools[group].workers:
                self._auto_stages[group].hold(workers)
            elif seen.received[group] >= COUNTED:
                rate = seen.received[group] / seen.seconds
                self._auto_stages[group].trial = Trial(pools[group].workers, workers, rate, seen.demand, room)
        return changes

    def _change(
        self,
        change: tuple[int, str],
        staying: Sequence[WorkerSlot],
        active: Collection[WorkerSlot],
        occupied: Collection[WorkerSlot],
        reading: Reading,
    ) -> Sequence[WorkerSlot]:
        """Ask workers to retire, or to stay after all. Returns the slots in which workers should be started."""
        workers, reason = change
        for slot in staying[workers:]:
            slot.retire()
        slots = [slot for slot in self._wiring.slots[staying[0].group_index] if slot not in staying]
        # Workers that were asked to retire may still wait for an item.
        retiring = [slot for slot in slots if slot in active]
        free = [slot for slot in slots if slot not in occupied]
        added = [*retiring, *free][: max(workers - len(staying), 0)]
        for slot in added:
            if slot in retiring:
                slot.keep()
            else:
                slot.is_retired = False
                slot.input_before = slot.read_in(reading).input_mark
        after = min(workers, len(staying) + len(added))
        if after != len(staying):
            stage = staying[0].group.names[0][1]
            self.decisions.append(Decision(reading.at / SECOND, stage, len(staying), after, reason))
        return [slot for slot in added if slot not in retiring]


def _is_settled(slot: WorkerSlot, reading: Reading) -> bool:
    """Whether a worker has begun with its input. Before that it may load libraries, for any length of time.

    The caller's own worker always counts as settled: the caller may begin at any time, and the other workers wait for
    it until then.
    """
    if slot.group.is_caller:
        return True
    worker = slot.read_in(reading)
    return worker.started > 0 and (slot.group_index == 0 or worker.input_mark != slot.input_before)


def _has_ended(slots: Sequence[WorkerSlot], reading: Reading) -> bool:
    """Whether a worker has reached the end of all input, or has stopped. More workers would find no work."""
    workers = (slot.read_in(reading) for slot in slots if not slot.is_retired)
    return any(worker.state in {State.DONE, State.STOPPED} for worker in workers)


def _failed_trials(stages: Mapping[int, _AutoStage], pools: Mapping[int, Pool], seen: Utilisation) -> Changes:
    """The changes that take back added workers which have not helped. Ends all trials."""
    changes = {}
    for group, stage in stages.items():
        trial, stage.trial = stage.trial, None
        reason = trial.failure(seen.received[group] / seen.seconds, seen.demand) if trial is not None else None
        if trial is not None and reason is not None:
            keeps = pools[group].workers if stage.commits else trial.before
            stage.hold(keeps)
            changes[group] = (keeps, reason)
    return changes

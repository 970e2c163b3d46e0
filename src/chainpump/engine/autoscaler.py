"""Staffing: how many workers each auto stage has while a run goes on, by what the board and the system tell.

The supervisor looks here when that is due; nobody polls. A window is twice as long as the one before while nothing is
decided: so the first looks come soon, and a run that goes evenly is seldom looked at.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from typing import TypeAlias

from ..ipc.board import Cell, State
from ..ipc.cpus import processors
from ..lazy_dataclass import dataclass, field
from ..plan.operators import Operator
from ..plan.planned_stage import Role
from ..progress.scaling_rule import HOLDS_UP, Crew, Decision, Trial, allot
from .meter import Meter
from .utilisation import Figures, Mark, figures, mark
from .wiring import Wiring

__all__ = ["Staffing"]

SHORT = 0.1  # seconds; the first window: the kernel counts processors in ticks of up to 10 ms
LONG = 2.0  # seconds; the longest window: what changes is seen within two of them
IDLE = 1.0  # seconds for which workers have been idle before they are taken back
HOLD = 2.0  # seconds before a stage is given again what it has lost; twice as long each time
LONGEST_HOLD = 64.0  # seconds
TRIED = 0.5  # seconds before it is told what more workers have brought
COUNTED = 8  # items in a window whose rate is to be compared
PATIENCE = 5.0  # seconds for which so many are waited for

Place: TypeAlias = tuple[int, int]  # group and number of a worker
Changes: TypeAlias = dict[int, tuple[int, str]]  # by group: how many workers it is to have, and why


@dataclass(slots=True)
class _Line:
    """What is remembered of an auto stage.

    commits: its workers must not end before it is known how the run does. trial: of the workers that it was given last,
    until it is known what came of them. most: how many it may have until a time, in seconds of the monotonic clock.
    losses: how often it has lost some. retired: the numbers of those that were asked to retire, and in whose places
    nobody was started since.
    """

    commits: bool
    trial: Trial | None = None
    most: int = 0
    until: float = 0.0
    losses: int = 0
    retired: set[int] = field(default_factory=set)

    def hold(self, workers: int) -> None:
        """For a while it may have no more than these."""
        self.most, self.until = workers, time.monotonic() + min(HOLD * 2**self.losses, LONGEST_HOLD)
        self.losses += 1

    def needs_more(self, crew: Crew, received: int, seconds: float) -> bool:
        """Whether the window is to go on, until it can tell a rate that somebody wants to know."""
        may_grow = crew.workers > 1 and crew.most > crew.workers and crew.load >= HOLDS_UP
        is_short = received < COUNTED and seconds < PATIENCE
        return is_short and may_grow if self.trial is None else is_short or seconds < TRIED


class Staffing:
    """Decides; belongs to the supervisor's thread, which tells it who is there, and starts whom it wants."""

    def __init__(self, wiring: Wiring, meter: Meter) -> None:
        self._wiring = wiring
        self._meter = meter
        self._lines: dict[int, _Line] = {}
        for group, each in enumerate(wiring.groups):
            if each.is_auto:  # a sink function may commit what it has as its input ends
                last = each.stages[-1]
                self._lines[group] = _Line(last.role is Role.SINK and not isinstance(last.call, Operator))
        self._processors = processors() if self._lines else 0
        self._began: Mark | None = None  # the window that goes on, if there is one
        self._seconds = SHORT  # that it is to last
        self._heard: dict[Place, tuple[int, int]] = {}  # what a row told of its input as a worker was given
        self._due = time.monotonic() + SHORT
        self.decisions: list[Decision] = []

    @property
    def due(self) -> float | None:
        """When to look again, in seconds of the monotonic clock; None where no stage is auto."""
        return self._due if self._lines else None

    def look(self, active: Mapping[Place, int], occupied: Collection[Place]) -> Sequence[Place]:
        """The places in which workers are to be started now. Who is not needed is asked to retire.

        active: the process of each worker that has not said how it ended. occupied: where nobody can be started yet.
        """
        began, self._began = self._began, None
        if not all(map(self._is_settled, active)):
            self._due = time.monotonic() + SHORT
            return ()
        self._due = time.monotonic() + self._seconds
        groups = self._wiring.groups
        hosts = {pid: group for (group, _), pid in active.items() if groups[group].own_process}
        now = mark(self._meter, hosts)
        if began is None:
            self._began = now
            return ()
        seen = figures(self._meter.places, began, now, hosts)
        crews = {group: crew for group in range(len(groups)) if (crew := self._crew(group, active, seen)).workers}
        lines = {group: line for group, line in self._lines.items() if group in crews}
        if any(line.needs_more(crews[group], seen.received[group], seen.seconds) for group, line in lines.items()):
            self._began = began
            return ()
        changes = _failed(lines, crews, seen) or self._wanted(crews, seen)
        before = len(self.decisions)
        started = [
            place
            for group, change in changes.items()
            for place in self._change(group, change, active, occupied, seen.at)
        ]
        if len(self.decisions) == before:
            self._began, self._seconds = now, min(2 * self._seconds, LONG)
        else:
            self._seconds = SHORT
        self._due = time.monotonic() + self._seconds
        return started

    def _is_settled(self, place: Place) -> bool:
        """Whether a worker has begun with its input: before that it may load what it needs, however long that takes.

        The caller begins when it likes; until then, the others wait for it.
        """
        if self._wiring.groups[place[0]].is_caller:
            return True
        is_started = bool(self._row(place)[Cell.STARTED])
        return is_started and (place[0] == 0 or self._has_heard(place) != self._heard.get(place, (0, 0)))

    def _has_heard(self, place: Place) -> tuple[int, int]:
        row = self._row(place)
        return row[Cell.RECEIVED], row[Cell.STARVED]

    def _crew(self, group: int, active: Mapping[Place, int], seen: Figures) -> Crew:
        """The workers of a group that are not about to retire, and how many there may be next."""
        workers = len(self._staying(group, active))
        least = most = workers
        line = self._lines.get(group)
        if line is not None and not self._has_ended(group):
            least = workers if line.commits or seen.seconds < IDLE else 1
            most = max(workers, line.most if time.monotonic() < line.until else self._wiring.groups[group].workers)
        return Crew(self._wiring.groups[group].names[0][1], workers, min(seen.busy[group], workers), least, most)

    def _staying(self, group: int, active: Mapping[Place, int]) -> list[int]:
        numbers = (number for each, number in sorted(active) if each == group)
        return [number for number in numbers if not self._row((group, number))[Cell.RETIRES]]

    def _has_ended(self, group: int) -> bool:
        """Whether a worker has come to the end of all input, or has stopped: more of them would find nothing to do."""
        numbers = set(range(self._wiring.groups[group].workers)) - self._lines[group].retired
        return any(self._row((group, number))[Cell.STATE] in {State.DONE, State.STOPPED} for number in numbers)

    def _row(self, place: Place) -> memoryview:
        return self._wiring.board.row(self._wiring.groups[place[0]].rows[0][place[1]])

    def _wanted(self, crews: Mapping[int, Crew], seen: Figures) -> Changes:
        """What the figures call for; where they tell a rate, it is remembered what is hoped for."""
        groups = list(crews)
        room, found = allot(list(crews.values()), self._processors, seen.asked)
        changes = {groups[place]: change for place, change in found.items()}
        for group, (workers, _) in changes.items():
            if workers < crews[group].workers:
                self._lines[group].hold(workers)
            elif seen.received[group] >= COUNTED:
                rate = seen.received[group] / seen.seconds
                self._lines[group].trial = Trial(crews[group].workers, workers, rate, seen.asked, room)
        return changes

    def _change(
        self,
        group: int,
        change: tuple[int, str],
        active: Mapping[Place, int],
        occupied: Collection[Place],
        at: float,
    ) -> Sequence[Place]:
        """Ask workers to retire, or to stay after all; returns the places in which others are to be started."""
        (workers, reason), line = change, self._lines[group]
        staying = self._staying(group, active)
        for number in staying[workers:]:
            self._row((group, number))[Cell.RETIRES] = 1
            line.retired.add(number)
        numbers = [number for number in range(self._wiring.groups[group].workers) if number not in staying]
        asked = [number for number in numbers if (group, number) in active]  # and they may still wait for an item
        free = [number for number in numbers if (group, number) not in occupied]
        given = [*asked, *free][: max(workers - len(staying), 0)]
        for number in given:
            if number in asked:
                self._row((group, number))[Cell.RETIRES] = 0
            else:
                line.retired.discard(number)
                self._heard[group, number] = self._has_heard((group, number))
        after = min(workers, len(staying) + len(given))
        if after != len(staying):
            self.decisions.append(Decision(at, self._wiring.groups[group].names[0][1], len(staying), after, reason))
        return [(group, number) for number in given if number not in asked]


def _failed(lines: Mapping[int, _Line], crews: Mapping[int, Crew], seen: Figures) -> Changes:
    """Who loses again what was of no use."""
    changes = {}
    for group, line in lines.items():
        trial, line.trial = line.trial, None
        reason = trial.failure(seen.received[group] / seen.seconds, seen.asked) if trial is not None else None
        if trial is not None and reason is not None:
            keeps = crews[group].workers if line.commits else trial.before
            line.hold(keeps)
            changes[group] = (keeps, reason)
    return changes

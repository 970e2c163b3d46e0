"""What every worker of a run is at, as the board tells it: for the supervisor, and for whoever looks from outside."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from ..ipc.board import CELLS, State
from ..lazy_dataclass import dataclass, field
from ..messages.call_stacks import stacks
from ..messages.names import Role, Who
from ..messages.table import table
from ..progress.reading import Reading, Rows, WorkerReading, read_worker

__all__ = [
    "Roster",
    "Team",
    "WorkerStack",
    "WorkerStatus",
    "moved_last",
    "stacks_of",
    "table_of",
    "turns",
    "worker_statuses",
]

# Seconds for `ps`.
PATIENCE = 5.0


@dataclass(frozen=True, slots=True)
class Team:
    """A group, as far as a look at the board takes: see `wiring.Group`.

    stages: role as a text, name and place of definition of each. rows: of each stage, the row of its first worker.
    at_first: how many of its workers are there from the start. restores: whether it puts its items in order as they
    arrive.
    """

    stages: Sequence[tuple[str, str, str | None]]
    rows: Sequence[int]
    workers: int
    at_first: int
    restores: bool

    def who(self, number: int) -> Who:
        """A worker, named by its last stage; number counts from 0."""
        role, name, where = self.stages[-1]
        return Who(Role(role), name, number + 1, self.workers, where)


@dataclass(frozen=True, slots=True)
class Roster:
    """A run for whoever looks at its board.

    pid: the main process. opened: ns of the monotonic clock. cells: how many a row has. board, bell: by which numbers
    the system knows the board, and the pipe that wakes the supervisor; 0 where there is none.
    """

    teams: Sequence[Team]
    board: int = 0
    bell: int = 0
    cells: int = CELLS
    pid: int = field(default_factory=os.getpid)
    opened: int = field(default_factory=time.monotonic_ns)

    def read(self, row: Callable[[int], memoryview]) -> Reading:
        """A reading of its board. row: the cells of a row, by its number."""
        now = time.monotonic_ns()
        stages = [
            [
                read_worker(Rows(*(row(start + number) for start in (own, team.rows[0], team.rows[-1]))), now)
                for number in range(team.workers)
            ]
            for team in self.teams
            for own in team.rows
        ]
        return Reading(now - self.opened, 0, stages, now=now)

    def by_team(self, reading: Reading) -> Iterator[tuple[Team, Sequence[Sequence[WorkerReading]]]]:
        """Each team, and of each of its workers the readings of its stages."""
        stages = iter(reading.stages)
        for team in self.teams:
            yield team, list(zip(*islice(stages, len(team.stages)), strict=True))

    def packed(self) -> str:
        """As one line of plain values: nobody else is to load a pickle of this process."""
        return json.dumps(self, default=_fields)

    @classmethod
    def unpacked(cls, text: str) -> Roster:
        """What `packed` has made. Raises ValueError, LookupError or TypeError if another version has made it."""
        told = json.loads(text)
        teams = [Team(**{**team, "stages": [tuple(stage) for stage in team["stages"]]}) for team in told["teams"]]
        if not all(len(team.stages) == len(team.rows) > 0 for team in teams):
            raise ValueError(teams)
        return cls(**{**told, "teams": teams})


# Strings, numbers, lists of them, and teams.
def _fields(value: Roster | Team) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__match_args__}


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """What a worker is at.

    place: its group and its number. since: ns; when it last told of an item. works: whether that is work of its own.
    item: the one that it is in, where it is known.
    """

    who: Who
    pid: int
    place: tuple[int, int]
    at: str
    since: int
    works: bool
    item: int | None = None


class WorkerStack(NamedTuple):
    """Where somebody is. place: group and number of a worker; None for the thread that has opened the run.

    within: which of the items that it has in hand this is about; empty where it has one at a time.
    """

    place: tuple[int, int] | None
    within: str
    stack: str


def moved_last(roster: Roster, reading: Reading) -> int:
    """When an item last moved anywhere, or a worker began or ended; ns.

    Not one of those that an auto stage is given, and loses: they come to a run that does not move, too.
    """
    return max(
        each.moved if number >= team.at_first else _stamp(each)
        for team, workers in roster.by_team(reading)
        for number, stages in enumerate(workers)
        for each in stages
    )


def _stamp(worker: WorkerReading) -> int:
    return max(worker.started, worker.moved, worker.ended)


def turns(roster: Roster, reading: Reading) -> dict[int, int]:
    """Where order is restored: the group that does so, and the item whose turn it is."""
    return {place: workers[0][0].turn for place, (team, workers) in enumerate(roster.by_team(reading)) if team.restores}


def worker_statuses(roster: Roster, reading: Reading) -> Iterator[WorkerStatus]:
    """Of every worker that has not ended."""
    awaited = turns(roster, reading)
    for place, (team, workers) in enumerate(roster.by_team(reading)):
        for number, stages in enumerate(workers):
            if stages[-1].state >= State.DONE or stages[-1].ended:
                continue
            pid = stages[0].pid
            at, works, item = _at(place, stages, awaited.get(place))
            if _is_stopped(pid):
                at, works = "stopped by a signal", True
            since = max(roster.opened, *map(_stamp, stages))
            yield WorkerStatus(team.who(number), pid, (place, number), at, since, works, item)


def _at(place: int, stages: Sequence[WorkerReading], turn: int | None) -> tuple[str, bool, int | None]:
    """In words; whether that is work of its own; and the number of the item, where it is known."""
    first = stages[0]
    if first.state == State.STARTING:
        return "starting", True, None
    if first.at_once:
        return f"in {first.at_once} item{'s' * (first.at_once != 1)} at once", True, None
    if first.waits_for_items:
        return ("waiting for items" if turn is None else f"waiting for item {turn}"), False, None
    if first.waits_for_room:
        return "waiting for credit", False, None
    if place == 0:
        return (f"making item {first.sent}" if len(stages) == 1 else _after(first.sent)), True, None
    return _in_hand(first)


def _in_hand(worker: WorkerReading) -> tuple[str, bool, int | None]:
    """The item that it has told of; where it tells of none, those that it has received and not dealt with."""
    if worker.item is not None:
        return f"in item {worker.item}", True, worker.item
    left = worker.in_hand
    if not left:
        return _after(worker.received), True, None
    if len(left) == 1:
        return f"in item {left[0]}", True, left[0]
    return f"in one of the items {left[0]} to {left[-1]}", True, None


def _after(items: int) -> str:
    return f"at work after {items} item{'s' * (items != 1)}"


def _is_stopped(pid: int) -> bool:
    """Whether a process rests until it gets SIGCONT: by SIGSTOP, Ctrl-Z or a debugger."""
    return _state(pid)[:1] in ("T", "t")


def _state(pid: int) -> str:
    """The state of a process, a letter first: see proc_pid_stat(5), and ps(1) where there is no /proc."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2]
    except FileNotFoundError:
        # Nobody asks on Linux, but of a process that has just died.
        import subprocess

        with suppress(OSError, subprocess.TimeoutExpired):
            command = ["ps", "-o", "stat=", "-p", str(pid)]
            return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False).stdout
    except OSError:
        pass
    return ""


def table_of(found: Sequence[WorkerStatus], now: int) -> str:
    """A line for each, and for how long it has been at work there. now: ns."""
    lines = [
        (
            each.who.stage,
            f"{each.who.number} of {each.who.of}, pid {each.pid or 'unknown'}",
            f"{each.at} for {(now - each.since) / 1e9:.3g} s" if each.works else each.at,
        )
        for each in found
    ]
    return table(("stage", "worker", "is"), lines)


def stacks_of(roster: Roster, reading: Reading, found: Iterable[WorkerStack]) -> str:
    """Where those are that are in code of the user's."""
    workers = [workers for _, workers in roster.by_team(reading)]

    def named(place: tuple[int, int] | None, within: str) -> str:
        if place is None:
            return f"the thread that has opened the run (pid {roster.pid})"
        group, number = place
        who = roster.teams[group].who(number).placed(workers[group][number][0].pid)
        return f"{who}, {within}" if within else who

    return stacks((named(each.place, each.within), each.stack) for each in found)

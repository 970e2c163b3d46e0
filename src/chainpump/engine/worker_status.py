"""What every worker of a run is at, as the board tells it: for the supervisor, and for whoever looks from outside."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from ..ipc.board import CELLS, Cell, State
from ..ipc.wait_times import is_waiting
from ..lazy_dataclass import dataclass, field
from ..messages.call_stacks import stacks
from ..messages.names import Who
from ..messages.table import table

__all__ = [
    "Roster",
    "Rows",
    "Standing",
    "Team",
    "Whereabouts",
    "moved_last",
    "stacks_of",
    "standings",
    "table_of",
    "turns",
]

Rows: TypeAlias = Callable[[int], memoryview]  # the cells of a row of the board, by its number

PATIENCE = 5.0  # seconds for `ps`
MOVES = (Cell.SINCE, Cell.MOVED)
STAMPS = (Cell.STARTED, *MOVES, Cell.ENDED)


@dataclass(frozen=True, slots=True)
class Team:
    """A group, as far as a look at the board takes: see `wiring.Group`.

    stages: role, name and place of definition of each. rows: of each stage, the row of its first worker. at_first: how
    many of its workers are there from the start. restores: whether it puts its items in order as they arrive.
    """

    stages: Sequence[tuple[str, str, str | None]]
    rows: Sequence[int]
    workers: int
    at_first: int
    restores: bool

    def who(self, number: int) -> Who:
        """A worker, named by its last stage; number counts from 0."""
        role, name, where = self.stages[-1]
        return Who(role, name, number + 1, self.workers, where)


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

    def packed(self) -> str:
        """As one line of plain values: nobody else is to load a pickle of this process."""
        return json.dumps(self, default=_fields)

    @classmethod
    def unpacked(cls, text: str) -> Roster:
        """What `packed` has made. Raises ValueError, LookupError or TypeError if another version has made it."""
        told = json.loads(text)
        teams = [Team(**{**team, "stages": [tuple(stage) for stage in team["stages"]]}) for team in told["teams"]]
        return cls(**{**told, "teams": teams})


def _fields(value: Roster | Team) -> dict[str, Any]:  # strings, numbers, lists of them, and teams
    return {name: getattr(value, name) for name in value.__match_args__}


@dataclass(frozen=True, slots=True)
class Standing:
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


class Whereabouts(NamedTuple):
    """Where somebody is. place: group and number of a worker; None for the thread that has opened the run.

    within: which of the items that it has in hand this is about; empty where it has one at a time.
    """

    place: tuple[int, int] | None
    within: str
    stack: str


def moved_last(roster: Roster, rows: Rows) -> int:
    """When an item last moved anywhere, or a worker began or ended; ns.

    Not one of those that an auto stage is given, and loses: they come to a run that does not move, too.
    """
    return max(
        _stamp(rows(first + number), STAMPS if number < team.at_first else MOVES)
        for team in roster.teams
        for first in team.rows
        for number in range(team.workers)
    )


def _stamp(cells: memoryview, stamps: Sequence[Cell] = STAMPS) -> int:
    return max(cells[stamp] for stamp in stamps)


def turns(roster: Roster, rows: Rows) -> dict[int, int]:
    """Where order is restored: the group that does so, and the item whose turn it is."""
    return {place: rows(team.rows[0])[Cell.PASSED] for place, team in enumerate(roster.teams) if team.restores}


def standings(roster: Roster, rows: Rows) -> Iterator[Standing]:
    """Of every worker that has not ended."""
    awaited = turns(roster, rows)
    for place, team in enumerate(roster.teams):
        for number in range(team.workers):
            cells = [rows(first + number) for first in team.rows]
            if cells[-1][Cell.STATE] >= State.DONE or cells[-1][Cell.ENDED]:
                continue
            pid = cells[0][Cell.PID]
            at, works, item = _at(place, cells, awaited.get(place))
            if _is_stopped(pid):
                at, works = "stopped by a signal", True
            since = max(roster.opened, *map(_stamp, cells))
            yield Standing(team.who(number), pid, (place, number), at, since, works, item)


def _at(place: int, cells: Sequence[memoryview], turn: int | None) -> tuple[str, bool, int | None]:
    """In words; whether that is work of its own; and the number of the item, where it is known."""
    first, last = cells[0], cells[-1]
    if first[Cell.STATE] == State.STARTING:
        return "starting", True, None
    if at_once := first[Cell.AT_ONCE]:
        return f"in {at_once} item{'s' * (at_once != 1)} at once", True, None
    if is_waiting(first, Cell.STARVED):
        return ("waiting for items" if turn is None else f"waiting for item {turn}"), False, None
    if is_waiting(last, Cell.BLOCKED):
        return "waiting for credit", False, None
    if place == 0:
        made = int(first[Cell.SENT])
        return (f"making item {made}" if len(cells) == 1 else _after(made)), True, None
    return _in_hand(first)


def _in_hand(cells: memoryview) -> tuple[str, bool, int | None]:
    """The item that it has told of; where it tells of none, those that it has received and not dealt with."""
    if cells[Cell.ITEM]:
        item = int(cells[Cell.INDEX])
        return f"in item {item}", True, item
    received, first = cells[Cell.RECEIVED], int(cells[Cell.FIRST])
    left = received - cells[Cell.FINISHED] - cells[Cell.SKIPPED] - cells[Cell.DEAD]
    if left <= 0:
        return _after(received), True, None
    if left == 1:
        return f"in item {first}", True, first
    return f"in one of the items {first} to {first + left - 1}", True, None


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
        import subprocess  # nobody asks on Linux, but of a process that has just died

        with suppress(OSError, subprocess.TimeoutExpired):
            command = ["ps", "-o", "stat=", "-p", str(pid)]
            return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False).stdout
    except OSError:
        pass
    return ""


def table_of(found: Sequence[Standing], now: int) -> str:
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


def stacks_of(roster: Roster, rows: Rows, found: Iterable[Whereabouts]) -> str:
    """Where those are that are in code of the user's."""

    def named(place: tuple[int, int] | None, within: str) -> str:
        if place is None:
            return f"the thread that has opened the run (pid {roster.pid})"
        team, number = roster.teams[place[0]], place[1]
        who = team.who(number).placed(rows(team.rows[0] + number)[Cell.PID])
        return f"{who}, {within}" if within else who

    return stacks((named(each.place, each.within), each.stack) for each in found)

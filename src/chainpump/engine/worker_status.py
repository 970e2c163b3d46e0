"""The status of every worker of a run by the board, for the supervisor and for other processes."""

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
from ..messages.names import Role, WorkerName
from ..messages.table import table
from ..progress.reading import Reading, Rows, WorkerReading, read_worker

__all__ = [
    "Roster",
    "RosterGroup",
    "WorkerStack",
    "WorkerStatus",
    "is_awaited",
    "moved_last",
    "stacks_of",
    "table_of",
    "turns",
    "worker_statuses",
]

# Seconds to wait for `ps`.
PATIENCE = 5.0


@dataclass(frozen=True, slots=True)
class RosterGroup:
    """The facts about a group that are needed to read the board: see `groups.Group`.

    stages: role as a text, name and place of definition of each stage. rows: for each stage, the row of its first
    worker. at_first: how many workers run from the start. restores: whether the group restores the order of its items.
    """

    stages: Sequence[tuple[str, str, str | None]]
    rows: Sequence[int]
    workers: int
    at_first: int
    restores: bool

    def who(self, number: int, host: str) -> WorkerName:
        """The name of a worker, by its last stage. number: counted from 0. host: the name of its machine."""
        role, name, where = self.stages[-1]
        return WorkerName(Role(role), name, number + 1, self.workers, where, host)


@dataclass(frozen=True, slots=True)
class Roster:
    """The facts about a run that are needed to read its board.

    hosts: the names of the machines by number; see `Elsewhere`.
    pid: the main process. opened: when the run was opened, in ns of the monotonic clock. cells: how many cells a row
    has. board, bell: the inode numbers of the board and of the pipe that wakes the supervisor; 0 if there is none.
    """

    groups: Sequence[RosterGroup]
    hosts: Sequence[str] = ("",)
    board: int = 0
    bell: int = 0
    cells: int = CELLS
    pid: int = field(default_factory=os.getpid)
    opened: int = field(default_factory=time.monotonic_ns)

    def read(self, row: Callable[[int], memoryview]) -> Reading:
        """Read the board. row: returns the cells of a row by its number."""
        now = time.monotonic_ns()
        stages = [
            [
                read_worker(
                    Rows(*(row(start + number) for start in (own, group.rows[0], group.rows[-1]))),
                    now,
                    hosts=self.hosts,
                )
                for number in range(group.workers)
            ]
            for group in self.groups
            for own in group.rows
        ]
        return Reading(now - self.opened, 0, stages, now=now)

    def by_group(self, reading: Reading) -> Iterator[tuple[RosterGroup, Sequence[Sequence[WorkerReading]]]]:
        """Each group, with the readings of the stages of each of its workers."""
        stages = iter(reading.stages)
        for group in self.groups:
            yield group, list(zip(*islice(stages, len(group.stages)), strict=True))

    def packed(self) -> str:
        """The roster as one line of JSON. It is no pickle: other processes must not load a pickle of this one."""
        return json.dumps(self, default=_fields)

    @classmethod
    def unpacked(cls, text: str) -> Roster:
        """The roster from a text of `packed`. Raises ValueError, LookupError or TypeError for another version."""
        fields = json.loads(text)
        groups = [
            RosterGroup(**{**group, "stages": [tuple(stage) for stage in group["stages"]]})
            for group in fields["groups"]
        ]
        if not all(len(group.stages) == len(group.rows) > 0 for group in groups):
            raise ValueError(groups)
        return cls(**{**fields, "groups": groups, "hosts": tuple(fields["hosts"])})


def _fields(value: Roster | RosterGroup) -> dict[str, Any]:
    """The fields for JSON. They are strings, numbers, lists of these, and groups."""
    return {name: getattr(value, name) for name in value.__match_args__}


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """What a worker is doing.

    slot: the index of its group, and its number. at: its state in words. since: when it last reported progress, in ns.
    works: whether it is busy, not waiting for other workers. item: the number of its current item, if it is known.
    has_items: whether it has started and has items that it has not finished.
    """

    who: WorkerName
    pid: int
    slot: tuple[int, int]
    at: str
    since: int
    works: bool
    item: int | None = None
    has_items: bool = False


class WorkerStack(NamedTuple):
    """The stack of a worker, or of the thread that has opened the run.

    who: names it and its process. within: the item that the stack belongs to; empty if the worker has one at a time.
    """

    who: str
    within: str
    stack: str


def moved_last(roster: Roster, reading: Reading) -> int:
    """When an item last moved, or a worker for which items may wait started or ended, in ns."""
    return max(
        _stamp(each) if is_awaited(group, number, stages[0]) else each.moved
        for group, workers in roster.by_group(reading)
        for number, stages in enumerate(workers)
        for each in stages
    )


def is_awaited(group: RosterGroup, number: int, worker: WorkerReading) -> bool:
    """Whether items may wait for a worker before it has begun: it is there from the start, or it replaces another one.

    The autoscaler also adds workers to a stalled run; no item waits for these.
    """
    return number < group.at_first or bool(worker.in_hand)


def _stamp(worker: WorkerReading) -> int:
    return max(worker.started, worker.moved, worker.ended)


def turns(roster: Roster, reading: Reading) -> dict[int, int]:
    """The number of the next item, by the index of each group that restores order."""
    return {
        index: workers[0][0].turn for index, (group, workers) in enumerate(roster.by_group(reading)) if group.restores
    }


def worker_statuses(roster: Roster, reading: Reading) -> Iterator[WorkerStatus]:
    """The status of every worker that has not ended, and of those that wait for its end."""
    awaited = turns(roster, reading)
    for index, (group, workers) in enumerate(roster.by_group(reading)):
        for number, stages in enumerate(workers):
            slot, first = (index, number), stages[0]
            who = group.who(number, first.host)
            since = max(roster.opened, *map(_stamp, stages))
            if stages[-1].state < State.DONE and not stages[-1].ended:
                at, works, item = _at(index, stages, awaited.get(index))
                if not first.host and _is_stopped(first.pid):
                    at, works = "stopped by a signal", True
                has_items = first.state != State.STARTING and bool(first.at_once or first.in_hand)
                yield WorkerStatus(who, first.pid, slot, at, since, works, item, has_items)
            if first.successor:
                # It has no row of the board before its turn, so whether it is still being set up is unknown.
                yield WorkerStatus(who, first.successor, slot, "waiting for its turn", since, works=False)


def _at(group_index: int, stages: Sequence[WorkerReading], turn: int | None) -> tuple[str, bool, int | None]:
    """The fields `at`, `works` and `item` of the status of a worker. turn: the item that the group waits for."""
    first = stages[0]
    if first.state == State.STARTING:
        return ("setting up" if any(each.sets_up for each in stages) else "starting"), True, None
    if first.at_once:
        return f"in {first.at_once} item{'s' * (first.at_once != 1)} at once", True, None
    if first.waits_for_items:
        return ("waiting for items" if turn is None else f"waiting for item {turn}"), False, None
    if first.waits_for_room:
        return "waiting for credit", False, None
    if group_index == 0:
        return (f"making item {first.sent}" if len(stages) == 1 else _after(first.sent)), True, None
    return _in_hand(first)


def _in_hand(worker: WorkerReading) -> tuple[str, bool, int | None]:
    """The item on the board, or else the items that the worker has received and not finished."""
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
    """Whether SIGSTOP, Ctrl-Z or a debugger has stopped a process. It goes on after SIGCONT."""
    return _state(pid)[:1] in ("T", "t")


def _state(pid: int) -> str:
    """The state of a process, which begins with a letter: see proc_pid_stat(5), and ps(1) for systems without /proc."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2]
    except FileNotFoundError:
        # On Linux, this happens only if the process has just died.
        import subprocess

        with suppress(OSError, subprocess.TimeoutExpired):
            command = ["ps", "-o", "stat=", "-p", str(pid)]
            return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False).stdout
    except OSError:
        pass
    return ""


def table_of(found: Sequence[WorkerStatus], now: int) -> str:
    """A table with a line for each worker, and for how long it has been busy. now: in ns."""
    lines = [
        (
            each.who.stage,
            f"{each.who.number} of {each.who.of}, {_process(each)}",
            f"{each.at} for {(now - each.since) / 1e9:.3g} s" if each.works else each.at,
        )
        for each in found
    ]
    return table(("stage", "worker", "is"), lines)


def _process(status: WorkerStatus) -> str:
    return status.who.process(status.pid) if status.pid or status.who.host else "pid unknown"


def stacks_of(found: Iterable[WorkerStack]) -> str:
    """The stacks of the workers that run code of the user, as a text."""
    return stacks((f"{each.who}, {each.within}" if each.within else each.who, each.stack) for each in found)

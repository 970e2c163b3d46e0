"""From a plan to workers: which stages share a worker, and the channel of each junction."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextvars import copy_context
from itertools import groupby
from typing import Any

from ..executors.base import Executor, WorkerHandle
from ..executors.inline import Inline
from ..ipc import wait_times
from ..ipc.board import Board, Cell, State
from ..ipc.checkpoint import Hand
from ..lazy_dataclass import dataclass
from ..logs.receiver import Logs
from ..messages.names import Who
from ..pickling.shared_functions import SharedFunctions
from ..plan.operators import Operator
from ..plan.placement import AUTO, copies_of
from ..plan.planned_stage import PlannedStage, Role
from ..transport.channel import Channel
from ..transport.credits import CreditRoom
from ..transport.process_channel import PACKET_BYTES, PacketChannel
from ..transport.reorder_buffer import Turnstile
from ..transport.room import Room, SendRoom
from ..transport.send_limit import Gates
from ..transport.thread_channel import MemoryChannel
from ..worker.endpoints import Ends
from ..worker.operator_run import Condemned
from ..worker.stage_run import Assignment
from ..worker.surroundings import Surroundings
from ..worker.worker import Worker
from .dead_letters import Letters
from .fault_injection import started_by, with_faults
from .fault_rules import Faults
from .ledger import Account, Passed, account
from .run_settings import RunSettings
from .worker_status import Roster, Team

__all__ = ["Group", "Wiring"]

ROOM_EACH = 2  # items on their way per worker that deals with them, at least: one in hand, one to take up at once
LOOP = "iteration"  # the caller's `for` loop, as a stage of the run


@dataclass(frozen=True, slots=True)
class Group:
    """Stages that share a worker: one, or neighbours that were joined.

    rows: per stage, the board row of each of its workers. is_caller: its one worker is the caller's own thread.
    """

    stages: Sequence[PlannedStage]
    executor: Executor
    rows: Sequence[range]
    is_caller: bool
    iterated: bool  # the caller's loop is one more stage, at the end
    code: SharedFunctions

    @property
    def workers(self) -> int:
        """How many copies run, at most."""
        return len(self.rows[0])

    @property
    def at_once(self) -> int:
        """How many items they deal with at once, at most."""
        return self.workers if self.executor.workers == AUTO else self.executor.workers

    @property
    def in_flight(self) -> int | None:
        """How many items of its input may be accepted and not finished."""
        return self.stages[0].in_flight if self.stages else None

    @property
    def own_process(self) -> bool:
        """Whether its workers are processes."""
        return self.executor.capabilities.own_process

    @property
    def guarded(self) -> Operator[Any, Any] | None:
        """The element-wise stage whose workers are replaced when they die, or take too long; None for all others."""
        return self.stages[0].replaceable if len(self.stages) == 1 else None

    @property
    def is_auto(self) -> bool:
        """Whether it has as many workers as measured figures call for."""
        return self.executor.workers == AUTO

    @property
    def at_first(self) -> int:
        """How many workers it begins with."""
        return 1 if self.is_auto else self.workers

    @property
    def is_renewed(self) -> bool:
        """Whether workers may be started in it while others run."""
        return self.is_auto or self.guarded is not None

    @property
    def is_element_wise(self) -> bool:
        """Whether every item that it sends comes of one that it was given."""
        return all(isinstance(stage.call, Operator) for stage in self.stages) and not self.iterated

    @property
    def names(self) -> list[tuple[str, str, str | None]]:
        """Role, name and place of definition of each stage, the caller's loop included."""
        named = [(stage.role.value, stage.name, stage.call.where) for stage in self.stages]
        return [*named, (Role.SINK.value, LOOP, None)] if self.iterated else named

    def who(self, stage: int, number: int) -> Who:
        """A worker of one of its stages; number counts from 0."""
        role, name, where = self.names[stage]
        return Who(role, name, number + 1, self.workers, where)


@dataclass(frozen=True, slots=True)
class Section:
    """Element-wise groups between one that numbers the items and one that takes them: by number, their order is kept.

    origin, end: the two groups. room: for how many items, where the order is restored at the end; None where it is not.
    """

    origin: int
    end: int
    room: Room | None

    def close(self) -> None:
        """Release the main process's hold on it."""
        if self.room is not None:
            self.room.close()


class Wiring:
    """The board, the groups and the channels of one run."""

    def __init__(self, stages: Sequence[PlannedStage], settings: RunSettings, letters: Letters, logs: Logs) -> None:
        self._faults = Faults.asked()
        self._settings = settings
        self._letters = letters
        self._logs = logs
        self._surroundings: tuple[Surroundings, ...] = ()
        self._context = copy_context()  # workers may be started by other threads, later
        self.groups = tuple(_groups(stages, settings.iterated, settings.apart))
        junctions = list(zip(self.groups, self.groups[1:], strict=False))
        rows = self.groups[-1].rows[-1].stop
        self.board = Board(rows, len(junctions), len(self.groups))
        for group in self.groups:
            for row in (row for rows in group.rows for row in rows[group.at_first :]):
                self.board.row(row)[Cell.STATE] = State.SPARE
        self.channels: list[Channel] = []
        self.sections: list[Section] = []
        self.hands: dict[tuple[int, int], Hand] = {}
        self._started: Counter[tuple[int, int]] = Counter()  # how many workers each place has had
        try:
            if any(group.own_process for group in self.groups):
                around = Surroundings.now()
                self._surroundings = around, around.without_input()  # of the source's worker, and of all others
            self.sections.extend(_sections(self.groups))
            for section in self.sections:
                if section.room is not None:
                    section.room.begin(self.board)
            exact = {section.end for section in self.sections if section.room is not None and section.room.is_exact}
            for end, (left, right) in enumerate(junctions, start=1):
                kind = PacketChannel if left.own_process or right.own_process else MemoryChannel
                in_flight = None if end in exact else right.in_flight
                renewable = left.is_renewed or right.is_renewed
                self.channels.append(kind(left.workers, right.workers, in_flight, renewable))
        except BaseException:
            self.close()
            raise

    @property
    def has_caller(self) -> bool:
        """Whether the last group runs in the caller's thread."""
        return self.groups[-1].is_caller

    def worker(self, group: int, number: int, condemned: Mapping[int, Condemned] | None = None) -> Worker:
        """A worker for a place in which none runs, with ends of its own; it is to be started or closed.

        The place may have had others. condemned: items of which they died.
        """
        this = self.groups[group]
        generation = self._started[group, number]
        self._started[group, number] += 1
        for rows in this.rows:
            wait_times.begin_again(self.board.row(rows[number]))
        if this.guarded is not None and (group, number) not in self.hands:
            self.hands[group, number] = Hand(PACKET_BYTES)
        before = self.groups[group - 1] if group else None
        assignments = [
            Assignment(
                this.who(stage, number),
                rows[number],
                bool(this.stages[stage].may_stop) if stage < len(this.stages) else False,
                _makers(self._origin_of(group)) if stage == 0 and before else ("",),
                rows,
            )
            for stage, rows in enumerate(this.rows)
        ]
        hand = self.hands.get((group, number))
        ends = Ends(
            self.channels[group - 1].receiver(hand.dup() if hand is not None else None) if before else None,
            self.channels[group].sender(number) if group < len(self.channels) else None,
            self._room(group, number),
            self._turnstile(group),
        )
        worker = Worker(
            assignments,
            this.code,
            self.board,
            group,
            before.rows[-1] if before else (),
            ends,
            origin=number,
            takers=[
                self._letters.taker(stage.call.policy) for stage in this.stages if isinstance(stage.call, Operator)
            ],
            awaits=this.executor.capabilities.runs_async,
            whole=any(group in self._renewed(section) for section in self.sections),
            condemned=condemned,
            watched=self._settings.is_watched,
            logs=self._logs.pipe(this.who(0, number)) if this.own_process else None,
            surroundings=self._surroundings[min(group, 1)] if this.own_process else None,
            seed=self._settings.seed.derived(group, number, generation) if this.own_process else None,
            context=self._context.copy(),
        )
        return with_faults(worker, self._faults, generation)

    def _room(self, group: int, number: int) -> SendRoom | None:
        """What bounds how much a worker may send, where that is put in order further on."""
        row = self.groups[group].rows[-1][number]
        rooms = (section.room.sending(row) for section in self.sections if section.room is not None)
        return next((room for room in rooms if room is not None), None)

    def _turnstile(self, group: int) -> Turnstile | None:
        """Where a group puts items in order."""
        room = next((section.room for section in self.sections if section.end == group), None)
        if room is None:
            return None
        return Turnstile(room.returning())

    def start(self, group: int, number: int, condemned: Mapping[int, Condemned] | None = None) -> WorkerHandle:
        """Have the executor of a group start a worker, as `worker` makes it. Raises what that raises."""
        worker = self.worker(group, number, condemned)
        try:
            handle = started_by(self.groups[group].executor, worker)
        except BaseException:
            worker.hand_over()
            raise
        self.place(group, worker.who.number - 1, handle.pid)
        return handle

    def place(self, group: int, number: int, pid: int) -> None:
        """Say on the board in which process a worker runs."""
        for rows in self.groups[group].rows:
            self.board.row(rows[number])[Cell.PID] = pid

    def warn(self, text: str) -> None:
        """Log what the library has to say while the run goes on: by the thread for logs, which a handler may hold."""
        self._logs.warn(text)

    def roster(self, bell: int) -> Roster:
        """The run for whoever looks at its board. bell: the number of the pipe that wakes the supervisor."""
        restoring = {section.end for section in self.sections if section.room is not None}
        teams = [
            Team(
                group.names,
                [rows.start for rows in group.rows],
                group.workers,
                group.at_first,
                restores=place in restoring,
            )
            for place, group in enumerate(self.groups)
        ]
        return Roster(teams, self.board.number, bell)

    def _origin_of(self, group: int) -> Group:
        """Who has numbered the input of a group."""
        group -= 1
        while group and self.groups[group].is_element_wise:
            group -= 1
        return self.groups[group]

    def wake(self, before: int) -> None:
        """Wake for good whoever waits for room, or for anything from a channel, in the groups before this one."""
        for channel in self.channels[:before]:
            channel.hang_up()
        for section in self.sections:
            if section.origin < before and section.room is not None:
                section.room.flood()

    def passed(self) -> list[Passed]:
        """For each place where order is restored: how many items had their turn there, and how many there were."""
        found = []
        for section in self.sections:
            if section.room is not None:
                role, name, _ = self.groups[section.end].names[0]
                turns = self.board.row(self.groups[section.end].rows[0][0])[Cell.PASSED]
                found.append(
                    Passed(role, name, turns, self.board.row(self.groups[section.origin].rows[-1][0])[Cell.NUMBERED])
                )
        return found

    def accounts(self) -> list[Account]:
        """The account of every stage as far as it has come."""
        renewed = {place for section in self.sections for place in self._renewed(section)}
        return [
            account(role, name, [self.board.row(row) for row in rows], place in renewed)
            for place, group in enumerate(self.groups)
            for (role, name, _), rows in zip(group.names, group.rows, strict=True)
        ]

    def _renewed(self, section: Section) -> range:
        """The groups of a section that may receive something twice, since a worker before them may be replaced."""
        first = next((place for place in range(section.origin, section.end) if self.groups[place].guarded), section.end)
        return range(first + 1, section.end + 1)

    def end(self, group: int, number: int) -> None:
        """A worker is over, whether it could still say so on the board or not."""
        for rows in self.groups[group].rows:
            row = self.board.row(rows[number])
            if row[Cell.STARTED] and not row[Cell.ENDED]:
                wait_times.end(row, time.monotonic_ns())

    def in_hand(self, group: int, number: int) -> range:
        """The numbers of the items that a worker had received and not finished."""
        row = self.board.row(self.groups[group].rows[0][number])
        if row[Cell.ITEM] and self.groups[group].guarded:
            return range(row[Cell.INDEX], row[Cell.INDEX] + 1)
        first = row[Cell.FIRST]
        dealt_with = row[Cell.FINISHED] + row[Cell.SKIPPED] + row[Cell.DEAD]
        return range(first, first + row[Cell.RECEIVED] - dealt_with)

    def started(self) -> None:
        """All workers that there are at first have their ends: drop what only others would need."""
        for channel in self.channels:
            channel.started()
        for group in self.groups:
            if not group.is_renewed:
                group.code.drop()

    def close(self) -> None:
        """Release every channel and the board's descriptor."""
        for group in self.groups:
            group.code.drop()
        for channel in self.channels:
            channel.close()
        for section in self.sections:
            section.close()
        for hand in self.hands.values():
            hand.close()
        for surroundings in self._surroundings[:1]:
            surroundings.close()
        self.board.close()
        self._logs.end()


def _groups(stages: Sequence[PlannedStage], iterated: bool, apart: bool) -> Iterator[Group]:
    """Join neighbours whose executor says so; the last group is the caller's if it joins, or if the caller iterates."""
    numbered = list(enumerate(stages))
    runs = [
        [stage for _, stage in run]
        for _, run in groupby(numbered, lambda pair: "joined" if pair[1].on.capabilities.shares_thread else pair[0])
    ]
    if iterated and (apart or not runs[-1][-1].on.capabilities.shares_thread):
        runs.append([])
    next_row = 0
    for index, run in enumerate(runs):
        is_last = index == len(runs) - 1
        executor: Executor = run[0].on if run else Inline()  # type: ignore[assignment]
        loops = is_last and iterated
        copies = copies_of(executor)
        rows = []
        for _ in range(len(run) + loops):
            rows.append(range(next_row, next_row + copies))
            next_row += copies
        code = SharedFunctions([stage.call for stage in run])
        yield Group(run, executor, rows, is_last and executor.capabilities.shares_thread, loops, code)


def _sections(groups: Sequence[Group]) -> Iterator[Section]:
    """Where element-wise groups are, and whether their order is to be restored behind them.

    That takes one worker that numbers the items, and one that reads them all. It is also where what comes twice is
    dropped: so order is kept wherever a worker may be replaced.
    """
    origin = 0
    for end, group in enumerate(groups):
        is_sink = end == len(groups) - 1
        if not end or (group.is_element_wise and not is_sink):
            continue
        between = groups[origin + 1 : end + group.is_element_wise]
        if end > origin + 1:
            operators = [stage.call for each in between for stage in each.stages if isinstance(stage.call, Operator)]
            restarts = any(stage.restarts for each in between for stage in each.stages)
            ordered = restarts or all(each.ordered for each in operators)
            room: Room | None = None
            if ordered and groups[origin].workers == group.at_once == 1 and not group.guarded:
                if group.in_flight is not None:
                    room = CreditRoom(group.in_flight, groups[origin].rows[-1])
                else:
                    room = _gates(groups[origin : end + 1], ROOM_EACH * sum(each.at_once for each in between))
            yield Section(origin, end, room)
        origin = end


def _gates(section: Sequence[Group], least: int) -> Gates:
    """The gates of its first two groups. Tasks without order have none: they send whatever has ended."""
    origin, first, *_, end = section
    operators = [stage.call for stage in first.stages if isinstance(stage.call, Operator)]
    sends_in_order = not first.executor.capabilities.runs_async or all(each.ordered for each in operators)
    waiting = (origin, first) if sends_in_order else (origin,)
    return Gates(end.rows[0][0], [row for group in waiting for row in group.rows[-1]], least)


def _makers(group: Group) -> Sequence[str]:
    """How messages tell the workers of a group apart, as makers of an item."""
    if group.workers == 1:
        return ("",)
    name = group.names[-1][1]
    return [f" from worker {number} of '{name}'" for number in range(1, group.workers + 1)]

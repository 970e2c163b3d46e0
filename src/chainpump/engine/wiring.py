"""The wiring of a run: makes groups, channels and workers from a plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextvars import copy_context
from itertools import chain

from ..executors.base import WorkerHandle
from ..ipc.board import Board
from ..logs.receiver import Logs
from ..logs.records import LOGGER
from ..messages.printable import printable
from ..plan.operators import Operator
from ..plan.planned_stage import PlannedStage
from ..plan.variables import variables_of
from ..progress.reading import Reading
from ..transport.channel import Channel
from ..transport.process_channel import PacketChannel
from ..transport.reorder_buffer import ReorderBuffer
from ..transport.room import SendRoom
from ..transport.thread_channel import MemoryChannel
from ..worker.endpoints import Endpoints
from ..worker.operator_run import Condemned
from ..worker.retirement import Retirement
from ..worker.stage_run import Assignment
from ..worker.surroundings import Surroundings
from ..worker.turn import Turn, TurnGiver, turn
from ..worker.worker import Worker
from .dead_letters import DeadLetters
from .fault_injection import started_by, with_faults
from .fault_rules import Faults
from .groups import Group, Section, groups_of, makers, sections_of
from .ledger import Account, Passed, account
from .run_settings import RunSettings
from .worker_slot import WorkerSlot
from .worker_status import Roster, RosterGroup

__all__ = ["Wiring"]


class Wiring:
    """The board, the groups, their slots, and the channels of one run."""

    def __init__(
        self, stages: Sequence[PlannedStage], settings: RunSettings, dead_letters: DeadLetters, logs: Logs
    ) -> None:
        self._faults = Faults.requested()
        self._stages = stages
        self._settings = settings
        self._dead_letters = dead_letters
        self._logs = logs
        self._surroundings: tuple[Surroundings, ...] = ()
        self._variables: Mapping[tuple[int, int], Mapping[bytes, bytes]] = {}
        # A copy is needed because other threads may start workers later.
        self._context = copy_context()
        self.groups = tuple(groups_of(stages, settings.iterated, settings.apart, settings.in_flight))
        junctions = list(zip(self.groups, self.groups[1:], strict=False))
        rows = self.groups[-1].rows[-1].stop
        self.board = Board(rows, len(junctions), len(self.groups))
        self.slots: Sequence[Sequence[WorkerSlot]] = tuple(
            tuple(
                WorkerSlot(index, group, number, [self.board.row(rows[number]) for rows in group.rows])
                for number in range(group.workers)
            )
            for index, group in enumerate(self.groups)
        )
        for slot in self.all_slots:
            if slot.number >= slot.group.at_first:
                slot.mark_spare()
        self.channels: list[Channel] = []
        self.sections: list[Section] = []
        try:
            if any(group.own_process for group in self.groups):
                around = Surroundings.now()
                # The first is for the worker of the source, the second for all other workers.
                self._surroundings = around, around.without_input()
            # A function of the user gives them. It is called once, so a replacement has those of its predecessor.
            self._variables = {
                slot.key: variables_of(slot.group.executor, slot.number, slot.who.label)
                for slot in self.all_slots
                if slot.group.own_process
            }
            self.sections.extend(sections_of(self.groups))
            for section in self.sections:
                if section.room is not None:
                    section.room.begin(self.board)
            exact = {section.end for section in self.sections if section.room is not None and section.room.is_exact}
            for end, (left, right) in enumerate(junctions, start=1):
                kind = PacketChannel if left.own_process or right.own_process else MemoryChannel
                in_flight = None if end in exact else right.in_flight
                renewable = left.may_start_later or right.may_start_later
                self.channels.append(kind(left.workers, right.workers, in_flight, renewable))
            if settings.pool is not None:
                settings.pool.hints.recall(stages, self.board)
        except BaseException:
            self.close()
            raise

    @property
    def has_caller(self) -> bool:
        """Whether the last group runs in the caller's thread."""
        return self.groups[-1].is_caller

    @property
    def all_slots(self) -> Iterator[WorkerSlot]:
        """The slots of all groups, along the chain."""
        return chain.from_iterable(self.slots)

    def worker(
        self, slot: WorkerSlot, condemned: Mapping[int, Condemned] | None = None, turn: Turn | None = None
    ) -> Worker:
        """A new worker with its own channel ends, for a slot in which none runs. It must be started or closed.

        condemned: the items of which earlier workers of the slot have died. turn: see `Worker`; a worker runs in the
        slot until then.
        """
        this, group, number = slot.group, slot.group_index, slot.number
        generation = slot.next_generation()
        before = self.groups[group - 1] if group else None
        assignments = [
            Assignment(
                this.who(stage, number),
                rows[number],
                bool(this.stages[stage].may_stop) if stage < len(this.stages) else False,
                makers(self._origin_of(group)) if stage == 0 and before else ("",),
                rows,
                generation,
                type(this.executor).__name__,
            )
            for stage, rows in enumerate(this.rows)
        ]
        checkpoint = slot.checkpoint
        endpoints = Endpoints(
            self.channels[group - 1].receiver(checkpoint.dup() if checkpoint is not None else None) if before else None,
            self.channels[group].sender(number) if group < len(self.channels) else None,
            self._room(slot),
            self._reorder_buffer(group),
            turn,
        )
        worker = Worker(
            assignments,
            this.code,
            self.board,
            group,
            before.rows[-1] if before else (),
            endpoints,
            origin=number,
            takers=[
                self._dead_letters.taker(stage.call.policy) for stage in this.stages if isinstance(stage.call, Operator)
            ],
            awaits=this.executor.capabilities.runs_async,
            whole=any(group in self._after_replacements(section) for section in self.sections),
            condemned=condemned,
            watched=self._settings.reports_items,
            retirement=Retirement(this.share, turn) if this.share is not None else None,
            logs=self._logs.pipe(slot.who) if this.own_process else None,
            surroundings=self._surroundings_of(slot) if this.own_process else None,
            seed=self._settings.seed.derived(group, number, generation) if this.own_process else None,
            context=self._context.copy(),
        )
        return with_faults(worker, self._faults, generation)

    def _surroundings_of(self, slot: WorkerSlot) -> Surroundings:
        """The surroundings of the program, with the variables of the worker."""
        name, number = printable(slot.who.stage).encode(), b"%d" % slot.number
        around = self._surroundings[min(slot.group_index, 1)]
        own = self._variables[slot.key]
        return around.with_variables({**own, b"CHAINPUMP_STAGE": name, b"CHAINPUMP_WORKER": number})

    def _room(self, slot: WorkerSlot) -> SendRoom | None:
        """The limit of what a worker may send, if a later group restores the order of its items."""
        row = slot.group.rows[-1][slot.number]
        rooms = (section.room.sending(row) for section in self.sections if section.room is not None)
        return next((room for room in rooms if room is not None), None)

    def _reorder_buffer(self, group: int) -> ReorderBuffer | None:
        """The reorder buffer of a group; None if the group does not restore order."""
        room = next((section.room for section in self.sections if section.end == group), None)
        if room is None:
            return None
        return ReorderBuffer(room.returning())

    def start(self, slot: WorkerSlot, condemned: Mapping[int, Condemned] | None = None) -> WorkerHandle:
        """Make a worker, and let the executor of its group start it. Errors of the executor pass through."""
        slot.begin_again()
        handle = self._started(slot, self.worker(slot, condemned))
        slot.set_pid(handle.pid)
        return handle

    def start_waiting(self, slot: WorkerSlot) -> tuple[WorkerHandle, TurnGiver]:
        """The same for a worker that waits for its turn, and the end that gives it the turn."""
        waiting, giving = turn()
        try:
            return self._started(slot, self.worker(slot, turn=waiting)), giving
        except BaseException:
            waiting.close()
            giving.close()
            raise

    def _started(self, slot: WorkerSlot, worker: Worker) -> WorkerHandle:
        try:
            return started_by(slot.group.executor, worker, self._settings.pool)
        except BaseException:
            worker.hand_over()
            raise

    def warn(self, text: str, logger: str = LOGGER) -> None:
        """Log a warning while the run goes on. The thread for logs does it, because a handler may block."""
        self._logs.warn(text, logger)

    def roster(self, bell: int) -> Roster:
        """The facts that another process needs to read the board. bell: see `Roster`."""
        restoring = {section.end for section in self.sections if section.room is not None}
        groups = [
            RosterGroup(
                [(role.value, name, where) for role, name, where in group.names],
                [rows.start for rows in group.rows],
                group.workers,
                group.at_first,
                restores=index in restoring,
            )
            for index, group in enumerate(self.groups)
        ]
        return Roster(groups, self.board.number, bell)

    def _origin_of(self, group: int) -> Group:
        """The group that numbers the input of this group."""
        group -= 1
        while group and self.groups[group].is_element_wise:
            group -= 1
        return self.groups[group]

    def wake(self, before: int) -> None:
        """Wake all workers before this group that wait for a channel or for room. They do not wait again."""
        for channel in self.channels[:before]:
            channel.hang_up()
        for section in self.sections:
            if section.origin < before and section.room is not None:
                section.room.wake_all()

    def passed(self, reading: Reading) -> list[Passed]:
        """For each group that restores order: how many items have passed there, and how many were numbered."""
        found = []
        for section in self.sections:
            if section.room is not None:
                role, name, _ = self.groups[section.end].names[0]
                origin, end = self.groups[section.origin], self.groups[section.end]
                numbering = reading.stages[origin.first_stage + len(origin.names) - 1][0]
                found.append(Passed(role, name, reading.stages[end.first_stage][0].turn, numbering.numbered))
        return found

    def accounts(self, reading: Reading) -> list[Account]:
        """The account of every stage so far."""
        may_repeat = {index for section in self.sections for index in self._after_replacements(section)}
        return [
            account(role, name, reading.stages[stage], index in may_repeat)
            for index, group in enumerate(self.groups)
            for stage, (role, name, _) in enumerate(group.names, start=group.first_stage)
        ]

    def _after_replacements(self, section: Section) -> range:
        """The groups of a section that may receive items twice, because a worker before them may be replaced."""
        first = next(
            (index for index in range(section.origin, section.end) if self.groups[index].replaceable), section.end
        )
        return range(first + 1, section.end + 1)

    def started(self) -> None:
        """Release the resources that only later workers would need. Called after the first workers have started."""
        for channel in self.channels:
            channel.started()
        for group in self.groups:
            if not group.may_start_later:
                group.code.drop()

    def close(self) -> None:
        """Release every slot, every channel and the descriptor of the board."""
        if self._settings.pool is not None:
            self._settings.pool.hints.remember(self._stages, self.board, len(self.channels))
        for group in self.groups:
            group.code.drop()
        for channel in self.channels:
            channel.close()
        for section in self.sections:
            section.close()
        for slot in self.all_slots:
            slot.close()
        for surroundings in self._surroundings[:1]:
            surroundings.close()
        self.board.close()
        self._logs.end()
        self._dead_letters.end()

"""The wiring of a run in its main process: groups, their slots, and the workers that run in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import chain

from ..durable.reserve import LEAST
from ..durable.resume_points import WHOLE
from ..executors.base import WorkerHandle
from ..ipc.board import Board, Cell, State
from ..lazy_dataclass import replace
from ..logs.receiver import Logs
from ..logs.records import LOGGER
from ..plan.planned_stage import PlannedStage
from ..progress.reading import Reading
from ..transport.allowance import Supply
from ..worker.operator_run import Condemned
from ..worker.turn import Turn, TurnGiver, turn
from ..worker.worker import Worker
from .connections import Connections, junctions_of
from .dead_letters import DeadLetters, once
from .elsewhere import RunFacts, elsewhere_of
from .fault_injection import started_by
from .groups import groups_of, processed_again, sections_of, works_of
from .ledger import Account, Passed, account
from .run_settings import RunSettings
from .worker_maker import WorkerMaker
from .worker_slot import WorkerSlot
from .worker_status import Roster, RosterGroup
from .worker_surroundings import WorkerSurroundings

__all__ = ["Wiring"]


class Wiring:
    """The groups of one run, their slots, and what connects the workers in them."""

    def __init__(
        self, stages: Sequence[PlannedStage], settings: RunSettings, dead_letters: DeadLetters, logs: Logs
    ) -> None:
        self._pool = settings.pool
        # Where the source goes on.
        self.source_point = settings.recorder.points.get(0, WHOLE)
        self._logs = logs
        groups = tuple(groups_of(stages, settings.iterated, settings.apart, settings.in_flight))
        with ExitStack() as undo:
            undo.callback(dead_letters.end)
            undo.callback(logs.end)
            self.elsewhere = elsewhere_of(groups, undo)
            self.groups = tuple(self.elsewhere.groups)
            self.sections = tuple(sections_of(self.groups))
            junctions = self.elsewhere.junctions(junctions_of(self.groups, self.sections), self.sections)
            self.connections = Connections(self.groups[-1].rows[-1].stop, junctions, self.sections)
            undo.callback(self.connections.close)
            if settings.recorder.limits_items:
                settings.recorder.supplies(self._limited(max(settings.recorder.points)))
            show = settings.print_above
            surroundings = WorkerSurroundings(
                self.groups, partial(logs.output_pipe, show) if show is not None else None
            )
            undo.callback(surroundings.close)
            self.slots: Sequence[Sequence[WorkerSlot]] = self._made_slots()
            for slot in self.all_slots:
                undo.callback(slot.close)
            for group in self.groups:
                undo.callback(group.code.drop)
            works = works_of(self.groups, self.sections, settings.recorder.points, watched=settings.reports_items)
            repeated = set(processed_again(self.groups, self.sections))
            takers = [
                [
                    settings.recorder.counting(once(taker) if index in repeated else taker)
                    for taker in (dead_letters.taker(each.policy) for each in group.operators)
                ]
                for index, group in enumerate(self.groups)
            ]
            self._maker = WorkerMaker(
                works,
                [group.code for group in self.groups],
                self.connections,
                settings.seed,
                takers,
                logs.pipe,
                surroundings.of,
                inputs=settings.recorder.inputs(len(groups) - 1),
                note=settings.recorder.note,
            )
            undo.callback(self.elsewhere.close)
            facts = works, settings.seed, takers, settings.recorder.note, logs.pipe, surroundings.variables, self.warn
            self.elsewhere.begin(RunFacts(self.sections, self.connections, *facts))
            if self._pool is not None:
                self._pool.hints.recall(stages, self.board)
                undo.callback(self._pool.hints.remember, stages, self.board, len(junctions))
            self._closing = undo.pop_all()

    def _made_slots(self) -> Sequence[Sequence[WorkerSlot]]:
        made = tuple(
            tuple(
                WorkerSlot(index, group, number, [self.board.row(rows[number]) for rows in group.rows])
                for number in range(group.workers)
            )
            for index, group in enumerate(self.groups)
        )
        for slot in chain.from_iterable(made):
            if slot.number >= slot.group.at_first:
                slot.mark_spare()
        return made

    def _limited(self, place: int) -> Supply:
        """Limit the items of the stage at this place of a durable chain. Returns what moves the limit."""
        index, group = next((index, group) for index, group in enumerate(self.groups) if place in group.places)
        return self.connections.limited(index, group.rows[group.places.index(place)][0], LEAST)

    @property
    def board(self) -> Board:
        """The board of the run."""
        return self.connections.board

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
        """A new worker for a slot in which none runs, or in which one runs until the turn. See `WorkerMaker.worker`."""
        generation = slot.next_generation()
        return self._maker.worker(*slot.key, generation, checkpoint=slot.checkpoint, condemned=condemned, turn=turn)

    def start(self, slot: WorkerSlot, condemned: Mapping[int, Condemned] | None = None) -> WorkerHandle:
        """Make a worker, and let the executor of its group start it. Errors of the executor pass through."""
        slot.begin_again()
        if slot.group.is_elsewhere:
            slot.who = replace(slot.who, host=self.elsewhere.host_of(*slot.key))
            generation = slot.next_generation()
            return self.elsewhere.start(*slot.key, generation, slot.checkpoint, condemned)
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
            return started_by(slot.group.executor, worker, self._pool)
        except BaseException:
            worker.hand_over()
            raise

    def warn(self, text: str, logger: str = LOGGER) -> None:
        """Log a warning while the run goes on. The thread for logs does it, because a handler may block."""
        self._logs.warn(text, logger)

    def roster(self, bell: int) -> Roster:
        """The facts that another process needs to read the board. bell: see `Roster`."""
        restoring = {section.end for section in self.sections if section.restores}
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
        return Roster(groups, self.elsewhere.hosts, self.board.number, bell)

    def passed(self, reading: Reading) -> list[Passed]:
        """For each group that restores order: how many items have passed there, and how many were numbered."""
        found = []
        for section in self.sections:
            if section.restores:
                role, name, _ = self.groups[section.end].names[0]
                origin, end = self.groups[section.origin], self.groups[section.end]
                numbering = reading.stages[origin.first_stage + len(origin.names) - 1][0]
                found.append(Passed(role, name, reading.stages[end.first_stage][0].turn, numbering.numbered))
        return found

    def dead_letters(self) -> int:
        """How many items have become dead letters so far. Each is counted before its letter is sent."""
        rows = chain.from_iterable(slot.rows for slot in self.all_slots)
        return sum(int(row[Cell.DEAD] + row[Cell.DEAD_PARTS]) for row in rows)

    def skipped(self) -> Mapping[str, int]:
        """How many items each stage has skipped so far, by its name."""
        found: Counter[str] = Counter()
        # The slots may be closed already.
        for group in self.groups:
            for (_, name, _), numbers in zip(group.names, group.rows, strict=True):
                rows = [self.board.row(number) for number in numbers]
                found[name] += sum(int(row[Cell.SKIPPED] + row[Cell.SKIPPED_PARTS]) for row in rows)
        return +found

    def source_length(self) -> int | None:
        """How many items the source has sent, once it has ended by itself; None before."""
        row = self.board.row(self.groups[0].rows[0][0])
        return int(row[Cell.SENT]) if row[Cell.STATE] == State.DONE else None

    def accounts(self, reading: Reading) -> list[Account]:
        """The account of every stage so far."""
        may_repeat = {index for section in self.sections for index in section.after_replacements(self.groups)}
        return [
            account(role, name, reading.stages[stage], index in may_repeat)
            for index, group in enumerate(self.groups)
            for stage, (role, name, _) in enumerate(group.names, start=group.first_stage)
        ]

    def started(self) -> None:
        """Release the resources that only later workers would need. Called after the first workers have started."""
        self.connections.started()
        for group in self.groups:
            if not group.may_start_later:
                group.code.drop()

    def close(self) -> None:
        """Release every slot, every channel and the descriptor of the board."""
        self._closing.close()

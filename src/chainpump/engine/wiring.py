"""From a plan to workers: which stages share a worker, and the channel of each junction."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from ..blame import Who
from ..executors.base import Executor
from ..executors.inline import Inline
from ..plan.plan import PlannedStage, Reach, Role
from ..stages import Assignment
from ..transport.board import Board, Cell
from ..transport.channel import Channel
from ..transport.memory import MemoryChannel
from ..transport.seqpacket import PacketChannel
from ..worker import Code, Worker
from .ledger import Account, account

__all__ = ["Group", "Wiring"]

CHANNELS: dict[Reach, Callable[[int, int, int | None], Channel]] = {
    Reach.THREAD: MemoryChannel,
    Reach.HOST: PacketChannel,
}

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
    code: Code

    @property
    def workers(self) -> int:
        """How many copies run."""
        return self.executor.workers

    @property
    def names(self) -> list[tuple[str, str, str | None]]:
        """Role, name and place of definition of each stage, the caller's loop included."""
        named = [(stage.role.value, stage.name, stage.call.where) for stage in self.stages]
        return [*named, (Role.SINK.value, LOOP, None)] if self.iterated else named

    def who(self, stage: int, number: int) -> Who:
        """A worker of one of its stages; number counts from 0."""
        role, name, where = self.names[stage]
        return Who(role, name, number + 1, self.workers, where)


class Wiring:
    """The board, the groups and the channels of one run.

    iterated: the caller consumes what the last stage yields, so that its loop is the sink.
    """

    def __init__(self, stages: Sequence[PlannedStage], iterated: bool) -> None:
        self.groups = tuple(_groups(stages, iterated))
        junctions = list(zip(self.groups, self.groups[1:], strict=False))
        rows = self.groups[-1].rows[-1].stop
        self.board = Board(rows, len(junctions), len(self.groups))
        self.channels: list[Channel] = []
        try:
            for left, right in junctions:
                reach = max(left.executor.reach, right.executor.reach)
                in_flight = right.stages[0].in_flight if right.stages else None
                self.channels.append(CHANNELS[reach](left.workers, right.workers, in_flight))
        except BaseException:
            self.close()
            raise

    @property
    def has_caller(self) -> bool:
        """Whether the last group runs in the caller's thread."""
        return self.groups[-1].is_caller

    def worker(self, group: int, number: int) -> Worker:
        """One worker of a group, with ends of its own; it is to be started or closed."""
        this = self.groups[group]
        before = self.groups[group - 1] if group else None
        assignments = [
            Assignment(
                this.who(stage, number),
                rows[number],
                bool(this.stages[stage].may_stop) if stage < len(this.stages) else False,
                _makers(before) if stage == 0 and before else ("",),
            )
            for stage, rows in enumerate(this.rows)
        ]
        return Worker(
            assignments,
            this.code,
            self.board,
            group,
            before.rows[-1] if before else (),
            self.channels[group - 1].receiver() if before else None,
            self.channels[group].sender(number) if group < len(self.channels) else None,
        )

    def accounts(self) -> list[Account]:
        """The account of every stage as far as it has come."""
        return [
            account(role, name, [self.board.row(row) for row in rows])
            for group in self.groups
            for (role, name, _), rows in zip(group.names, group.rows, strict=True)
        ]

    def in_hand(self, group: int, number: int) -> range:
        """The numbers of the items that a worker had received and not finished."""
        row = self.board.row(self.groups[group].rows[0][number])
        first = row[Cell.FIRST]
        return range(first, first + row[Cell.RECEIVED] - row[Cell.FINISHED])

    def close(self) -> None:
        """Release every channel and the board's descriptor."""
        for channel in self.channels:
            channel.close()
        self.board.close()


def _groups(stages: Sequence[PlannedStage], iterated: bool) -> Iterator[Group]:
    """Join neighbours whose executor says so; the last group is the caller's if it joins, or if the caller iterates."""
    numbered = list(enumerate(stages))
    runs = [
        [stage for _, stage in run]
        for _, run in groupby(numbered, lambda pair: "joined" if pair[1].on.joins else pair[0])
    ]
    if iterated and not runs[-1][-1].on.joins:
        runs.append([])
    next_row = 0
    for index, run in enumerate(runs):
        is_last = index == len(runs) - 1
        executor: Executor = run[0].on if run else Inline()  # type: ignore[assignment]
        loops = is_last and iterated
        rows = []
        for _ in range(len(run) + loops):
            rows.append(range(next_row, next_row + executor.workers))
            next_row += executor.workers
        code = Code([stage.call for stage in run])
        yield Group(run, executor, rows, is_last and executor.joins, loops, code)


def _makers(group: Group) -> Sequence[str]:
    """How messages tell the workers of a group apart, as makers of an item."""
    if group.workers == 1:
        return ("",)
    name = group.names[-1][1]
    return [f" from worker {number} of '{name}'" for number in range(1, group.workers + 1)]

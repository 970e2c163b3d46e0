"""Groups: which stages share their workers, and after which sections of the chain the order is restored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..executors.base import Executor
from ..executors.inline import Inline
from ..lazy_dataclass import dataclass
from ..messages.names import Role, WorkerName
from ..pickling.shared_functions import SharedFunctions
from ..plan import sections
from ..plan.operators import Operator
from ..plan.placement import AUTO, copies_of
from ..plan.planned_stage import PlannedStage
from ..plan.sections import sharing_worker
from ..transport.credits import CreditRoom
from ..transport.room import Room
from ..transport.send_limit import Gates
from ..worker.retirement import Share

__all__ = ["Group", "Section", "groups_of", "makers", "sections_of"]

# The least number of items in flight per worker: its current item, and the next one, so that it need not wait.
ROOM_EACH = 2
# The name of the caller's `for` loop as a stage of the run.
LOOP = "iteration"


@dataclass(frozen=True, slots=True)
class Group:
    """Stages that share a worker: one stage, or several neighbours.

    rows: for each stage, the board rows of its workers. first_stage: the number of its first stage in the chain.
    is_caller: its only worker is the caller's thread. iterated: the caller's loop is one more stage at the end.
    loop_in_flight: the bound of the items of a loop that is alone.
    """

    stages: Sequence[PlannedStage]
    executor: Executor
    rows: Sequence[range]
    first_stage: int
    is_caller: bool
    iterated: bool
    code: SharedFunctions
    loop_in_flight: int | None = None

    @property
    def workers(self) -> int:
        """The largest number of workers."""
        return len(self.rows[0])

    @property
    def at_once(self) -> int:
        """The largest number of items that the workers process at the same time."""
        return self.workers if self.executor.workers == AUTO else self.executor.workers

    @property
    def in_flight(self) -> int | None:
        """How many items of its input may be accepted and not finished; None for no limit."""
        return self.stages[0].in_flight if self.stages else self.loop_in_flight

    @property
    def own_process(self) -> bool:
        """Whether its workers are processes."""
        return self.executor.capabilities.own_process

    @property
    def replaceable(self) -> Operator[Any, Any] | None:
        """The element-wise stage, if its workers are replaced when they die or exceed the time limit; else None."""
        return self.stages[0].replaceable if len(self.stages) == 1 else None

    @property
    def is_timed(self) -> bool:
        """Whether a stage of it has a time limit for each item."""
        return any(stage.operator is not None and stage.operator.timeout is not None for stage in self.stages)

    @property
    def is_auto(self) -> bool:
        """Whether the autoscaler chooses the number of its workers."""
        return self.executor.workers == AUTO

    @property
    def at_first(self) -> int:
        """The number of workers at the start."""
        return 1 if self.is_auto else self.workers

    @property
    def may_start_later(self) -> bool:
        """Whether workers of it may be started while the run goes on."""
        return self.is_auto or self.replaceable is not None or self.share is not None

    @property
    def share(self) -> Share | None:
        """The work after which a worker retires, and a fresh one takes its place; None if there is no limit."""
        able = self.executor.capabilities
        return Share(able.recycle_after, able.recycle_above) if able.recycles else None

    @property
    def is_element_wise(self) -> bool:
        """Whether every result of it belongs to one input item."""
        return all(isinstance(stage.call, Operator) for stage in self.stages) and not self.iterated

    @property
    def names(self) -> list[tuple[Role, str, str | None]]:
        """Role, name and place of definition of each stage, the caller's loop included."""
        named = [(stage.role, stage.name, stage.call.where) for stage in self.stages]
        return [*named, (Role.SINK, LOOP, None)] if self.iterated else named

    def who(self, stage: int, number: int) -> WorkerName:
        """The name of a worker of one of its stages. number: counted from 0."""
        role, name, where = self.names[stage]
        return WorkerName(role, name, number + 1, self.workers, where)


@dataclass(frozen=True, slots=True)
class Section:
    """Element-wise groups between a group that numbers the items and a group that receives them.

    origin, end: the indexes of these two groups. room: limits the items in the section if the order is restored at the
    end; None if it is not restored.
    """

    origin: int
    end: int
    room: Room | None

    def close(self) -> None:
        """Release the resources of the main process."""
        if self.room is not None:
            self.room.close()


def groups_of(
    stages: Sequence[PlannedStage], iterated: bool, apart: bool, loop_in_flight: int | None = None
) -> Iterator[Group]:
    """The groups of a run. The last one runs in the caller's thread if it can, or if the caller iterates."""
    runs = sharing_worker(stages, iterated, apart)
    next_row = next_stage = 0
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
        is_caller = is_last and executor.capabilities.shares_thread and (loops or not apart)
        yield Group(run, executor, rows, next_stage, is_caller, loops, code, loop_in_flight)
        next_stage += len(rows)


def sections_of(groups: Sequence[Group]) -> Iterator[Section]:
    """The sections of element-wise groups, with room if their order is restored."""
    for section in sections.sections_of(groups):
        origin, *between, end = groups[section.origin : section.end + 1]
        room: Room | None = None
        if section.restores and end.in_flight is not None:
            room = CreditRoom(end.in_flight, origin.rows[-1])
        elif section.restores:
            # An element-wise end is a sink. Its worker processes items, too.
            least = ROOM_EACH * (sum(each.at_once for each in between) + end.is_element_wise)
            room = _gates((origin, *between, end), least)
        yield Section(section.origin, section.end, room)


def _gates(section: Sequence[Group], least: int) -> Gates:
    """The gates for the first two groups of a section.

    Unordered tasks have no gate, because they send results as they come.
    """
    origin, first, *_, end = section
    operators = [stage.call for stage in first.stages if isinstance(stage.call, Operator)]
    sends_in_order = not first.executor.capabilities.runs_async or all(each.ordered for each in operators)
    waiting = (origin, first) if sends_in_order else (origin,)
    return Gates(end.rows[0][0], [row for group in waiting for row in group.rows[-1]], least)


def makers(group: Group) -> Sequence[str]:
    """For messages about an item: the words that name the worker that made it, for each worker of a group."""
    if group.workers == 1:
        return ("",)
    name = group.names[-1][1]
    return [f" from worker {number} of '{name}'" for number in range(1, group.workers + 1)]

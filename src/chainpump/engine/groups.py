"""Groups: which stages share their workers, and after which sections of the chain the order is restored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from ..durable.resume_points import WHOLE, ResumePoint
from ..executors.base import Executor
from ..executors.inline import Inline
from ..lazy_dataclass import dataclass
from ..messages.names import Role, WorkerName
from ..pickling.shared_functions import SharedFunctions
from ..plan import sections
from ..plan.joining import CallersThread
from ..plan.operators import Operator
from ..plan.placement import AUTO, copies_of
from ..plan.planned_stage import PlannedStage
from ..plan.sections import sharing_worker
from ..transport.credits import CreditRoom
from ..transport.room import Room
from ..transport.send_limit import Gates
from ..worker.retirement import Share
from ..worker.work import Assignment, Work

__all__ = ["Group", "Section", "groups_of", "processed_again", "sections_of", "works_of"]

# The least number of items in flight per worker: its current item, and the next one, so that it need not wait.
ROOM_EACH = 2
# The name of the caller's `for` loop as a stage of the run.
LOOP = "iteration"


@dataclass(frozen=True, slots=True)
class Group:
    """Stages that share a worker: one stage, or several neighbours.

    rows: for each stage, the board rows of its workers. first_stage: the number of its first stage in the chain.
    is_caller: its only worker is the caller's thread. iterated: the caller's loop is one more stage at the end.
    loop_in_flight: the bound of the items of a loop that is alone. hosts: the names of the machines of its workers;
    none if they are on that of the main process.
    """

    stages: Sequence[PlannedStage]
    executor: Executor
    rows: Sequence[range]
    first_stage: int
    is_caller: bool
    iterated: bool
    code: SharedFunctions
    loop_in_flight: int | None = None
    hosts: Sequence[str] = ()

    @property
    def workers(self) -> int:
        """The largest number of workers."""
        return len(self.rows[0])

    @property
    def places(self) -> range:
        """The numbers of its stages in the chain, that of the caller's loop included."""
        return range(self.first_stage, self.first_stage + len(self.rows))

    @property
    def at_once(self) -> int:
        """The largest number of items that the workers process at the same time."""
        return self.workers if self.executor.workers == AUTO else self.executor.workers

    @property
    def in_flight(self) -> int | None:
        """How many items of its input may be accepted and not finished; None for no limit."""
        return self.stages[0].in_flight if self.stages else self.loop_in_flight

    @property
    def most_bytes(self) -> int | None:
        """The most bytes of an item that it sends; see `Bound`."""
        return self.stages[-1].call.most_bytes if self.stages else None

    @property
    def has_own_interpreter(self) -> bool:
        """Whether its workers do not share the interpreter, and so the memory, of the process that starts them."""
        return self.executor.capabilities.has_own_interpreter

    @property
    def is_elsewhere(self) -> bool:
        """Whether its workers run on other machines."""
        return self.executor.capabilities.elsewhere

    @property
    def replaceable(self) -> Operator[Any, Any] | None:
        """The element-wise stage, if its workers are replaced when they die or exceed the time limit; else None."""
        return self.stages[0].replaceable if len(self.stages) == 1 else None

    @property
    def main(self) -> int:
        """The stage that has a function of the program or an executor of its own; others may have joined it."""
        return next((index for index, stage in enumerate(self.stages) if stage.home is None), 0)

    @property
    def moves(self) -> int:
        """How often its workers may go on elsewhere after the loss of their machine, if their section is replayed."""
        return self.executor.capabilities.restarts if self.is_elsewhere and self.replaceable is not None else 0

    @property
    def operators(self) -> Sequence[Operator[Any, Any]]:
        """The functions of its element-wise stages."""
        return [stage.call for stage in self.stages if isinstance(stage.call, Operator)]

    @property
    def is_timed(self) -> bool:
        """Whether a stage of it has a time limit for each item."""
        return any(operator.timeout is not None for operator in self.operators)

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
        host = self.hosts[number] if self.hosts else ""
        return WorkerName(role, name, number + 1, self.workers, where, host)


@dataclass(frozen=True, slots=True)
class Section:
    """Element-wise groups between a group that numbers the items and a group that receives them.

    origin, end: the indexes of these two groups. make_room: makes what limits the items in the section if the order is
    restored at the end; None if it is not restored. is_replayed: what a lost machine had of it is sent again.
    """

    origin: int
    end: int
    make_room: Callable[[], Room] | None
    is_replayed: bool = False

    @property
    def restores(self) -> bool:
        """Whether the order is restored at the end."""
        return self.make_room is not None

    @property
    def junctions(self) -> range:
        """The junctions between its groups."""
        return range(self.origin, self.end)

    def after_replacements(self, groups: Sequence[Group]) -> range:
        """The groups of the section that may receive items twice, because a worker before them may be replaced.

        If the section is replayed, these are all of its groups.
        """
        if self.is_replayed:
            return range(self.origin + 1, self.end + 1)
        between = range(self.origin, self.end)
        first = next((index for index in between if groups[index].replaceable), self.end)
        return range(first + 1, self.end + 1)


def groups_of(
    stages: Sequence[PlannedStage], iterated: bool, apart: bool, loop_in_flight: int | None = None
) -> Iterator[Group]:
    """The groups of a run. The last one runs in the caller's thread if it can, or if the caller iterates."""
    runs = sharing_worker(stages, iterated, apart)
    next_row = next_stage = 0
    for index, run in enumerate(runs):
        is_last = index == len(runs) - 1
        in_loop = not run or isinstance(run[0].on, CallersThread)
        executor: Executor = Inline() if in_loop else run[0].on  # type: ignore[assignment]
        loops = is_last and iterated
        copies = copies_of(executor)
        rows = []
        for _ in range(len(run) + loops):
            rows.append(range(next_row, next_row + copies))
            next_row += copies
        code = SharedFunctions([stage.call.for_workers for stage in run])
        is_caller = is_last and executor.capabilities.shares_thread and (loops or not apart)
        yield Group(run, executor, rows, next_stage, is_caller, loops, code, loop_in_flight)
        next_stage += len(rows)


def sections_of(groups: Sequence[Group]) -> Iterator[Section]:
    """The sections of element-wise groups, with room if their order is restored."""
    for section in sections.sections_of(groups):
        origin, *between, end = groups[section.origin : section.end + 1]
        make_room: Callable[[], Room] | None = None
        is_replayed = section.restores and any(each.moves for each in between)
        if section.restores and end.in_flight is not None:
            one_process = not any(each.has_own_interpreter for each in (origin, *between, end))
            make_room = partial(CreditRoom, end.in_flight, origin.rows[-1], one_process=one_process)
        elif section.restores:
            # An element-wise end is a sink. Its worker processes items, too.
            least = ROOM_EACH * (sum(each.at_once for each in between) + end.is_element_wise)
            # The next item in order may come again, behind later ones: see `transport.send_limit`.
            waiting = (origin,) if is_replayed else (origin, between[0])
            rows = [row for group in waiting for row in group.rows[-1]]
            make_room = partial(Gates, end.rows[0][0], rows, least)
        yield Section(section.origin, section.end, make_room, is_replayed)


def works_of(
    groups: Sequence[Group], sections: Sequence[Section], points: Mapping[int, ResumePoint], *, watched: bool
) -> list[Work]:
    """What the workers of each group have to do. watched: see `Work`.

    points: where each origin goes on, by its place in the chain; empty if this is no durable run.
    """
    may_repeat = {index for section in sections for index in section.after_replacements(groups)}
    restored = {index for section in sections if section.restores for index in range(section.origin + 1, section.end)}
    is_durable = bool(points)
    return [
        Work(
            index,
            _assignments(group, _makers(_origin_of(groups, index)) if index else ("",), points),
            groups[index - 1].rows[-1] if index else (),
            awaits=group.executor.capabilities.runs_async,
            whole=index in may_repeat,
            exact_spans=is_durable or index in restored,
            # A loop tells it without a message.
            tells_done=is_durable and index == len(groups) - 1 and not group.iterated,
            watched=watched,
            share=group.share,
            is_replaceable=group.replaceable is not None,
            has_own_interpreter=group.has_own_interpreter,
            hosts=group.hosts,
        )
        for index, group in enumerate(groups)
    ]


def processed_again(groups: Sequence[Group], sections: Sequence[Section]) -> Iterator[int]:
    """The groups that may process items again after the loss of a worker, or of its machine.

    Items that several workers number are not told apart. The parts of an item are, in the first stage of a worker.
    """
    replayed = {index for each in sections if each.is_replayed for index in range(each.origin + 1, each.end)}
    again = False
    for index, group in enumerate(groups):
        again = index in replayed or group.replaceable is not None or (again and group.is_element_wise)
        if again and len(group.stages) == 1 and _origin_of(groups, index).workers == 1:
            yield index


def _assignments(group: Group, makers: Sequence[str], points: Mapping[int, ResumePoint]) -> list[Assignment]:
    """The assignments of the first worker of a group. makers: of the input of the group. points: see `works_of`."""
    origins = [max((origin for origin in points if origin < place), default=-1) for place in group.places]
    return [
        Assignment(
            group.who(stage, 0),
            rows.start,
            stage < len(group.stages) and bool(group.stages[stage].may_stop),
            makers if stage == 0 else ("",),
            rows,
            executor=type(group.executor).__name__,
            done=points.get(origin, WHOLE).left_out,
            goes_on=points.get(place, WHOLE),
            place=place,
        )
        for stage, (rows, place, origin) in enumerate(zip(group.rows, group.places, origins, strict=True))
    ]


def _origin_of(groups: Sequence[Group], index: int) -> Group:
    """The group that numbers the input of this group."""
    index -= 1
    while index and groups[index].is_element_wise:
        index -= 1
    return groups[index]


def _makers(group: Group) -> Sequence[str]:
    """For messages about an item: the words that name the worker that made it, for each worker of a group."""
    if group.workers == 1:
        return ("",)
    name = group.names[-1][1]
    return [f" from worker {number} of '{name}'" for number in range(1, group.workers + 1)]

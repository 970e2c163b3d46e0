"""Which stages of the library run in the worker of a neighbour: those that cost less there than the way to it.

source ──► batch ──► map on 4 ──► unbatch ──► each
└─ one worker ──┘   └─ four ─┘   └─ one worker ──┘

A stage may join if no executor and no bound was named for it, and if it calls no function of the program. Its neighbour
may take it if that has one worker, which is never replaced, and is no function of one item: such a worker works through
whole frames, and items one by one would take it longer. See docs/adr/0045.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..lazy_dataclass import dataclass, field, replace
from .generator_stages import batch, is_timed, numbered, skip, take, unbatch
from .operators import Each
from .placement import Capabilities
from .planned_stage import PlannedStage

__all__ = ["LOOP", "CallersThread", "joined"]

# The caller's loop, as the home of a stage.
LOOP = "the caller's loop"


@dataclass(frozen=True, slots=True)
class CallersThread:
    """Where the caller's loop runs, and stages that have joined it."""

    workers: int = field(default=1, init=False, repr=False)

    @property
    def capabilities(self) -> Capabilities:
        """The stages share the thread of the loop."""
        return Capabilities(shares_thread=True)


@dataclass(frozen=True, slots=True)
class _Sides:
    """Which neighbours a stage may join: the one that makes its items, and the one that takes its results."""

    maker: bool
    taker: bool


EITHER = _Sides(maker=True, taker=True)
# A batch is gathered while the stage behind works, which could not happen in the worker of that stage. And `unbatch`
# makes many items of one, which is cheaper to send.
JOINING: tuple[tuple[Callable[..., Any], _Sides], ...] = (
    (batch, _Sides(maker=True, taker=False)),
    (unbatch, _Sides(maker=False, taker=True)),
    (take, EITHER),
    (skip, EITHER),
    (numbered, EITHER),
)


def joined(stages: Sequence[PlannedStage], loops: bool) -> list[list[PlannedStage]]:
    """Return the stages in groups that share a worker, each stage with the executor of its group.

    loops: whether the caller's loop takes the items in its own thread. The loop is at the end of the last group if they
    share a worker; otherwise the last group is empty.
    """
    homes = _homes(stages, loops)
    groups: list[list[PlannedStage]] = []
    for index, stage in enumerate(stages):
        if not index or homes[index] != homes[index - 1]:
            groups.append([])
        groups[-1].append(_at_home(stage, index, homes[index], stages))
    if loops and homes[-1] != homes[-2]:
        groups.append([])
    return groups


def _homes(stages: Sequence[PlannedStage], loops: bool) -> list[int]:
    """For each stage, the index of the stage on whose executor it runs. The last index is that of the caller's loop."""
    sides = [_sides(stage) for stage in stages]
    homes = list(range(len(stages) + 1))
    # 1. Neighbours on Inline, and stages that join the maker of their items, or join what has joined it.
    for index in range(1, len(stages)):
        stage, before, side = stages[index], stages[index - 1], sides[index]
        if side is None:
            share = sides[index - 1] is None and stage.shares_worker_with(before)
        else:
            share = side.maker and (_takes(before) if sides[index - 1] is None else homes[index - 1] < index - 1)
        if share:
            homes[index] = homes[index - 1]
    if sides[-1] is None and stages[-1].on.capabilities.shares_thread:
        homes[-1] = homes[-2]
    # 2. Of the others, those that join the taker of their results, or join what has joined it.
    for index in reversed(range(len(stages))):
        side = sides[index]
        is_left = side is not None and side.taker and homes[index] == index
        if is_left and _may_join(stages, sides, homes, index + 1, loops):
            homes[index] = homes[index + 1]
    # 3. What is left shares a worker among itself.
    for index in range(1, len(stages)):
        first = homes[index - 1]
        are_left = homes[index] == index > first and None not in (sides[index], sides[index - 1], sides[first])
        if are_left and _takes(stages[first]) and _takes(stages[index]):
            homes[index] = first
    return homes


def _may_join(
    stages: Sequence[PlannedStage], sides: Sequence[_Sides | None], homes: Sequence[int], taker: int, loops: bool
) -> bool:
    """Return whether the stage before may run in the worker of this one, the taker of its results."""
    if taker == len(stages):
        return loops
    if sides[taker] is not None:
        return homes[taker] > taker
    stage = stages[taker]
    # A bound counts what waits between the two. And a stage that waits for some time needs a channel.
    return _takes(stage) and stage.in_flight is None and not is_timed(stage.call)


def _sides(stage: PlannedStage) -> _Sides | None:
    """Return which neighbours a stage may join; None if it has a worker of its own."""
    if not stage.is_free or stage.in_flight is not None:
        return None
    # A function of a user may not be hashable, and comparing it may run any code.
    return next((sides for function, sides in JOINING if function is stage.call.function), None)


def _takes(stage: PlannedStage) -> bool:
    """Return whether another stage may run in the worker of this one."""
    able = stage.on.capabilities
    if able.shares_thread:
        return True
    is_fixed = not (able.recycles or able.restarts or able.runs_async or able.elsewhere or stage.replaceable)
    return stage.on.workers == 1 and is_fixed and (stage.operator is None or isinstance(stage.call, Each))


def _at_home(stage: PlannedStage, index: int, home: int, stages: Sequence[PlannedStage]) -> PlannedStage:
    """Return the stage with the executor of its home. Neighbours on Inline have that of their own."""
    if home == index or not stage.is_free:
        return stage
    if home == len(stages):
        return replace(stage, on=CallersThread(), home=LOOP)
    return replace(stage, on=stages[home].on, home=f"'{stages[home].name}'")

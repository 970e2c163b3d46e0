"""Which stages share a worker, and where the order of items is kept or restored: one answer for plan and engine.

source ──► map, map ──────────────► then ──► filter ────────► loop
numbers    several workers: order   takes    several workers  takes all items
is lost between them     all items, and numbers
└──── a section ────────┘ those that it makes      one at a time
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, groupby
from operator import and_
from typing import Any, Protocol

from ..lazy_dataclass import dataclass
from ..messages.names import Role
from .operators import Operator
from .planned_stage import PlannedStage

__all__ = ["Section", "StageGroup", "orders_of", "sections_of", "sharing_worker"]


class StageGroup(Protocol):
    """Stages that share a worker."""

    @property
    def stages(self) -> Sequence[PlannedStage]:
        """One, or neighbours in one thread; none where the caller's loop has a worker of its own."""
        ...

    @property
    def workers(self) -> int:
        """How many workers it may have, at most."""
        ...

    @property
    def at_once(self) -> int:
        """How many items they deal with at once, at most."""
        ...

    @property
    def is_element_wise(self) -> bool:
        """Whether every item that it sends comes of one that it was given."""
        ...

    @property
    def guarded(self) -> Operator[Any, Any] | None:
        """The element-wise stage whose workers are replaced when they die or take too long; None for all others."""
        ...


@dataclass(frozen=True, slots=True)
class _Group:
    """A group of a plan. iterated: the caller's loop is one more stage, at the end."""

    stages: Sequence[PlannedStage]
    iterated: bool

    @property
    def workers(self) -> int:
        return self.stages[0].copies if self.stages else 1

    @property
    def at_once(self) -> int:
        return self.stages[0].at_once if self.stages else 1

    @property
    def is_element_wise(self) -> bool:
        return all(stage.operator is not None for stage in self.stages) and not self.iterated

    @property
    def guarded(self) -> Operator[Any, Any] | None:
        return self.stages[0].replaceable if len(self.stages) == 1 else None


@dataclass(frozen=True, slots=True)
class Section:
    """Element-wise groups between one that numbers the items and one that takes them.

    origin, end: the places of these two. restores: whether `end` puts the items in order, by their numbers.
    """

    origin: int
    end: int
    restores: bool


def sharing_worker(stages: Sequence[PlannedStage], iterated: bool, apart: bool = False) -> list[list[PlannedStage]]:
    """The stages in groups that share a worker: neighbours of which each can run in the thread of the other.

    iterated: the caller's loop takes the items: at the end of the last group, if it can run in the caller's thread, or
    as a group of its own, which has no stages. apart: it is a group of its own in any case.
    """
    runs = [
        [stage for _, stage in run]
        for _, run in groupby(
            enumerate(stages), lambda pair: "shared" if pair[1].on.capabilities.shares_thread else pair[0]
        )
    ]
    if iterated and (apart or not runs[-1][-1].on.capabilities.shares_thread):
        runs.append([])
    return runs


def sections_of(groups: Sequence[StageGroup]) -> Iterator[Section]:
    """Where element-wise groups are, and whether their order is to be restored behind them.

    That takes one worker that numbers the items, and one that reads them all and is not replaced. It is also where what
    comes twice is dropped: so order is restored wherever a worker may be replaced, whatever was asked for.
    """
    origin = 0
    for end, group in enumerate(groups):
        is_last = end == len(groups) - 1
        if not end or (group.is_element_wise and not is_last):
            continue
        if end > origin + 1:
            stages = [stage for each in groups[origin + 1 : end + group.is_element_wise] for stage in each.stages]
            asked = all(stage.operator.ordered for stage in stages if stage.operator is not None)
            may = groups[origin].workers == group.at_once == 1 and not group.guarded
            yield Section(origin, end, may and (asked or any(stage.restarts for stage in stages)))
        origin = end


def orders_of(stages: Sequence[PlannedStage]) -> list[str]:
    """For each stage, whether what comes out of it is in the order of the source: 'kept' or 'undefined'."""
    iterated = stages[-1].role is not Role.SINK
    runs = sharing_worker(stages, iterated)
    groups = [_Group(run, iterated and place == len(runs) - 1) for place, run in enumerate(runs)]
    keeps = [[stage.keeps_order for stage in group.stages] for group in groups]
    for section in sections_of(groups):
        between = range(section.origin + 1, section.end)
        if section.restores:
            for place in between:
                keeps[place] = [True] * len(keeps[place])
        elif any(groups[place].workers > 1 for place in between):
            # Its workers mix what they make, and no one puts it in order before it is used.
            keeps[section.end] = [False] * len(keeps[section.end])
    kept = accumulate((each for group in keeps for each in group), and_)
    return ["kept" if each else "undefined" for each in kept]

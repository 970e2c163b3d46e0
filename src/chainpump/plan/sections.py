"""Which stages share a worker, and where the order of items is kept or restored: one answer for plan and engine.

source ──► map, map ──────────────► then ──────────────────► filter ────────► loop
numbers    several workers lose     takes all items, and     several workers  takes all items
items      the order                numbers its own
           └──── a section ────┘                             └ a section ─┘
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, chain
from operator import and_
from typing import Any, Protocol

from ..lazy_dataclass import dataclass
from ..messages.names import Role
from .joining import joined
from .operators import Operator
from .planned_stage import PlannedStage

__all__ = ["KEPT", "Section", "StageGroup", "at_home", "orders_of", "sections_of", "sharing_worker"]

# How results are ordered: as the items of the source, or in any order.
KEPT, UNDEFINED = "kept", "undefined"


class StageGroup(Protocol):
    """Stages that share a worker."""

    @property
    def stages(self) -> Sequence[PlannedStage]:
        """Return one stage, or neighbours in one thread; none if the caller's loop has its own worker."""
        ...

    @property
    def workers(self) -> int:
        """Return the maximum number of workers."""
        ...

    @property
    def at_once(self) -> int:
        """Return the maximum number of items that they process at once."""
        ...

    @property
    def is_element_wise(self) -> bool:
        """Return whether every item that it sends is a result of an item that it received."""
        ...

    @property
    def in_flight(self) -> int | None:
        """Return how many items of its input may be accepted and not finished; None for a bound in bytes."""
        ...

    @property
    def replaceable(self) -> Operator[Any, Any] | None:
        """Return the element-wise stage whose workers are replaced when they die or take too long; otherwise None."""
        ...


@dataclass(frozen=True, slots=True)
class _Group:
    """A group of a plan. iterated: whether the caller's loop is one more stage at its end."""

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
    def in_flight(self) -> int | None:
        return self.stages[0].in_flight if self.stages else None

    @property
    def replaceable(self) -> Operator[Any, Any] | None:
        return self.stages[0].replaceable if len(self.stages) == 1 else None


@dataclass(frozen=True, slots=True)
class Section:
    """The element-wise groups between a group that numbers the items and a group that takes them.

    origin, end: the indices of these two groups. restores: whether `end` restores the order of items, by their numbers.
    """

    origin: int
    end: int
    restores: bool


def sharing_worker(stages: Sequence[PlannedStage], iterated: bool, apart: bool = False) -> list[list[PlannedStage]]:
    """Return the stages in groups that share a worker, each stage with the executor of its group: see `joining`.

    iterated: whether the caller's loop takes the items. If it shares its worker with a stage, this is in the last
    group; otherwise the loop is a group without stages. apart: makes it one in any case.
    """
    groups = joined(stages, loops=iterated and not apart)
    return [*groups, []] if iterated and apart else groups


def sections_of(groups: Sequence[StageGroup]) -> Iterator[Section]:
    """Return where the element-wise groups are, and whether the order is restored behind them.

    This requires one worker that numbers the items, and one worker that reads all of them and is not replaced. The same
    place also drops results that come twice. So order is restored wherever a worker may be replaced, even with
    `ordered=False`. For a time limit alone it is restored only if items in flight are counted there.
    """
    origin = 0
    for end, group in enumerate(groups):
        is_last = end == len(groups) - 1
        if not end or (group.is_element_wise and not is_last):
            continue
        if end > origin + 1:
            stages = [stage for each in groups[origin + 1 : end + group.is_element_wise] for stage in each.stages]
            wanted = all(stage.operator.ordered for stage in stages if stage.operator is not None)
            # A worker that is replaced must hold no credit, so the worker that numbers the items takes them.
            counts = group.in_flight is not None and any(stage.replaceable for stage in stages)
            may = groups[origin].workers == group.at_once == 1 and not group.replaceable
            yield Section(origin, end, may and (wanted or counts or any(stage.restarts for stage in stages)))
        origin = end


def at_home(stages: Sequence[PlannedStage]) -> list[PlannedStage]:
    """Return the stages of a plan, each with the executor on which it runs: its own, or that of a neighbour."""
    return list(chain.from_iterable(sharing_worker(stages, _is_iterated(stages))))


def _is_iterated(stages: Sequence[PlannedStage]) -> bool:
    return stages[-1].role is not Role.SINK


def orders_of(stages: Sequence[PlannedStage]) -> list[str]:
    """Return for each stage whether its results are in the order of the source: 'kept' or 'undefined'."""
    iterated = _is_iterated(stages)
    runs = sharing_worker(stages, iterated)
    groups = [_Group(run, iterated and index == len(runs) - 1) for index, run in enumerate(runs)]
    keeps = [[stage.keeps_order for stage in group.stages] for group in groups]
    for section in sections_of(groups):
        between = range(section.origin + 1, section.end)
        if section.restores:
            for index in between:
                keeps[index] = [True] * len(keeps[index])
        elif any(groups[index].workers > 1 for index in between):
            # The workers between mix the results, and the order is not restored before `end` takes them.
            keeps[section.end] = [False] * len(keeps[section.end])
    kept = accumulate((each for group in keeps for each in group), and_)
    return [KEPT if each else UNDEFINED for each in kept]

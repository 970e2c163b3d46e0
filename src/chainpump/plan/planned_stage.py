"""A planned stage: a bound function with its place and its options, checked and frozen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from itertools import accumulate, groupby
from operator import and_
from typing import Any

from ..lazy_dataclass import dataclass
from .bound import Bound
from .placement import Placement

__all__ = ["PlannedStage", "Role", "orders_of"]


class Role(Enum):
    """What a stage is in its pipeline."""

    SOURCE = "source"
    STAGE = "stage"
    SINK = "sink"


@dataclass(frozen=True, slots=True)
class PlannedStage:
    """A bound function with its place: one row of a plan.

    yields: the type hint of its items, `plan.hints.UNKNOWN` where nobody said.
    in_flight: items of its input that may be accepted and not finished; None bounds them by bytes.
    ordered: of an element-wise stage, whether its results keep the order of its items; None for all others.
    before_run: called as a run opens; raises if this stage cannot run (again).
    """

    role: Role
    name: str
    call: Bound
    on: Placement
    in_flight: int | None = None
    may_stop: bool = False
    yields: Any = None  # a type hint: any object that typing accepts as one
    yields_text: str = "?"
    ordered: bool | None = None
    before_run: Callable[[], None] | None = None

    @property
    def keeps_order(self) -> bool:
        """Whether what it makes is in the order of what it was given."""
        return self.on.copies == 1 if self.ordered is None else self.ordered

    @property
    def label(self) -> str:
        """How messages call it: `stage 'decode'`."""
        return f"{self.role.value} '{self.name}'"


def orders_of(stages: Sequence[PlannedStage]) -> list[str]:
    """For each stage, whether what comes out of it is in the order of the source: 'kept' or 'undefined'."""
    keeps: list[bool] = []
    for is_element_wise, run in groupby(stages, lambda stage: stage.ordered is not None):
        neighbours = list(run)
        # Behind workers that may be replaced the engine drops what comes twice, and that restores the order.
        restores = is_element_wise and any(stage.on.restarts for stage in neighbours)
        keeps += [restores or stage.keeps_order for stage in neighbours]
    kept = accumulate(keeps, and_)
    return ["kept" if each else "undefined" for each in kept]

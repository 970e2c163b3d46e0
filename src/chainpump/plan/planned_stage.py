"""A planned stage: a bound function with its place and its options, and what follows from the two."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from itertools import accumulate, groupby
from operator import and_
from typing import Any

from ..lazy_dataclass import dataclass
from .bound import Bound
from .operators import Each, Operator
from .placement import AUTO, Placement, copies_of, items_at_once

__all__ = ["PlannedStage", "Role", "orders_of"]


class Role(Enum):
    """What a stage is in its pipeline."""

    SOURCE = "source"
    STAGE = "stage"
    SINK = "sink"


@dataclass(frozen=True, slots=True)
class PlannedStage:
    """A bound function with its place: one row of a plan.

    yields: the type hint of its items, `UNKNOWN` where nobody said.
    in_flight: items of its input that may be accepted and not finished; None bounds them by bytes.
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
    before_run: Callable[[], None] | None = None

    @property
    def label(self) -> str:
        """How messages call it: `stage 'decode'`."""
        return f"{self.role.value} '{self.name}'"

    @property
    def operator(self) -> Operator[Any, Any] | None:
        """Its function of one item, and what is done with that; None where it is a function of all items."""
        return self.call if isinstance(self.call, Operator) else None

    @property
    def is_auto(self) -> bool:
        """Whether it has as many workers as measured figures call for."""
        return self.on.workers == AUTO

    @property
    def copies(self) -> int:
        """How many workers it may have, at most."""
        return copies_of(self.on)

    @property
    def at_once(self) -> int:
        """How many items its workers deal with at once, at most."""
        return items_at_once(self.on)

    @property
    def restarts(self) -> int:
        """How often each of its workers is replaced when its process dies."""
        return self.on.capabilities.restarts

    @property
    def replaceable(self) -> Operator[Any, Any] | None:
        """Its function of one item, if its workers are replaced when they die or take too long; None otherwise."""
        call = self.operator
        if call is None or not self.on.capabilities.own_process:
            return None
        return call if self.restarts or call.timeout is not None else None

    @property
    def promises_order(self) -> bool:
        """Whether its results are to be in the order of its items, where nothing else decides about that."""
        call = self.operator
        return self.copies == 1 if call is None or isinstance(call, Each) else call.ordered

    def shares_worker_with(self, neighbour: PlannedStage) -> bool:
        """Whether the two run in one worker, which pulls items from one to the other, one at a time."""
        return self.on.capabilities.shares_thread and neighbour.on.capabilities.shares_thread


def orders_of(stages: Sequence[PlannedStage]) -> list[str]:
    """For each stage, whether what comes out of it is in the order of the source: 'kept' or 'undefined'."""
    keeps: list[bool] = []
    for is_element_wise, run in groupby(stages, lambda each: each.operator is not None and each.role is not Role.SINK):
        neighbours = list(run)
        # Behind workers that may be replaced the engine drops what comes twice, and that restores the order.
        restores = is_element_wise and any(stage.restarts for stage in neighbours)
        keeps += [restores or stage.promises_order for stage in neighbours]
    kept = accumulate(keeps, and_)
    return ["kept" if each else "undefined" for each in kept]

"""A planned stage: a bound function with its place and its options, checked and frozen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from .bound import Bound
from .placement import Placement

__all__ = ["PlannedStage", "Role"]


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

"""A planned stage: a bound function with its place and its options, and what follows from the two."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..lazy_dataclass import dataclass
from ..messages.names import Role
from .bound import Bound
from .operators import Each, Operator
from .placement import AUTO, Placement, copies_of, items_at_once

__all__ = ["PlannedStage"]


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
    # A type hint: any object that typing accepts as one.
    yields: Any = None
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
    def keeps_order(self) -> bool:
        """Whether its results are in the order of its items. Of several workers of an operator: if that is restored."""
        if self.on.capabilities.shares_thread:
            return True
        call = self.operator
        return self.copies == 1 if call is None or isinstance(call, Each) else call.ordered

    def shares_worker_with(self, neighbour: PlannedStage) -> bool:
        """Whether the two run in one worker, which pulls items from one to the other, one at a time."""
        return self.on.capabilities.shares_thread and neighbour.on.capabilities.shares_thread

"""A planned stage: a bound function with its executor and its options, and the properties that follow from them."""

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
    """A bound function with its executor: one row of a plan.

    yields: the type hint of its items, or `UNKNOWN`.
    in_flight: how many items of its input may be accepted and not finished; None means a bound in bytes.
    before_run: called when a run opens; raises if this stage cannot run (again).
    each_worker: for a source, whether each of its workers runs all of it.
    is_free: no executor was named for it, so the plan may choose its worker.
    home: the stage or loop in whose worker the plan has placed it, as a text; None if it is not in that of another one.
    """

    role: Role
    name: str
    call: Bound
    on: Placement
    in_flight: int | None = None
    may_stop: bool = False
    # A type hint may be any object that typing accepts as one.
    yields: Any = None
    yields_text: str = "?"
    before_run: Callable[[], None] | None = None
    each_worker: bool = False
    is_free: bool = False
    home: str | None = None

    @property
    def label(self) -> str:
        """Return its name in messages: `stage 'decode'`."""
        return f"{self.role.value} '{self.name}'"

    @property
    def operator(self) -> Operator[Any, Any] | None:
        """Return its operator if it is an element-wise stage; None if its function takes all items."""
        return self.call if isinstance(self.call, Operator) else None

    @property
    def numbers_items(self) -> bool:
        """Return whether its items have numbers of their own: it is a source or a generator stage."""
        return self.operator is None and self.role is not Role.SINK

    @property
    def is_auto(self) -> bool:
        """Return whether measurements decide how many workers it has."""
        return self.on.workers == AUTO

    @property
    def copies(self) -> int:
        """Return the maximum number of its workers."""
        return copies_of(self.on)

    @property
    def at_once(self) -> int:
        """Return the maximum number of items that its workers process at once."""
        return items_at_once(self.on)

    @property
    def restarts(self) -> int:
        """Return how often each of its workers is replaced when its process dies."""
        return self.on.capabilities.restarts

    @property
    def replaceable(self) -> Operator[Any, Any] | None:
        """Return its operator if its workers are replaced when they die or take too long; None otherwise."""
        call = self.operator
        if call is None or not self.on.capabilities.can_be_killed:
            return None
        return call if self.restarts or call.timeout is not None else None

    @property
    def keeps_order(self) -> bool:
        """Return whether its results have the order of its items, if necessary after a reorder buffer."""
        if self.on.capabilities.shares_thread:
            return True
        call = self.operator
        return self.copies == 1 if call is None or isinstance(call, Each) else call.ordered

    def shares_worker_with(self, neighbour: PlannedStage) -> bool:
        """Return whether both stages run in one worker, which pulls items from one to the other, one at a time."""
        return self.on.capabilities.shares_thread and neighbour.on.capabilities.shares_thread

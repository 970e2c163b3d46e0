"""The settings of one execution, as one value: what the engine needs to know besides the stages."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import DeadItem
from ..lazy_dataclass import dataclass, field, replace
from ..progress.observer_thread import Observer
from ..worker.seeds import Seed

__all__ = ["RunSettings"]


@dataclass(frozen=True, slots=True)
class RunSettings:
    """How a run is executed.

    iterated: the caller consumes what the last stage yields, so that its loop is the sink.
    grace: seconds from a polite request to end until force is used.
    stall_timeout: seconds without any movement that end the run.
    observers: they are shown how far it is.
    seed: of the random numbers of its worker processes.
    dead_letters: the list that they are added to. A run within another one adds them to the same list.
    apart: no stage runs in the caller's thread, not even on Inline.
    """

    iterated: bool
    grace: float
    stall_timeout: float | None = None
    observers: Sequence[Observer] = ()
    seed: Seed = field(default_factory=lambda: Seed.of_run(None))
    dead_letters: list[DeadItem] = field(default_factory=list)
    apart: bool = False

    @property
    def is_watched(self) -> bool:
        """Whether workers say on the board which item they are in."""
        return self.stall_timeout is not None

    def of_part(self, place: int, *, apart: bool) -> RunSettings:
        """Those of a run within this one, which nobody observes by itself. It has a seed of its own."""
        return replace(self, iterated=True, observers=(), seed=self.seed.derived(place), apart=apart)

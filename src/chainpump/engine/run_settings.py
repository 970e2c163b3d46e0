"""The settings of one execution as one value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..errors import DeadItem
from ..lazy_dataclass import dataclass, field, replace
from ..progress.observer_thread import Observer
from ..worker.seeds import Seed
from .no_recorder import NoRecorder
from .warm_pool import WarmPool

__all__ = ["RunSettings"]


@dataclass(frozen=True, slots=True)
class RunSettings:
    """How a run is executed.

    iterated: the caller iterates over the results of the last stage, so the caller's loop is the sink.
    grace: seconds from a polite request to end until force is used.
    stall_timeout: the run fails if nothing moves for this many seconds.
    observers: they receive snapshots of the progress.
    seed: the seed for the random numbers of worker processes.
    dead_letters: the list that collects dead letters. A nested run uses the list of the outer run.
    apart: no stage runs in the caller's thread, not even on Inline.
    in_flight: how many items the caller's loop may have accepted and not finished; None means a bound in bytes.
    pool: keeps worker processes for later runs; None if they end with this run.
    recorder: writes to the journal of the run what is done.
    print_above: prints a line above the live table of a terminal; None if there is no such table.
    is_part: this is a nested run, the source of another run.
    """

    iterated: bool
    grace: float
    stall_timeout: float | None = None
    observers: Sequence[Observer] = ()
    seed: Seed = field(default_factory=lambda: Seed.of_run(None))
    dead_letters: list[DeadItem] = field(default_factory=list)
    apart: bool = False
    in_flight: int | None = None
    pool: WarmPool | None = None
    recorder: NoRecorder = field(default_factory=NoRecorder)
    is_part: bool = False
    print_above: Callable[[str], object] | None = None

    @property
    def reports_items(self) -> bool:
        """Whether workers write the number of their current item to the board."""
        return self.stall_timeout is not None

    def of_part(self, index: int, *, apart: bool, in_flight: int | None = None) -> RunSettings:
        """The settings of a nested run. It has its own seed and no observers."""
        seed = self.seed.derived(index)
        none: dict[str, Any] = {"observers": (), "recorder": NoRecorder(), "is_part": True}
        return replace(self, iterated=True, seed=seed, apart=apart, in_flight=in_flight, **none)

"""The plan: a pipeline's stages, each placed on an executor, checked and frozen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, IntEnum
from itertools import accumulate, groupby
from operator import and_
from typing import Any, Final, Literal, Protocol, TypeAlias

from ..errors import StageOptionError
from ..ipc.cpus import processors
from ..messages.table import table
from .bound import Bound

__all__ = [
    "AUTO",
    "Placement",
    "Plan",
    "PlannedStage",
    "Reach",
    "Role",
    "Workers",
    "check_whole",
    "check_workers",
    "copies_of",
]

AUTO: Final = "auto"
MOST_AUTO = 32  # workers of one auto stage: each that may come takes two descriptors from the start
Workers: TypeAlias = int | Literal["auto"]


class Reach(IntEnum):
    """How far the workers of an executor are from the main process; a junction needs the farther of its two."""

    THREAD = 0
    HOST = 1


class Role(Enum):
    """What a stage is in its pipeline."""

    SOURCE = "source"
    STAGE = "stage"
    SINK = "sink"


class Placement(Protocol):
    """What a plan needs to know of an executor; `executors.base.Executor` adds how to start a worker."""

    @property
    def workers(self) -> Workers:
        """How many items are dealt with at once; "auto" for as many as measured figures call for."""
        ...

    @property
    def copies(self) -> int:
        """How many workers there may be for that, at most; one event loop deals with many items."""
        ...

    @property
    def reach(self) -> Reach:
        """How far the workers are from the main process."""
        ...

    @property
    def pickles(self) -> bool:
        """Whether functions and their arguments are pickled on their way to a worker."""
        ...

    @property
    def imports_main(self) -> bool:
        """Whether workers import the program's main file."""
        ...

    @property
    def restarts(self) -> int:
        """How often each worker of an element-wise stage is replaced when its process dies."""
        ...

    @property
    def awaits(self) -> bool:
        """Whether functions are async, and run in an event loop."""
        ...

    @property
    def joins(self) -> bool:
        """Whether neighbouring stages share one worker, and the last of them the caller's thread."""
        ...


def check_whole(value: object, what: str, least: int) -> None:
    """Raise StageOptionError unless this is a whole number of at least so much."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise StageOptionError(f"{what} must be a whole number of at least {least} but got: {value!r}.")


def check_workers(executor: object, workers: object, or_auto: bool = False) -> None:
    """Raise StageOptionError unless an executor was asked for at least one worker, or "auto" where that is known."""
    if or_auto and isinstance(workers, str) and workers == AUTO:
        return
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        name = type(executor).__name__
        more = f'{name}("auto") runs as many as are of use' if or_auto else f"{name}(100) deals with a hundred at once"
        raise StageOptionError(
            f"{name}: workers must be a whole number of at least 1 but got: {workers!r}.\n"
            f"  {name}() runs one worker; {more}."
        )


def copies_of(workers: Workers) -> int:
    """How many there may be: of auto ones at least two everywhere, so that a plan is the same on any machine."""
    return max(2, min(processors(), MOST_AUTO)) if workers == AUTO else workers


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


@dataclass(frozen=True, slots=True)
class Plan:
    """A checked pipeline: what will run where. `print(plan)` shows it as a table, a notebook as a picture."""

    stages: tuple[PlannedStage, ...]

    def __str__(self) -> str:
        rows = [
            (
                stage.name,
                stage.role.value,
                repr(stage.on),
                "by bytes" if stage.in_flight is None else str(stage.in_flight),
                order,
                stage.yields_text,
                stage.call.where or "built in",
            )
            for stage, order in zip(self.stages, self.orders, strict=True)
        ]
        return table(("stage", "role", "on", "in flight", "order", "yields", "defined at"), rows)

    def mermaid(self) -> str:
        """The plan as a Mermaid flowchart: stages, executors, and the type, order and bounds of what they send."""
        from .mermaid import mermaid  # no worker needs it

        return mermaid(self)

    def svg(self) -> str:
        """The same as an SVG picture, for a file or a page; it is readable on light and on dark ground.

        >>> from chainpump import Pipeline
        >>> Pipeline(range(3)).plan().svg().startswith("<svg")
        True
        """
        from .svg import svg  # no worker needs it

        return svg(self)

    def _repr_html_(self) -> str:
        """The picture, in a notebook."""
        return self.svg()

    @property
    def orders(self) -> list[str]:
        """For each stage, whether what comes out of it is in the order of the source: 'kept' or 'undefined'."""
        keeps: list[bool] = []
        for is_element_wise, run in groupby(self.stages, lambda stage: stage.ordered is not None):
            stages = list(run)
            # Behind workers that may be replaced the engine drops what comes twice, and that restores the order.
            restores = is_element_wise and any(stage.on.restarts for stage in stages)
            keeps += [restores or stage.keeps_order for stage in stages]
        kept = accumulate(keeps, and_)
        return ["kept" if each else "undefined" for each in kept]

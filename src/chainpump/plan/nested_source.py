"""A nested source: pipelines whose items are the source of another pipeline. The engine supplies the code for it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from typing import Any, Generic, TypeAlias

from ..lazy_dataclass import dataclass, replace
from .bound import Out_co, Source
from .planned_stage import PlannedStage

__all__ = ["NestedSource", "Stages"]

Stages: TypeAlias = tuple[PlannedStage, ...]


@dataclass(frozen=True, repr=False)
class NestedSource(Source[Out_co], Generic[Out_co]):
    """Pipelines that run as one source. parts: the stages of each.

    function: makes the items; its argument is a sequence of functions that start the parts. inline_function: does the
    same in one thread, which cannot wait for two parts at once. starts: the functions that start the parts, set when
    the outer run starts. Any: a plan does not depend on the engine.
    """

    parts: tuple[Stages, ...] = ()
    inline_function: Callable[..., Any] | None = None
    starts: tuple[Callable[..., Any], ...] = ()

    @cached_property
    def where(self) -> str | None:
        """Return None: a nested source is not defined in a file of the user."""
        return None

    @property
    def is_in_order(self) -> bool:
        """Return whether the items of the parts come in the same order each time."""
        # In one thread there is only one order. What does the same with several threads keeps it.
        return self.function is self.inline_function

    @property
    def within(self) -> tuple[Stages, ...]:
        """Return the stages of the parts."""
        return self.parts

    def call(self, *inputs: Any) -> Any:
        """Make the items, by running the parts."""
        return self.function(self.starts)

    def changed(self, change: Callable[[PlannedStage], PlannedStage]) -> NestedSource[Out_co]:
        """Return the same source with each stage of each part changed."""
        return replace(self, parts=tuple(tuple(map(change, part)) for part in self.parts))

    def inlined(self, change: Callable[[PlannedStage], PlannedStage]) -> NestedSource[Out_co]:
        """Return the same source for one thread, with each stage of each part changed."""
        return replace(self.changed(change), function=self.inline_function or self.function)

    def starting(self, start: Callable[..., Any]) -> NestedSource[Out_co]:
        """Return the same source with a function that starts a part, from the stages and the index of the part."""
        return replace(self, starts=tuple(partial(start, part, index) for index, part in enumerate(self.parts)))

    def before_run(self) -> None:
        """Prepare all parts for a run. Raises StageOptionError if one of them cannot run."""
        for part in self.parts:
            for stage in part:
                if stage.before_run is not None:
                    stage.before_run()

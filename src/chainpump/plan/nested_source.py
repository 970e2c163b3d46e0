"""A nested source: pipelines whose items are the source of another one. What runs them is given to it."""

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
    """Pipelines that are run as one source. parts: the stages of each.

    function: makes their items of functions that start them. inline_function: the same in one thread, where nobody can
    wait for two at once. starts: these functions, as soon as the run around them starts. Any: a plan knows no runs.
    """

    parts: tuple[Stages, ...] = ()
    inline_function: Callable[..., Any] | None = None
    starts: tuple[Callable[..., Any], ...] = ()

    @cached_property
    def where(self) -> str | None:
        """Nowhere in the user's files."""
        return None

    @property
    def within(self) -> tuple[Stages, ...]:
        """Its parts."""
        return self.parts

    def call(self, *inputs: Any) -> Any:
        """The items, as the runs within make them."""
        return self.function(self.starts)

    def changed(self, change: Callable[[PlannedStage], PlannedStage]) -> NestedSource[Out_co]:
        """The same, with each stage of each part changed."""
        return replace(self, parts=tuple(tuple(map(change, part)) for part in self.parts))

    def inlined(self, change: Callable[[PlannedStage], PlannedStage]) -> NestedSource[Out_co]:
        """The same for one thread, with each stage of each part changed."""
        return replace(self.changed(change), function=self.inline_function or self.function)

    def starting(self, start: Callable[..., Any]) -> NestedSource[Out_co]:
        """The same, with a function that starts a part, given its stages and its place."""
        return replace(self, starts=tuple(partial(start, part, place) for place, part in enumerate(self.parts)))

    def before_run(self) -> None:
        """All parts are about to run, sooner or later. Raises StageOptionError if one cannot."""
        for part in self.parts:
            for stage in part:
                if stage.before_run is not None:
                    stage.before_run()

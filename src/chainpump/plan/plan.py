"""The plan: a pipeline's stages, each placed on an executor, checked and frozen."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, groupby
from operator import and_

from ..messages.table import table
from .planned_stage import PlannedStage

__all__ = ["Plan"]


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

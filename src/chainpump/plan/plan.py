"""The plan: the stages of a pipeline, each with its executor, checked and frozen."""

from __future__ import annotations

from ..lazy_dataclass import dataclass
from ..messages.table import table
from .planned_stage import PlannedStage
from .sections import at_home, orders_of

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
                repr(stage.on) if stage.home is None else f"with {stage.home}",
                "by bytes" if stage.in_flight is None else str(stage.in_flight),
                order,
                stage.yields_text,
                stage.call.where or "built in",
            )
            for stage, order in zip(at_home(self.stages), self.orders, strict=True)
        ]
        return table(("stage", "role", "on", "in flight", "order", "yields", "defined at"), rows)

    def mermaid(self) -> str:
        """Return the plan as a Mermaid flowchart: stages, executors, and the type, order and bounds of their items."""
        # Workers import this module and do not need pictures.
        from .mermaid import mermaid

        return mermaid(self.stages)

    def svg(self) -> str:
        """Return the plan as an SVG picture, for a file or a page; it is readable on a light and on a dark background.

        >>> from chainpump import Pipeline
        >>> Pipeline(range(3)).plan().svg().startswith("<svg")
        True
        """
        # Workers import this module and do not need pictures.
        from .svg import svg

        return svg(self.stages)

    def _repr_html_(self) -> str:
        """Return the picture, for a notebook."""
        return self.svg()

    @property
    def orders(self) -> list[str]:
        """Return for each stage whether its results are in the order of the source: 'kept' or 'undefined'."""
        return orders_of(self.stages)

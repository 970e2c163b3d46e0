"""Whether stages give the same items in the same order when they run again, as far as that is known."""

from __future__ import annotations

from collections.abc import Sequence

from ..policies import keeps_items
from .generator_stages import differing
from .nested_source import NestedSource
from .planned_stage import PlannedStage
from .sections import KEPT, orders_of

__all__ = ["why_differing"]


def why_differing(stages: Sequence[PlannedStage]) -> tuple[str, str] | None:
    """Return why the items of the last of these stages differ from run to run, and what to do; None if they need not.

    Functions of a user are assumed to do the same each time.
    """
    for stage, order in zip(stages, orders_of(stages), strict=True):
        found = _why_own(stage, order)
        if found is not None:
            return found
    return None


def _why_own(stage: PlannedStage, order: str) -> tuple[str, str] | None:
    call, operator = stage.call, stage.operator
    if isinstance(call, NestedSource) or stage.each_worker:
        return _why_source(stage)
    if operator is None and stage.copies > 1:
        advice = "Give it one worker. Or use .map(), .filter() and .flat_map(), which can have several."
        return f"the {stage.copies} workers of {stage.label} share its input, each time in another way", advice
    if order != KEPT:
        return f"the results of {stage.label} come in any order", "Leave out ordered=False there."
    if operator is not None and not keeps_items(operator.policy):
        advice = "Leave out on_error= there, or let the function return a value for them, such as None."
        return (
            f"{stage.label} leaves out items that fail (on_error={operator.policy!r}), and may not the next time",
            advice,
        )
    reason = differing(call)
    return None if reason is None else (f"{stage.label} {reason[0]}", reason[1])


def _why_source(source: PlannedStage) -> tuple[str, str] | None:
    call = source.call
    if source.each_worker:
        advice = "Let one worker run the source, and later stages share the work."
        return f"with each_worker=True the items of {source.label} come in any order", advice
    if isinstance(call, NestedSource) and not call.is_in_order:
        advice = "Use Pipeline.interleave or Pipeline.concat, which have an order."
        return f"the items of {source.label} come in any order", advice
    return next(filter(None, map(why_differing, call.within)), None)

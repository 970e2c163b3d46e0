"""Whether a pipeline can run with stages on other machines."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import StageOptionError
from ..plan.planned_stage import PlannedStage

__all__ = ["check_elsewhere"]


def check_elsewhere(stages: Sequence[PlannedStage]) -> None:
    """Raise StageOptionError if workers on other machines could not keep what a stage asks for."""
    elsewhere = [stage for stage in stages if stage.on.capabilities.elsewhere]
    for stage in elsewhere:
        if type(stage.on) is not type(elsewhere[0].on):
            raise StageOptionError(
                f"{stage.label} cannot run on {stage.on!r}: '{elsewhere[0].name}' runs on {elsewhere[0].on!r}.\n"
                "  All stages of a pipeline that run on other machines must use the same kind of executor."
            )
    for place, stage in enumerate(stages):
        far = _far_before(stages, place)
        if stage.in_flight is not None and far is not None:
            raise StageOptionError(
                f"{stage.label} cannot have in_flight={stage.in_flight}: its items come from other machines,\n"
                f"  or go there ('{far.name}' on {far.on!r}). Credits are counted in the memory of one machine.\n"
                "  Leave it out; what is in flight is bounded by bytes."
            )


def _far_before(stages: Sequence[PlannedStage], place: int) -> PlannedStage | None:
    """A stage on other machines through which items pass between the stage that numbers them and this one."""
    for stage in reversed(stages[: place + 1]):
        if stage.on.capabilities.elsewhere:
            return stage
        if stage.operator is None and stage is not stages[place]:
            return None
    return None

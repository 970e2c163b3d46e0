"""Whether a fresh worker can go on where a worker of a stage has retired."""

from __future__ import annotations

from ..errors import StageOptionError
from ..messages.names import Role
from ..plan.generator_stages import of_several
from ..plan.planned_stage import PlannedStage

__all__ = ["check_recycling"]


def check_recycling(stage: PlannedStage) -> None:
    """Raise StageOptionError if its workers are to be recycled, and a fresh one could not go on."""
    if not stage.on.capabilities.recycles or stage.operator is not None:
        return
    reason = of_several(stage.call)
    if stage.role is Role.SOURCE:
        reason = "a fresh worker would make all items again, from the first one"
    elif stage.role is Role.SINK:
        reason = "each worker would return a value of its own, of a part of the items"
    if reason is not None:
        raise StageOptionError(
            f"{stage.label} cannot run on {stage.on!r}: {reason}.\n"
            "  Leave out recycle_after= and recycle_above=. Workers of .map(), .filter(), .flat_map(), .each() and of\n"
            "  generator stages can be recycled."
        )

"""Whether workers can be replaced where a pipeline asks for it, so that no item is processed twice."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import StageOptionError
from ..plan.planned_stage import PlannedStage

__all__ = ["check_restarts"]


def check_restarts(stages: Sequence[PlannedStage]) -> None:
    """Raise StageOptionError if a worker cannot be replaced, or if nothing could drop repeated items."""
    # The index of the stage that numbers the items.
    numbered = 0
    # A stage after that one whose workers are replaced.
    renewed: PlannedStage | None = None
    for place, stage in enumerate(stages):
        takes_all = stage.operator is None
        behind = f"{stage.label} behind '{renewed.name}', whose workers are replaced when they die," if renewed else ""
        if stage.restarts and takes_all:
            raise StageOptionError(
                f"{stage.label} cannot run on {stage.on!r}: a generator that has died has lost its state.\n"
                "  Only the workers of .map(), .filter(), .flat_map(), .tap() and .each() can be replaced."
            )
        if stage.restarts and stages[numbered].copies > 1:
            raise StageOptionError(
                f"{stage.label} cannot run on {stage.on!r} behind '{stages[numbered].name}', of several workers.\n"
                "  Only where one worker numbers the items is it known which of them have gone on already."
            )
        is_counted_apart = takes_all and stage.copies == stages[numbered].copies == 1
        if behind and stage.in_flight is not None and not is_counted_apart:
            raise StageOptionError(
                f"{behind} cannot have in_flight={stage.in_flight}: they would take their credits with them.\n"
                "  Leave it out, or put .then() with one worker before it and give in_flight= to that."
            )
        if renewed and renewed.restarts and takes_all and stage.copies > 1:
            raise StageOptionError(
                f"{behind} cannot run on {stage.on!r}: it has several workers.\n"
                "  Only one that takes all items can drop what comes twice."
            )
        if takes_all:
            numbered, renewed = place, None
        elif stage.replaceable:
            renewed = stage

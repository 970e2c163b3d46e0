"""The plan of a durable run: which chains can go on after the death of their program, and what they have in addition.

origin ──► map, filter, flat_map, tap ──► each, into                its workers tell which items are done
origin ──► map, filter, flat_map, tap ──► the caller's loop         the loop is a worker of its own

What is done is known by the numbers of the last origin: the source, or the last generator stage. A later run makes all
of its items again, and drops those that are done. Where each origin holds nothing now and then, as `batch` does, it
goes on from such a moment, and what is before that is not done again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..durable.resume_points import WHOLE, ResumePoint
from ..errors import JournalError
from ..executors.inline import Inline
from ..executors.threads import Threads
from ..lazy_dataclass import replace
from ..messages.names import Role
from ..plan.generator_stages import continued
from ..plan.planned_stage import PlannedStage
from ..plan.repetition import why_differing
from ..plan.seeking import beginning_at

__all__ = ["check_resumable", "durable_stages"]


def check_resumable(stages: Sequence[PlannedStage]) -> None:
    """Raise JournalError if a run of these stages could not go on where an earlier one has ended."""
    for place, stage in enumerate(stages):
        found = why_differing(stages[: place + 1]) if stage.numbers_items else None
        if found is not None:
            reason, advice = found
            raise JournalError(
                f"{stage.label} cannot have a journal: it numbers its items, and would not make the same ones again: "
                f"{reason}.\n  {advice}"
            )


def durable_stages(stages: Sequence[PlannedStage], points: Mapping[int, ResumePoint]) -> tuple[PlannedStage, ...]:
    """The stages of a durable run of stages that can be resumed. points: where those that number items go on."""
    return tuple(_resumed(stage, points.get(place, WHOLE)) for place, stage in enumerate(stages))


def _resumed(stage: PlannedStage, point: ResumePoint) -> PlannedStage:
    """The stage as it goes on. It has a worker of its own, if it numbers items or takes all of them on `Inline`.

    With neighbours in its worker, others may number the items. And an item that a sink has taken may be one of several
    results of the item that its worker has received.
    """
    stage = replace(stage, is_free=False)
    if stage.operator is None and isinstance(stage.on, Inline):
        stage = replace(stage, on=Threads(1))
    if not point.first:
        return stage
    if stage.role is Role.SOURCE:
        return replace(stage, call=beginning_at(stage.call, point.first))
    return replace(stage, call=continued(stage.call, point.first) or stage.call)

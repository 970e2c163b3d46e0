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
from ..plan.generator_stages import continued, differing
from ..plan.planned_stage import PlannedStage
from ..plan.sections import KEPT, orders_of
from ..plan.seeking import beginning_at
from ..policies import keeps_items

__all__ = ["check_resumable", "durable_stages"]


def check_resumable(stages: Sequence[PlannedStage]) -> None:
    """Raise JournalError if a run of these stages could not go on where an earlier one has ended."""
    source = stages[0]
    if source.each_worker:
        raise JournalError(
            f"{source.label} cannot have a journal: with each_worker=True its items have no fixed numbers.\n"
            "  Let one worker run the source, and later stages share the work."
        )
    orders = orders_of(stages)
    for place, stage in enumerate(stages[1:], start=1):
        if stage.numbers_items:
            _check_replayed(stages[: place + 1], orders)


def _check_replayed(stages: Sequence[PlannedStage], orders: Sequence[str]) -> None:
    """Raise JournalError unless the last of these stages, a generator stage, makes the same items each time.

    orders: as in `orders_of`.
    """
    *before, stage = stages
    why = f"{stage.label} cannot have a journal: it numbers its items, and would not make the same ones again"
    if stage.copies > 1:
        raise JournalError(
            f"{why}: its {stage.copies} workers share its input, each time in another way.\n"
            "  Give it one worker. Or use .map(), .filter() and .flat_map(), which can have several."
        )
    mixing = next((each for each, order in zip(before, orders, strict=False) if order != KEPT), None)
    if mixing is not None:
        raise JournalError(
            f"{why}: the results of {mixing.label} before it come in any order.\n  Leave out ordered=False there."
        )
    losing = next((each for each in before if each.operator and not keeps_items(each.operator.policy)), None)
    if losing is not None and losing.operator is not None:
        raise JournalError(
            f"{why}: {losing.label} before it leaves out items that fail (on_error={losing.operator.policy!r}), which "
            "may succeed the next time.\n"
            "  Leave out on_error= there, or let the function return a value for them, such as None."
        )
    reason = differing(stage.call)
    if reason is not None:
        raise JournalError(f"{why}: {reason}.")


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

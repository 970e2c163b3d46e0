"""The plan of a durable run: which chains can go on after the death of their program, and what they have in addition.

source ──► map, filter, flat_map, tap ──► each ──► record           the last stage learns which items are done
source ──► map, filter, flat_map, tap ──► the caller's loop         the loop is a worker of its own
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

from ..errors import JournalError
from ..executors.inline import Inline
from ..executors.threads import Threads
from ..lazy_dataclass import replace
from ..messages.names import Role
from ..plan.bound import Sink
from ..plan.operators import Each, RecordedEach
from ..plan.planned_stage import PlannedStage

__all__ = ["check_resumable", "durable_stages", "is_record"]

# The name of the stage behind `each`.
RECORD = "record"


def check_resumable(stages: Sequence[PlannedStage]) -> None:
    """Raise JournalError if a run of these stages could not go on where an earlier one has ended."""
    source, *others = stages
    if source.each_worker:
        raise JournalError(
            f"{source.label} cannot have a journal: with each_worker=True its items have no fixed numbers.\n"
            "  Let one worker run the source, and later stages share the work."
        )
    for stage in others:
        if stage.operator is not None:
            continue
        if stage.role is Role.SINK:
            raise JournalError(
                f"{stage.label} cannot have a journal: it takes all items at once, and nothing says which are done.\n"
                "  End the pipeline in .each(function), or iterate over it: pipeline.open(journal=...)."
            )
        raise JournalError(
            f"{stage.label} cannot have a journal: its items are not those of the source, so their numbers do not say "
            "where the source goes on.\n"
            "  Use map, filter, flat_map, tap and each, which work item by item. Or let the source make such items."
        )


def durable_stages(stages: Sequence[PlannedStage]) -> tuple[PlannedStage, ...]:
    """The stages of a durable run of stages that can be resumed."""
    source, *others = stages
    # With neighbours in its thread, the source would not be what numbers the items.
    if isinstance(source.on, Inline):
        source = replace(source, on=Threads(1))
    *between, last = (source, *others)
    call = last.call
    if not isinstance(call, Each):
        return source, *others
    recorded: RecordedEach[Any] = RecordedEach(
        call.function, call.args, call.kwargs, call.policy, call.ordered, call.timeout, wraps=call.wraps
    )
    record = PlannedStage(Role.SINK, RECORD, Sink(_taken), Threads(1))
    return *between, replace(last, call=recorded), record


def is_record(stage: PlannedStage) -> bool:
    """Whether this is the stage behind `each`, which only learns what is done."""
    return stage.call.function is _taken


def _taken(items: Iterable[Any]) -> None:
    """Take all items; `each` sends none, but the numbers of the items that it has finished."""
    deque(items, maxlen=0)

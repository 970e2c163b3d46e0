"""How a durable run begins: it opens its journal, which says what is done."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import takewhile

from ..durable.content import Checkpoint
from ..durable.fingerprint import fingerprint_of
from ..durable.journal import Journal, as_journal
from ..durable.journal_file import JournalFile
from ..durable.position import Position
from ..durable.ranges import Ranges
from ..durable.resume_points import ResumePoint, resume_points
from ..errors import JournalError
from ..lazy_dataclass import replace
from ..logs.records import warn
from ..messages.names import Role
from ..plan.generator_stages import continued, may_make_at_end
from ..plan.planned_stage import PlannedStage
from ..plan.seeking import start_parameter
from .durable_plan import check_resumable, durable_stages
from .grown_input import GrownInput
from .position_keeper import PositionKeeper
from .recorder import Recorder
from .retry_recorder import RetryRecorder

__all__ = ["keeper_of", "recorder_of"]


def recorder_of(
    given: str | os.PathLike[str] | Journal, every: float, stages: Sequence[PlannedStage]
) -> tuple[Recorder, tuple[PlannedStage, ...]]:
    """The recorder of a run with this journal, and the stages of the run. every: seconds between two writes.

    Raises JournalError if these stages cannot go on, or if the file cannot be used for them.
    """
    check_resumable(stages)
    journal = as_journal(given)
    if journal.retry:
        _check_retry(stages)
    file = JournalFile.open(journal.path, fingerprint_of(stages), journal.strict, retries=journal.retry)
    # Between a dead letter and a retry, a function is often mended.
    for text in () if journal.retry else file.changes:
        warn(text)
    content = file.content
    wanted = Ranges((number, number + 1) for number in file.dead_items)
    left_out = Ranges(wanted.gaps(wanted.end)) if journal.retry else content.done
    points = _points(stages, left_out, content.checkpoints)
    if journal.check_input:
        points[0] = replace(points[0], samples=content.samples)
    sink = stages[-1] if stages[-1].role is Role.SINK else None
    if journal.retry:
        points[0] = replace(points[0], stop=wanted.end)
        again = RetryRecorder(file, points, every, journal.items, journal.autocommit, sink)
        return again, durable_stages(stages, points)
    last = max(points)
    # Another machine has no limit that moves: there, the number of items that are done again is an estimate.
    points[last] = replace(points[last], is_limited=not stages[last].on.capabilities.elsewhere)
    late = next((each for each in stages[1:] if each.numbers_items and may_make_at_end(each.call)), None)
    grown = None if late is None else GrownInput(str(journal.path), late.label, content.length)
    recorder = Recorder(file, points, every, journal.items, journal.autocommit, sink, grown)
    return recorder, durable_stages(stages, points)


def _check_retry(stages: Sequence[PlannedStage]) -> None:
    """Raise JournalError if the items of dead letters of these stages cannot be done again alone."""
    for stage in stages[1:]:
        if stage.numbers_items:
            raise JournalError(
                f"{stage.label}: the items of dead letters cannot be done again alone, since this stage makes items of "
                "several others, or holds some.\n  Take the items out of the letters: `chainpump journal show`."
            )


def keeper_of(start: str, stages: Sequence[PlannedStage]) -> tuple[PositionKeeper, tuple[PlannedStage, ...]]:
    """What keeps the position of a run that begins at a position, and the stages of the run. start: empty at first.

    Raises JournalError if these stages cannot go on, or if it is not a position of them.
    """
    check_resumable(stages)
    shape = fingerprint_of(stages).shape
    position = Position.from_text(start) if start != "" else Position(Ranges())
    if position.shape not in ("", shape):
        raise JournalError(
            "start: the position belongs to a pipeline with other stages.\n"
            "  Its items had other numbers. Finish that with the pipeline that began it, or begin again: start=''."
        )
    points = _points(stages, position.done, position.checkpoints)
    return PositionKeeper(replace(position, shape=shape), points), durable_stages(stages, points)


def _points(stages: Sequence[PlannedStage], done: Ranges, checkpoints: Sequence[Checkpoint]) -> dict[int, ResumePoint]:
    """Where the stages that number their own items go on, by their places."""
    origins = [place for place, stage in enumerate(stages) if stage.numbers_items]
    # A stage that begins again needs all of its items, so checkpoints of the stages in front of it are of no use.
    telling = takewhile(lambda place: continued(stages[place].call, 1) is not None, reversed(origins))
    points = dict(resume_points(done, origins, checkpoints, set(telling)))
    if start_parameter(stages[0].call) is not None:
        points[0] = replace(points[0], first=points[0].left_out.watermark)
    return points

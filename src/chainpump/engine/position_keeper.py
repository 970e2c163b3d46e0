"""Keeps the position of a run, for a program that stores it together with the results."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from functools import partial

from ..durable.checkpoints import Checkpoints
from ..durable.content import Checkpoint
from ..durable.notes import Notes
from ..durable.position import Position
from ..durable.resume_points import ResumePoint
from ..transport.frames import Span
from ..worker.recorded_input import RecordedInput
from ..worker.stage_run import ChannelInput
from ..worker.taken_items import TakenItems
from .finished_items import FinishedItems
from .no_recorder import NoRecorder

__all__ = ["PositionKeeper"]


class PositionKeeper(NoRecorder):
    """Knows what is done in a run that began at a position. Only the thread that takes the items uses it.

    points: where each origin goes on.
    """

    def __init__(self, start: Position, points: Mapping[int, ResumePoint]) -> None:
        self.done = start.done
        self.points = points
        self._shape = start.shape
        self._now = start.done.copy()
        self._finished = FinishedItems()
        self._taken = TakenItems(self._add, autocommits=True)
        self._checkpoints = Checkpoints(points, start.checkpoints)
        # Those that have come since the last position. Any thread adds to them.
        self._told: deque[Checkpoint] = deque()

    def inputs(self, last: int) -> Mapping[int, Callable[..., ChannelInput]]:
        """As in `NoRecorder`: the last group tells what is done."""
        return {last: partial(RecordedInput, self._taken)}

    def note(self, notes: Notes) -> None:
        """Keep the checkpoints for the next position. Any thread may call it."""
        self._told.extend(notes.checkpoints)

    def _add(self, span: Span) -> None:
        finished = self._finished.add(span)
        if finished is not None:
            first, stop = finished
            self._now.add(self.done.original(first), self.done.original(stop - 1) + 1)

    def position(self) -> str:
        """The position behind the item that was given last."""
        self._taken.catch_up()
        while self._told:
            self._checkpoints.add(self._told.popleft())
        return Position(self._now, self._checkpoints.at(self._now.watermark), self._shape).to_text()

"""The input at the end of a durable run: it tells which items were taken."""

from __future__ import annotations

from operator import length_hint
from typing import Any, Protocol

from ..transport.frames import Span
from .stage_run import ChannelInput

__all__ = ["RecordedInput", "SpanRecorder"]


class SpanRecorder(Protocol):
    """Receives what was taken, in the thread of the worker at the end."""

    def reads(self, source: RecordedInput) -> None:
        """An input has begun: that of the worker at the end."""
        ...

    def settled(self, span: Span, *, has_items: bool) -> None:
        """The next item after all of this span was requested, unless `RecordedInput.begun` has given the whole span."""
        ...


class RecordedInput(ChannelInput):
    """An input that reports each span as soon as the item behind it is requested, also a span without items."""

    def __init__(self, recorder: SpanRecorder, *place: Any) -> None:
        super().__init__(*place)
        # Frames without items come, too: a stage has dropped the items of their spans.
        self._passes_on = True
        self._recorder = recorder
        # Whether `begun` has given the whole span of the current frame.
        self._is_told = False
        recorder.reads(self)

    def _settle(self) -> None:
        frame = self._frame
        # Tell it before the frame counts as finished: the replacement of a worker would not get the frame again.
        if frame is not None and not self._is_told:
            self._recorder.settled(frame.span, has_items=bool(frame.entries))
        self._is_told = False
        super()._settle()

    def begun(self, *, with_last: bool) -> Span | None:
        """The part of the current frame that was taken. None if there is none, or if all of it was given before.

        with_last: the item that was given last counts, too. The thread that takes the items calls this, or nobody takes
        items any more.
        """
        frame = self._frame
        if frame is None or self._is_told:
            return None
        # An item belongs to what was taken if no further entry of the frame has its number.
        position = len(frame.entries) - length_hint(self._cursor) - (not with_last)
        if position >= len(frame.entries):
            self._is_told = True
            return frame.span
        span = frame.span
        stop = frame.number(position) if position > 0 else span.start
        return span._replace(stop=stop, last=False) if stop > span.start else None

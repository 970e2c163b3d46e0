"""The input at the end of a durable run: it tells a recorder which items are done."""

from __future__ import annotations

from operator import length_hint
from typing import Any, Protocol

from ..transport.frames import Span
from .stage_run import ChannelInput

__all__ = ["RecordedInput", "SpanRecorder"]


class SpanRecorder(Protocol):
    """Receives what is done, in the thread of the worker at the end."""

    def reads(self, source: RecordedInput) -> None:
        """An input has begun: that of the worker at the end."""
        ...

    def settled(self, span: Span) -> None:
        """The next item after all of this span was requested."""
        ...


class RecordedInput(ChannelInput):
    """An input that reports each span as soon as the item behind it is requested, also a span without items."""

    def __init__(self, recorder: SpanRecorder, *place: Any) -> None:
        super().__init__(*place)
        # Frames without items come, too: their items are done, because a stage has dropped them.
        self._passes_on = True
        self._recorder = recorder
        recorder.reads(self)

    def _settle(self) -> None:
        span = self._frame.span if self._frame is not None else None
        super()._settle()
        if span is not None:
            self._recorder.settled(span)

    def begun(self, *, with_last: bool) -> Span | None:
        """The part of the current frame that is done. with_last: the item that was given last is done, too.

        The thread that takes the items calls this, or nobody takes items any more.
        """
        frame = self._frame
        if frame is None:
            return None
        # An item belongs to what is done if no further entry of the frame has its number.
        position = len(frame.entries) - length_hint(self._cursor) - (not with_last)
        if position >= len(frame.entries):
            return frame.span
        span = frame.span
        stop = frame.number(position) if position > 0 else span.start
        return span._replace(stop=stop, last=False) if stop > span.start else None

"""What the end of a durable run has taken, and which of it is done."""

from __future__ import annotations

from collections.abc import Callable

from ..transport.frames import Span
from .recorded_input import RecordedInput

__all__ = ["TakenItems"]


class TakenItems:
    """Decides when the items that the end has taken are done. Only the thread that takes them uses it.

    done: receives what is done. autocommits: the request of the next item says that the one before it is done, until
    the first `commit`. If False, only `commit` says so.
    """

    def __init__(self, done: Callable[[Span], object], *, autocommits: bool) -> None:
        self._done = done
        self._autocommits = autocommits
        self._input: RecordedInput | None = None
        # What waits for a commit.
        self._uncommitted: list[Span] = []

    @property
    def uncommitted(self) -> int:
        """The number of items of the source that wait for a commit, also if only a part of the results does."""
        return sum(max(span.ended, 1) for span in self._uncommitted)

    def reads(self, source: RecordedInput) -> None:
        """As in SpanRecorder."""
        self._input = source

    def settled(self, span: Span, *, has_items: bool) -> None:
        """As in SpanRecorder."""
        # A span without items has nothing to commit, so it is done as soon as all before it is.
        if self._autocommits or not (has_items or self._uncommitted):
            self._done(span)
        else:
            self._uncommitted.append(span)

    def commit(self) -> None:
        """All items that were given so far are done, and later ones only after the next commit."""
        self._autocommits = False
        self.catch_up()

    def catch_up(self) -> None:
        """All items that were given so far are done."""
        spans, self._uncommitted = self._uncommitted, []
        if self._input is not None and (begun := self._input.begun(with_last=True)) is not None:
            spans.append(begun)
        for span in spans:
            self._done(span)

    def leave(self) -> None:
        """No more items are taken. What was taken before the last one is done, unless only commits say so."""
        if self._autocommits and self._input is not None and (begun := self._input.begun(with_last=False)) is not None:
            self._done(begun)

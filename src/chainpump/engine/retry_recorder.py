"""The recorder of a run that does the items of dead letters again."""

from __future__ import annotations

from typing import Any

from ..durable.content import Change
from ..lazy_dataclass import replace
from .recorder import Recorder

__all__ = ["RetryRecorder"]


class RetryRecorder(Recorder):
    """Removes from a journal the dead letters of items that are done now. What is done stays as it is."""

    limits_items = False

    # Any: what the base class takes.
    def __init__(self, *facts: Any) -> None:
        super().__init__(*facts)
        self._done_before = self.done.count
        # The numbers of this run are those of the items with letters.
        self.done = self.points[0].left_out
        # The numbers of items that are done, and not yet written.
        self._retried: list[int] = []

    @property
    def again_at_most(self) -> int:
        """As in `NoRecorder`: what is done again is what was asked for."""
        return 0

    @property
    def done_before(self) -> int:
        """As in `NoRecorder`."""
        return self._done_before

    def _count_of(self, change: Change) -> int:
        return len(change.retried)

    def _add_finished(self, first: int, stop: int) -> None:
        self._retried += map(self.done.original, range(first, stop))

    def _gathered(self) -> Change:
        retried, self._retried = tuple(self._retried), []
        return replace(super()._gathered(), retried=retried)

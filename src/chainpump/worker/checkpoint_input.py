"""The input of a generator stage that can go on in the middle: it finds moments at which the stage holds nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from operator import length_hint
from typing import Any

from ..durable.content import Checkpoint
from ..durable.notes import Notes
from .output import Output
from .stage_run import ChannelInput
from .work import Assignment

__all__ = ["CheckpointInput"]

# Nanoseconds between two checkpoints of a stage. So much of its work is done again after a crash, and in between it
# takes its items at full speed.
EVERY_NS = 100_000_000


class CheckpointInput(ChannelInput):
    """Tells checkpoints of a stage that holds no item whenever it requests one directly after a result.

    Once a checkpoint is due, it gives the items one by one, and looks at each request, until it has found one.
    assignment: of the stage. note: takes the checkpoints. place: as for `Input`.
    """

    def __init__(
        self, assignment: Assignment, output: Output, note: Callable[[Notes], object], *place: Any, **options: Any
    ) -> None:
        super().__init__(*place, **options)
        self._assignment = assignment
        self._made_by = output
        self._note = note
        self._due_ns = time.monotonic_ns() + EVERY_NS
        # How many results there were at the request before; None if nobody has looked then.
        self._made_before: int | None = None

    def chunks(self) -> Iterator[Iterable[Any]]:
        """As in `Input`. The items of a frame are single ones if a checkpoint is due."""
        if self.by_items:
            yield from super().chunks()
            return
        while length_hint(self._cursor) or self._next_frame():
            for item in self._observed():
                yield (item,)
                # Delete it, so that a waiting worker does not keep the previous item alive.
                del item
            yield self._cursor

    def _items(self) -> Iterator[Any]:
        while length_hint(self._cursor) or self._next_frame():
            yield from self._observed()
            yield from self._cursor

    def _observed(self) -> Iterator[Any]:
        """The next items of the current frame, up to the first one at which there is a checkpoint; none if none is due.

        The stage has just requested the item that is taken from the frame.
        """
        if time.monotonic_ns() < self._due_ns:
            return
        for item in self._cursor:
            is_found = self._look()
            yield item
            # For the same reason as above.
            del item
            if is_found:
                return

    def _look(self) -> bool:
        """Tell a checkpoint if there is one at this request. Returns whether there was one."""
        made, before = self._made_by.made, self._made_before
        self._made_before = made
        found = self._checkpoint(made) if made is not None and before is not None and made > before else None
        if found is None:
            return False
        self._note(Notes(checkpoints=[found]))
        self._due_ns, self._made_before = time.monotonic_ns() + EVERY_NS, None
        return True

    def _checkpoint(self, made: int) -> Checkpoint | None:
        """The checkpoint in front of the item that was just taken from the frame. None if there is no such one.

        made: how many results have left the stage in this run.
        """
        frame, position = self._frame, self._position()
        # The results of one item of the origin may have several numbers behind `flat_map`, and be in several frames.
        if frame is None or frame.span.prefix or frame.part(position):
            return None
        left_out = self._assignment.goes_on.left_out
        last = left_out.original(made - 1)
        # Otherwise it may have made further items, which were left out.
        if last < left_out.end:
            return None
        taken = self._assignment.done.original(frame.item_index(position))
        return Checkpoint(self._assignment.place, last + 1, taken)

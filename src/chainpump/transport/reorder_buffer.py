"""Restores the order of items: it passes frames on in order and limits how many items may be sent."""

from __future__ import annotations

from collections.abc import Sequence

from ..ipc.board import Board, Cell
from ..ipc.descriptors import Descriptor
from ..pickling.sizes import Weigher
from .frames import Frame
from .order import Order
from .room import ReturnRoom

__all__ = ["ReorderBuffer"]


class ReorderBuffer:
    """Owned by the one worker that reads numbered items of several workers.

    room: the buffer returns room as items pass.
    """

    def __init__(self, room: ReturnRoom) -> None:
        self._room = room
        self._order = Order()
        self._weigher = Weigher()
        self._released = 0
        # While it drains: the items below this number must still be sent.
        self._drains_to: int | None = None
        # The number of items of the origin that have arrived, in order or early.
        self._arrived = 0
        # A moving average: the bytes of the results of one item of the origin.
        self._bytes_each = 0.0
        self._row: memoryview | None = None

    @property
    def is_exact(self) -> bool:
        """Whether each item returns its credit as soon as it is finished."""
        return self._room.is_exact

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """The descriptors that a forked worker keeps open."""
        return self._room.descriptors

    @property
    def passed(self) -> int:
        """The number of items of the origin that have passed in order."""
        return self._order.next[0]

    @property
    def waiting(self) -> int:
        """The number of held frames."""
        return self._order.waiting

    def open(self, board: Board) -> None:
        """Prepare the buffer in the worker that uses it."""
        self._room.open(board)

    def show(self, row: memoryview) -> None:
        """Show on this row of the board how many items have passed, whenever their room is returned."""
        self._row = row

    def resume(self, passed: int) -> None:
        """Begin behind the items that have passed in the settled buffer of an earlier worker."""
        self._order = Order(passed)
        self._released = self._arrived = passed
        self._room.resume(passed)

    def push(self, frame: Frame) -> None:
        """Add a frame that has arrived."""
        nbytes = frame.nbytes
        # An item may be larger than its pickle.
        if frame.decode is None and frame.entries:
            nbytes = max(nbytes, self._weigher.together(frame.entries))
        self._bytes_each = (self._bytes_each + nbytes / max(1, frame.span.ended)) / 2
        self._arrived += frame.span.ended
        self._order.push(frame, nbytes)

    def next(self) -> Frame | None:
        """The frame that is next in order. None if it has not arrived yet."""
        return next(self._order.ready(), None)

    def drain(self) -> bool:
        """Take no more than what the held frames wait for. Returns whether nothing is held.

        Then the room of all that has passed is returned, and another buffer can resume at `passed`.
        """
        self._drains_to = self._order.end
        if self._drains_to is None:
            self.release()
        return self._drains_to is None

    def release(self, number: int | None = None) -> None:
        """Return the room of all items below this number, or of all that have passed."""
        if self._row is not None:
            self._row[Cell.PASSED] = self.passed
        if self._drains_to is not None:
            self._room.hold(self._drains_to)
            return
        number = self.passed if number is None else number
        self._released = max(number, self._released)
        self._room.move(self._released, self._order.nbytes, self._bytes_each, self._arrived)

    def close(self) -> None:
        """Close its descriptors."""
        self._room.close()

    def __getstate__(self) -> ReturnRoom:
        return self._room

    def __setstate__(self, state: ReturnRoom) -> None:
        self.__init__(state)  # type: ignore[misc]  # as it was when the run began

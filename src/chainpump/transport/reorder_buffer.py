"""Where the order of items is restored: lets frames through in their turn, and says how many more may come."""

from __future__ import annotations

from collections.abc import Sequence

from ..ipc.board import Board
from ..ipc.descriptors import Descriptor
from ..pickling.sizes import Weigher
from .frames import Frame
from .order import Order
from .room import ReturnRoom

__all__ = ["ReorderBuffer"]


class ReorderBuffer:
    """Belongs to the one worker that reads what several have made of numbered items.

    room: given back as items pass.
    """

    def __init__(self, room: ReturnRoom) -> None:
        self._room = room
        self._order = Order()
        self._weigher = Weigher()
        self._released = 0
        # Items of the origin, in their turn or not.
        self._arrived = 0
        # Of what was made of one item of the origin, lately.
        self._bytes_each = 0.0

    @property
    def is_exact(self) -> bool:
        """Whether each item gives its slot back as soon as it is finished."""
        return self._room.is_exact

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """What a forked worker must keep."""
        return self._room.descriptors

    @property
    def passed(self) -> int:
        """How many items of the origin have had their turn."""
        return self._order.next[0]

    @property
    def waiting(self) -> int:
        """How many frames are held."""
        return self._order.waiting

    def open(self, board: Board) -> None:
        """Get ready, in the worker that uses it."""
        self._room.open(board)

    def push(self, frame: Frame) -> None:
        """A frame has come."""
        nbytes = frame.nbytes
        # What a pickle becomes may be larger.
        if frame.decode is None and frame.entries:
            nbytes = max(nbytes, self._weigher.together(frame.entries))
        self._bytes_each = (self._bytes_each + nbytes / max(1, frame.span.ended)) / 2
        self._arrived += frame.span.ended
        self._order.push(frame, nbytes)

    def next(self) -> Frame | None:
        """The frame whose turn it is, if it is there."""
        return next(self._order.ready(), None)

    def release(self, number: int | None = None) -> None:
        """All items below this number are finished; without one, all that have passed."""
        number = self.passed if number is None else number
        self._released = max(number, self._released)
        self._room.move(self._released, self._order.nbytes, self._bytes_each, self._arrived)

    def close(self) -> None:
        """Close what it holds."""
        self._room.close()

    def __getstate__(self) -> ReturnRoom:
        return self._room

    def __setstate__(self, state: ReturnRoom) -> None:
        self.__init__(state)  # type: ignore[misc]  # as it was when the run began

"""Where the order of items is restored: lets frames through in their turn, and says how many more may come."""

from __future__ import annotations

from collections.abc import Sequence

from .credits import Credits, Window
from .descriptors import Descriptor
from .flow import next_window
from .frames import Frame
from .order import Order

__all__ = ["Turnstile"]


class Turnstile:
    """Belongs to the one worker that reads what several have made of numbered items.

    room: given back as items pass: slots, exactly one for each, or a window that adapts to their size.
    least: the size that a window begins with, and never goes below.
    """

    def __init__(self, room: Credits | Window, least: int) -> None:
        self._room = room
        self._least = self._size = self._granted = least
        self._order = Order()
        self._released = 0
        self._bytes = 0  # of what has passed since
        self._bytes_each = 0.0  # lately

    @property
    def is_exact(self) -> bool:
        """Whether each item gives its slot back as soon as it is finished."""
        return isinstance(self._room, Credits)

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """What a forked worker must keep."""
        return self._room.descriptors

    @property
    def passed(self) -> int:
        """How many items of the origin have had their turn."""
        return self._order.next[0]

    def push(self, frame: Frame) -> None:
        """A frame has come."""
        self._order.push(frame)

    def next(self) -> Frame | None:
        """The frame whose turn it is, if it is there."""
        frame = next(self._order.ready(), None)
        if frame is not None:
            self._bytes += frame.nbytes
        return frame

    def release(self, number: int | None = None) -> None:
        """All items below this number are finished; without one, all that have passed."""
        number = self.passed if number is None else number
        count = number - self._released
        if count <= 0:
            return
        self._released = number
        if isinstance(self._room, Credits):
            self._room.give(count)
            return
        self._bytes_each = (self._bytes_each + self._bytes / count) / 2
        self._bytes = 0
        self._size = next_window(self._size, self._bytes_each, self._least)
        more = number + self._size - self._granted
        if more > self._size // 8:  # seldom: each costs a system call here, and one there
            self._granted += more
            self._room.give(more)

    def close(self) -> None:
        """Close what it holds."""
        self._room.close()

    def __getstate__(self) -> tuple[Credits | Window, int]:
        return self._room, self._least

    def __setstate__(self, state: tuple[Credits | Window, int]) -> None:
        self.__init__(*state)  # type: ignore[misc]  # as it was when the run began

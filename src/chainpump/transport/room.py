"""Room: how many items may be on their way to the worker that restores their order.

There are two kinds of room, and each has three sides:

                           main process    sender       reorder buffer
credits, of `in_flight=n`  CreditRoom      Credits      CreditReturn
a window of bytes          Gates           Gate         Limit
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ..ipc.board import Board
from ..ipc.descriptors import Descriptor
from .credits import Credits
from .frames import Span

__all__ = ["ReturnRoom", "Room", "SendRoom"]


class SendRoom(Protocol):
    """The side of a worker that sends. `open` must be called first. Then one thread at a time may use it."""

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """The descriptors that a forked worker keeps open."""
        ...

    @property
    def credits(self) -> Sequence[Credits]:
        """The credits to take before each item is made."""
        ...

    def open(self, board: Board) -> None:
        """Prepare it in the worker that uses it."""
        ...

    def may_send(self, span: Span) -> bool:
        """Whether a frame may be sent. If not, `wait` ends when it may be sent."""
        ...

    def wait(self) -> None:
        """Wait until there may be room. The caller must check the cancel flag before and afterwards."""
        ...

    def close(self) -> None:
        """Close its descriptors."""
        ...


class ReturnRoom(Protocol):
    """The side of the worker that restores the order: it returns room as items pass."""

    @property
    def is_exact(self) -> bool:
        """Whether each item returns its room as soon as it is finished."""
        ...

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """The descriptors that a forked worker keeps open."""
        ...

    def open(self, board: Board) -> None:
        """Prepare it in the worker that uses it."""
        ...

    def resume(self, passed: int) -> None:
        """Go on where an earlier worker has stopped, which has returned the room of all items below `passed`."""
        ...

    def hold(self, below: int) -> None:
        """Give no more room, but let all items below this number be sent."""
        ...

    def move(self, passed: int, held: int, each: float, arrived: int) -> None:
        """All items below `passed` have passed in order and are finished.

        held: bytes of the frames that wait for earlier ones. each: recent average of the bytes of one item's results.
        arrived: the number of items that have arrived so far.
        """
        ...

    def close(self) -> None:
        """Close its descriptors."""
        ...


class Room(Protocol):
    """The main process's side of the room of one worker that restores the order."""

    @property
    def is_exact(self) -> bool:
        """Whether it counts items exactly, as `in_flight=` does. Then no channel needs to count them."""
        ...

    def begin(self, board: Board) -> None:
        """Write the first values to the board: no item has arrived yet."""
        ...

    def sending(self, row: int) -> SendRoom | None:
        """The side of a worker, by its row on the board, with descriptors of its own. None if it has none."""
        ...

    def returning(self) -> ReturnRoom:
        """The side of the worker that restores the order, with descriptors of its own."""
        ...

    def wake_all(self) -> None:
        """Wake all waiting workers permanently: the run is cancelled."""
        ...

    def close(self) -> None:
        """Close its descriptors."""
        ...

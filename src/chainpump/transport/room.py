"""Room: how many items may be on their way to the worker that puts them in order.

There are two kinds of it, each with three sides:

                           main process    who sends    who puts in order
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
    """The side of a worker that sends. `open` first; then for one thread at a time."""

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """What a forked worker must keep."""
        ...

    @property
    def credits(self) -> Sequence[Credits]:
        """To be taken before each item is made."""
        ...

    def open(self, board: Board) -> None:
        """Get ready, in the worker that uses it."""
        ...

    def may_send(self, span: Span) -> bool:
        """Whether a frame may be sent; if not, `wait` ends once it may be."""
        ...

    def wait(self) -> None:
        """Wait until there may be room. Who waits must look at the cancel flag before and afterwards."""
        ...

    def close(self) -> None:
        """Close its descriptors."""
        ...


class ReturnRoom(Protocol):
    """The side of the worker that puts items in order: it gives room back as items pass."""

    @property
    def is_exact(self) -> bool:
        """Whether each item gives its room back as soon as it is finished."""
        ...

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """What a forked worker must keep."""
        ...

    def open(self, board: Board) -> None:
        """Get ready, in the worker that uses it."""
        ...

    def move(self, passed: int, held: int, each: float, arrived: int) -> None:
        """All items below `passed` have had their turn, and are finished.

        held: bytes of what waits for its turn. each: bytes of what was made of one item, lately. arrived: how many
        items have come here so far.
        """
        ...

    def close(self) -> None:
        """Close its descriptors."""
        ...


class Room(Protocol):
    """The main process's hold on the room before one worker that puts items in order."""

    @property
    def is_exact(self) -> bool:
        """Whether it counts items as `in_flight=` does, so that no channel has to."""
        ...

    def begin(self, board: Board) -> None:
        """Nothing has come so far."""
        ...

    def sending(self, row: int) -> SendRoom | None:
        """The side of a worker, by its row on the board, with descriptors of its own; None if it has none."""
        ...

    def returning(self) -> ReturnRoom:
        """The side of the worker that puts items in order, with descriptors of its own."""
        ...

    def flood(self) -> None:
        """Wake whoever waits, for good: the run is cancelled."""
        ...

    def close(self) -> None:
        """Close its descriptors."""
        ...

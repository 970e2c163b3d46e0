"""The ends of the channels of one worker."""

from __future__ import annotations

from collections.abc import Sequence

from ..ipc.board import Board, Cell
from ..ipc.checkpoint import Checkpoint
from ..ipc.descriptors import Descriptor
from ..lazy_dataclass import dataclass
from ..transport.allowance import Allowance
from ..transport.channel import Receiver, Sender
from ..transport.reorder_buffer import ReorderBuffer
from ..transport.room import SendRoom
from .receipts import Receipts
from .turn import Turn

__all__ = ["Endpoints"]


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The two ends of channels of a worker, and the objects that bound and order its items.

    room: bounds the sent items if a later worker restores their order. reorder_buffer: restores the order in this
    worker. turn: a successor waits for it before it opens them. allowance: bounds what it numbers in a durable
    run. receipts: say which dead letters of a worker on another machine have arrived.
    """

    receiver: Receiver | None
    sender: Sender | None
    room: SendRoom | None
    reorder_buffer: ReorderBuffer | None
    turn: Turn | None = None
    allowance: Allowance | None = None
    receipts: Receipts | None = None

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The memory from which a replacement continues. None if the worker cannot be replaced."""
        return self.receiver.checkpoint if self.receiver is not None else None

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """The descriptors that a forked worker keeps open."""
        return [descriptor for end in self._all() for descriptor in end.descriptors]

    def open(self, board: Board, row: int) -> None:
        """Prepare them in the worker of this row. This call must not be interrupted."""
        for end in (self.receiver, self.sender):
            if end is not None:
                end.open()
        for shared in (self.reorder_buffer, self.room, self.allowance):
            if shared is not None:
                shared.open(board)
        if self.receipts is not None:
            self.receipts.open(board, row)
        if self.reorder_buffer is not None:
            self.reorder_buffer.resume(board.row(row)[Cell.PASSED])

    def close(self) -> None:
        """Close them. A second call does nothing."""
        for end in self._all():
            end.close()

    def _all(self) -> Sequence[Receiver | Sender | SendRoom | ReorderBuffer | Turn | Allowance | Receipts]:
        shared = self.room, self.reorder_buffer, self.allowance
        return [end for end in (self.receiver, self.sender, *shared, self.turn, self.receipts) if end is not None]

"""What one worker owns of the transport."""

from __future__ import annotations

from collections.abc import Sequence

from ..ipc.board import Board
from ..ipc.checkpoint import Checkpoint
from ..ipc.descriptors import Descriptor
from ..lazy_dataclass import dataclass
from ..transport.channel import Receiver, Sender
from ..transport.reorder_buffer import ReorderBuffer
from ..transport.room import SendRoom

__all__ = ["Endpoints"]


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Of its two channels, and of what bounds and orders the items between others.

    room: what bounds further items, where others put in order what the worker sends. reorder_buffer: where it does that
    itself.
    """

    receiver: Receiver | None
    sender: Sender | None
    room: SendRoom | None
    reorder_buffer: ReorderBuffer | None

    @property
    def checkpoint(self) -> Checkpoint | None:
        """What a successor would find, where a worker has one when it dies."""
        return self.receiver.checkpoint if self.receiver is not None else None

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """The descriptors that a forked worker keeps open."""
        return [descriptor for end in self._there() for descriptor in end.descriptors]

    def open(self, board: Board) -> None:
        """Get ready, in the worker that uses them. Must not be interrupted."""
        for end in (self.receiver, self.sender):
            if end is not None:
                end.open()
        for shared in (self.reorder_buffer, self.room):
            if shared is not None:
                shared.open(board)

    def close(self) -> None:
        """Close them; a second call does nothing."""
        for end in self._there():
            end.close()

    def _there(self) -> Sequence[Receiver | Sender | SendRoom | ReorderBuffer]:
        return [end for end in (self.receiver, self.sender, self.room, self.reorder_buffer) if end is not None]

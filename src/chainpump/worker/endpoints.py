"""What one worker owns of the transport."""

from __future__ import annotations

from collections.abc import Sequence

from ..ipc.board import Board
from ..ipc.checkpoint import Hand
from ..ipc.descriptors import Descriptor
from ..lazy_dataclass import dataclass
from ..transport.channel import Receiver, Sender
from ..transport.reorder_buffer import Turnstile
from ..transport.room import SendRoom

__all__ = ["Ends"]


@dataclass(frozen=True, slots=True)
class Ends:
    """Of its two channels, and of what bounds and orders the items between others.

    room: what bounds further items, where others put in order what the worker sends. turnstile: where it does that
    itself.
    """

    receiver: Receiver | None
    sender: Sender | None
    room: SendRoom | None
    turnstile: Turnstile | None

    @property
    def hand(self) -> Hand | None:
        """What a successor would find, where a worker has one when it dies."""
        return self.receiver.hand if self.receiver is not None else None

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """What a forked worker must keep."""
        return [descriptor for end in self._there() for descriptor in end.descriptors]

    def open(self, board: Board) -> None:
        """Get ready, in the worker that uses them. Must not be interrupted."""
        for end in (self.receiver, self.sender):
            if end is not None:
                end.open()
        for shared in (self.turnstile, self.room):
            if shared is not None:
                shared.open(board)

    def close(self) -> None:
        """Close them; a second call does nothing."""
        for end in self._there():
            end.close()

    def _there(self) -> Sequence[Receiver | Sender | SendRoom | Turnstile]:
        return [end for end in (self.receiver, self.sender, self.room, self.turnstile) if end is not None]

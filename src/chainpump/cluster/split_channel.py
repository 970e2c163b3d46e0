"""The part of a junction that is on one machine, for a junction whose workers are on several.

    workers of this machine ──► left ──► ferry ──── links ────► ferry ──► right ──► workers of that machine

A machine may have both parts. The ferry carries frames from the left parts of all machines to the right parts of all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..engine.connections import Junction
from ..ipc.checkpoint import Checkpoint
from ..lazy_dataclass import dataclass, field
from ..transport.process_channel import PacketChannel, PacketReceiver, PacketSender

__all__ = ["SplitChannel", "SplitJunction"]


class SplitChannel:
    """One machine's part of a channel.

    left: for the workers here that send; their numbers in their group are `senders`. right: for the workers here that
    receive. None: there are none. on_seal, on_hang_up: called after the part itself was sealed or hung up.
    """

    def __init__(
        self,
        left: PacketChannel | None,
        right: PacketChannel | None,
        senders: Sequence[int],
        on_seal: Callable[[], object],
        on_hang_up: Callable[[], object],
    ) -> None:
        self.left = left
        self.right = right
        self._senders = senders
        self._on_seal = on_seal
        self._on_hang_up = on_hang_up

    def sender(self, producer: int) -> PacketSender:
        """Make the end of one producer of this machine, by its number in its group."""
        assert self.left is not None
        return self.left.sender(self._senders.index(producer))

    def receiver(self, checkpoint: Checkpoint | None = None) -> PacketReceiver:
        """Make the end of one consumer of this machine."""
        assert self.right is not None
        return self.right.receiver(checkpoint)

    def started(self) -> None:
        """Keep all ends: only a seal is the end of a part, and the death of a worker is reported by its handle."""

    def seal(self) -> None:
        """All producers have finished, on all machines. The ferry ends the right parts once it has carried all."""
        if self.left is not None:
            self.left.seal()
        self._on_seal()

    def hang_up(self) -> None:
        """Wake all workers of this machine that send or receive here, permanently."""
        for part in (self.left, self.right):
            if part is not None:
                part.hang_up()
        self._on_hang_up()

    def close(self) -> None:
        """Release all resources. All workers have ended."""
        for part in (self.left, self.right):
            if part is not None:
                part.close()


def nothing() -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True)
class SplitJunction(Junction):
    """A junction whose workers are on several machines.

    senders: the numbers, in their group, of the workers of this machine that send. receivers: how many workers of this
    machine receive. on_seal, on_hang_up: see `SplitChannel`.
    """

    senders: Sequence[int] = ()
    receivers: int = 0
    on_seal: Callable[[], object] = field(default=nothing)
    on_hang_up: Callable[[], object] = field(default=nothing)

    def channel(self) -> SplitChannel:
        """Make the part of this machine."""
        left = None
        if self.senders:
            left = PacketChannel(len(self.senders), 1, None, renewable=True, main_by_value=True)
        right = PacketChannel(1, self.receivers, None, renewable=True, counts_taken=True) if self.receivers else None
        return SplitChannel(left, right, self.senders, self.on_seal, self.on_hang_up)

"""The wire of Linux: one SOCK_SEQPACKET pair, shared by all writers and readers.

The kernel hands whole packets to exactly one reader each, blocks a sender while the buffer is full, wakes everyone
when the peers are gone, and keeps no lock that a killed process could hold.
"""

from __future__ import annotations

import errno
import select
import socket
from collections.abc import Sequence
from contextlib import AbstractContextManager

from ..errors import Cancelled
from ..ipc.descriptors import Descriptor
from ..ipc.wait_times import UNTOLD

__all__ = ["PacketIn", "PacketOut", "PacketWire"]

# Bytes asked for; the kernel may grant less in silence, which only costs wake-ups.
SEND_BUFFER = 1 << 20
# Bytes; a frame above this goes through a slab. The default buffer takes packets of 212,960.
ROOM = 196_624
# A smaller buffer than asked for: then through a slab.
TOO_LARGE = frozenset((errno.EMSGSIZE, errno.ENOBUFS))
HUNG_UP = frozenset((errno.EPIPE, errno.ECONNRESET))


class PacketOut:
    """A writing end."""

    room = ROOM

    def __init__(self, file: Descriptor) -> None:
        self._file = file

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """What a forked worker must keep."""
        return (self._file,)

    def open(self) -> None:
        """Make the socket: if Cancelled broke in there, it would close the descriptor behind its owner's back."""
        self._file.socket()

    def send(self, packet: bytes, waits: AbstractContextManager[None] = UNTOLD) -> bool:
        """Send it, waiting for room; False if it is too large. Raises Cancelled once the wire is hung up."""
        out = self._file.socket()
        try:
            try:
                out.send(packet, socket.MSG_DONTWAIT)
            except BlockingIOError:
                with waits:
                    out.send(packet)
        except OSError as error:
            if error.errno in TOO_LARGE:
                return False
            if error.errno in HUNG_UP:
                raise Cancelled("the channel was closed") from None
            raise
        return True

    def watch(self, poll: select.poll) -> None:
        """Have this poll report when the wire is hung up."""
        # No events asked: reports only that the peer is gone.
        poll.register(self._file.fileno(), 0)


class PacketIn:
    """A reading end."""

    def __init__(self, file: Descriptor) -> None:
        self._file = file

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """What a forked worker must keep."""
        return (self._file,)

    def open(self) -> None:
        """Make the socket, as for `PacketOut`."""
        self._file.socket()

    def receive_into(self, buffer: memoryview, wait: bool) -> int:
        """Have the kernel write the next packet there; 0 at the end. Raises BlockingIOError."""
        return self._file.socket().recv_into(buffer, 0, 0 if wait else socket.MSG_DONTWAIT)

    def wait(self, seconds: float) -> bool:
        """Wait until a packet is there, or the end; False if that takes longer."""
        poll = select.poll()
        poll.register(self._file.fileno(), select.POLLIN)
        return bool(poll.poll(seconds * 1000))


class PacketWire:
    """The main process's hold on it: of the reading end only, unless it is told to keep both.

    keeps: a duplicate of the writing end hides the death of all writers, but whoever replaces them has to have one.
    """

    def __init__(self, keeps: bool) -> None:
        self._keeps = keeps
        out, into = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        out.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        self._out, self._into = Descriptor(out.detach()), Descriptor(into.detach())

    def out(self) -> PacketOut:
        """A writing end, with a descriptor of its own."""
        return PacketOut(self._out.dup())

    def into(self) -> PacketIn:
        """A reading end, with a descriptor of its own."""
        return PacketIn(self._into.dup())

    def started(self) -> None:
        """Drop the copy that would hide the death of all writers."""
        if not self._keeps:
            self._out.close()

    def seal(self) -> None:
        """Every writer is done: what is queued stays readable, then comes the end.

        The kernel says the same once all writing ends are closed, unless a stray child of a worker holds one.
        """
        self._shutdown(socket.SHUT_RD)

    def hang_up(self) -> None:
        """Wake every writer and reader for good."""
        self._shutdown(socket.SHUT_RDWR)

    def _shutdown(self, how: int) -> None:
        try:
            self._into.socket().shutdown(how)
        except OSError as error:
            # The other side has closed already.
            if error.errno != errno.ENOTCONN:
                raise

    def close(self) -> None:
        """Close what is left."""
        self._out.close()
        self._into.close()

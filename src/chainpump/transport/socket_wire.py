"""The wire of Linux: one SOCK_SEQPACKET pair, shared by all writers and readers.

The kernel gives each whole packet to exactly one reader. It blocks a sender while the buffer is full, and wakes all
waiting processes when the other side is gone. It keeps no lock that a killed process could hold.
"""

from __future__ import annotations

import errno
import select
import socket
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from ..errors import Cancelled
from ..ipc.descriptors import Descriptor, opened_pair
from ..ipc.wait_times import UNCOUNTED
from .channel import EventLoop
from .wire import watch_files

__all__ = ["PacketIn", "PacketOut", "PacketWire"]

# The requested size in bytes. The kernel may silently grant less, which only costs more wake-ups.
SEND_BUFFER = 1 << 20
# Bytes. A larger frame goes through a slab. The default buffer accepts packets of 212,960 bytes.
ROOM = 196_624
# The buffer is smaller than requested. Then the frame goes through a slab.
TOO_LARGE = frozenset((errno.EMSGSIZE, errno.ENOBUFS))
HUNG_UP = frozenset((errno.EPIPE, errno.ECONNRESET))


class PacketOut:
    """A writing end."""

    room = ROOM

    def __init__(self, file: Descriptor) -> None:
        self._file = file

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """The descriptors that a forked worker keeps open."""
        return (self._file,)

    def open(self) -> None:
        """Make the socket now. If Cancelled interrupted this, it would close the descriptor without its owner."""
        self._file.socket()

    def send(self, packet: bytes, waits: AbstractContextManager[None] = UNCOUNTED) -> bool:
        """Send a packet, waiting for room. Returns False if it is too large. Raises Cancelled after a hang-up."""
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
        """Register the hang-up of the wire with this poll."""
        # Without requested events, the poll reports only that the other side is gone.
        poll.register(self._file.fileno(), 0)


class PacketIn:
    """A reading end."""

    def __init__(self, file: Descriptor) -> None:
        self._file = file

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """The descriptors that a forked worker keeps open."""
        return (self._file,)

    def open(self) -> None:
        """Make the socket, as in `PacketOut`."""
        self._file.socket()

    def receive_into(self, buffer: memoryview, wait: bool) -> int:
        """Have the kernel write the next packet to the buffer. Returns 0 at the end. Raises BlockingIOError."""
        return self._file.socket().recv_into(buffer, 0, 0 if wait else socket.MSG_DONTWAIT)

    def wait(self, seconds: float) -> bool:
        """Wait until there is a packet or the end. Returns False after this many seconds."""
        poll = select.poll()
        poll.register(self._file.fileno(), select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    def watch(self, loop: EventLoop, ready: Callable[[], object]) -> Callable[[], None]:
        """Have a loop call `ready` when there is a packet or the end. Returns the function that ends this."""
        return watch_files(self.descriptors, loop, ready)


def _connected() -> tuple[int, int]:
    out, into = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    out.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    return out.detach(), into.detach()


class PacketWire:
    """The main process's side of the wire.

    keeps: keep a copy of the writing end. It is needed to replace writers, but it hides the death of all writers.
    Without it, only the reading end stays open.
    """

    def __init__(self, keeps: bool) -> None:
        self._keeps = keeps
        self._out, self._into = opened_pair(_connected)

    def out(self) -> PacketOut:
        """Make a writing end with a descriptor of its own."""
        return PacketOut(self._out.dup())

    def into(self) -> PacketIn:
        """Make a reading end with a descriptor of its own."""
        return PacketIn(self._into.dup())

    def started(self) -> None:
        """Close the copy that would hide the death of all writers."""
        if not self._keeps:
            self._out.close()

    def seal(self) -> None:
        """All writers have finished. Readers receive the queued packets and then the end.

        The kernel reports the same when all writing ends are closed, but a stray child of a worker may keep one open.
        """
        self._shutdown(socket.SHUT_RD)

    def hang_up(self) -> None:
        """Wake all writers and readers permanently."""
        self._shutdown(socket.SHUT_RDWR)

    def _shutdown(self, how: int) -> None:
        try:
            self._into.socket().shutdown(how)
        except OSError as error:
            # The other side is closed already.
            if error.errno != errno.ENOTCONN:
                raise

    def close(self) -> None:
        """Close the remaining descriptors."""
        self._out.close()
        self._into.close()

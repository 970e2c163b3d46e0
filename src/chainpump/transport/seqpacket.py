"""The channel between processes of one machine: one SOCK_SEQPACKET pair, shared by all producers and consumers.

The kernel hands whole packets to exactly one reader each, blocks a sender while the buffer is full, wakes
everyone when the peers are gone, and keeps no lock that a killed process could hold.

    producers --send--> [socket pair] --recv--> consumers      frames, in order per producer
              <------- return pipes --------                   offsets of slabs, one pipe per producer
              <--------- credits -----------                   only with `in_flight=`
"""

from __future__ import annotations

import errno
import os
import pickle
import socket
from collections.abc import Sequence
from typing import Any

from ..errors import Cancelled
from .codec import ItemFault, Large, Pickling, encode
from .credits import Credits
from .descriptors import Descriptor, pipe
from .frames import HEADER, Form, Frame
from .slabs import REGION, Arena, Slabs

__all__ = ["PacketChannel", "PacketReceiver", "PacketSender"]

SEND_BUFFER = 1 << 20  # bytes asked for; the kernel may grant less in silence, which only costs wake-ups
INLINE_BYTES = 196_608  # bytes; a frame above this goes through a slab. The default buffer takes packets of 212,960
PACKET_BYTES = 262_144  # bytes; the receive buffer: above INLINE_BYTES and the header, so that nothing is cut off
TOO_LARGE = frozenset((errno.EMSGSIZE, errno.ENOBUFS))  # a smaller buffer than asked for: then through a slab
HUNG_UP = frozenset((errno.EPIPE, errno.ECONNRESET))


class PacketSender:
    """One producer's end."""

    def __init__(
        self,
        out: Descriptor,
        slabs: Descriptor,
        returns: Descriptor,
        producer: int,
        consumers: int,
        credits: Credits | None,
    ) -> None:
        self._ends = (out, slabs, returns)
        self._producer = producer
        self._consumers = consumers
        self.credits = credits
        self._pickling = Pickling()
        self._arena: Arena | None = None

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """What a forked worker must keep."""
        return (*self._ends, *(self.credits.descriptors if self.credits else ()))

    def admit(self, item: Any) -> tuple[bytes | Large, int]:
        """A snapshot of an item and its size in bytes. Raises ItemFault."""
        entry = self._pickling.snapshot(item)
        return entry, entry.size if isinstance(entry, Large) else len(entry)

    def send(self, entries: list[Any], snapshots: bool, first: int) -> None:
        """Send a frame; blocks while the channel is full. Raises Cancelled when it has been closed."""
        if isinstance(entries[0], Large):
            self._send_slab(Form.BUFFERS, entries[0], 1, first)
            return
        form, data = encode(entries, snapshots)
        if len(data) > INLINE_BYTES:
            self._send_slab(form, Large(data, []), len(entries), first)
            return
        try:
            self._send(HEADER.pack(form, False, self._producer, len(entries), first) + data)
        except OSError as error:
            if error.errno not in TOO_LARGE:
                raise
            self._send_slab(form, Large(data, []), len(entries), first)

    def _send_slab(self, form: Form, item: Large, count: int, first: int) -> None:
        out, slabs, returns = self._ends
        if self._arena is None:
            self._arena = Arena(slabs, returns, self._producer, self._consumers, out)
        place = self._arena.place(item)
        self._send(HEADER.pack(form, True, self._producer, count, first) + place)

    def _send(self, packet: bytes) -> None:
        try:
            self._ends[0].socket().send(packet)
        except OSError as error:
            if error.errno in HUNG_UP:
                raise Cancelled("the channel was closed") from None
            raise

    def open(self) -> None:
        """Make the socket: if Cancelled broke in there, it would close the descriptor behind its owner's back."""
        self._ends[0].socket()

    def close(self) -> None:
        """Close this producer's descriptors; the last producer to do so ends the channel."""
        for descriptor in self.descriptors:
            descriptor.close()

    def __getstate__(self) -> tuple[Any, ...]:
        return (*self._ends, self._producer, self._consumers, self.credits)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        PacketSender.__init__(self, *state)


class PacketReceiver:
    """One consumer's end."""

    def __init__(
        self, into: Descriptor, slabs: Descriptor, returns: Sequence[Descriptor], credits: Credits | None
    ) -> None:
        self._into = into
        self._file = slabs
        self._returns = tuple(returns)
        self.credits = credits
        self._slabs = Slabs(slabs, self._returns)
        self._buffer = memoryview(b"")

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """What a forked worker must keep."""
        return (self._into, self._file, *self._returns, *(self.credits.descriptors if self.credits else ()))

    def receive(self, wait: bool) -> Frame | None:
        """The next frame; None at the end of file. Raises BlockingIOError if none is there and `wait` is False."""
        length = self._into.socket().recv_into(self._buffer, 0, 0 if wait else socket.MSG_DONTWAIT)
        return self._decode(self._buffer[:length]) if length else None

    def _decode(self, packet: memoryview) -> Frame:
        form, in_slab, producer, _, first = HEADER.unpack_from(packet)
        payload = packet[HEADER.size :]
        try:
            value = self._slabs.load(producer, payload, pickle.loads) if in_slab else pickle.loads(payload)
        except Exception as error:
            raise ItemFault(f"{type(error).__name__}: {error}", producer, first) from error
        entries = [value] if form == Form.BUFFERS else value
        return Frame(producer, first, entries, pickle.loads if form == Form.SNAPSHOTS else None)

    def open(self) -> None:
        """Make the socket and its buffer; see `PacketSender.open`."""
        self._into.socket()
        self._buffer = memoryview(bytearray(PACKET_BYTES))

    def close(self) -> None:
        """Close this consumer's descriptors."""
        for descriptor in self.descriptors:
            descriptor.close()

    def __getstate__(self) -> tuple[Any, ...]:
        return (self._into, self._file, self._returns, self.credits)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        PacketReceiver.__init__(self, *state)


class PacketChannel:
    """The main process's hold on a junction: makes the ends, seals it at the end, hangs it up on cancel.

    It keeps a duplicate of the reading end only. One of a writing end would hide the end of the channel.
    """

    def __init__(self, producers: int, consumers: int, in_flight: int | None) -> None:
        out, into = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        out.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        self._out, self._into = Descriptor(out.detach()), Descriptor(into.detach())
        self._slabs = Descriptor(os.memfd_create("chainpump-slabs", os.MFD_CLOEXEC))
        os.ftruncate(self._slabs.fileno(), producers * REGION)  # sparse: takes no memory until it is touched
        self._returns = [pipe() for _ in range(producers)]
        for end in (end for ends in self._returns for end in ends):
            os.set_blocking(end.fileno(), False)
        self._consumers = consumers
        self._credits = None if in_flight is None else Credits.of(in_flight)

    def sender(self, producer: int) -> PacketSender:
        """The end of one producer, counted from 0, with descriptors of its own."""
        credits = self._credits.dup() if self._credits else None
        returns = self._returns[producer][0].dup()
        return PacketSender(self._out.dup(), self._slabs.dup(), returns, producer, self._consumers, credits)

    def receiver(self) -> PacketReceiver:
        """The end of one consumer, with descriptors of its own."""
        credits = self._credits.dup() if self._credits else None
        returns = [writing.dup() for _, writing in self._returns]
        return PacketReceiver(self._into.dup(), self._slabs.dup(), returns, credits)

    def started(self) -> None:
        """All ends are with their workers: drop the copies that would hide the death of a peer."""
        self._out.close()
        for reading, writing in self._returns:
            reading.close()
            writing.close()
        self._slabs.close()

    def seal(self) -> None:
        """Every producer is done: what is queued stays readable, then comes the end.

        The kernel says the same once all writing ends are closed, unless a stray child of a worker holds one.
        """
        self._shutdown(socket.SHUT_RD)

    def hang_up(self) -> None:
        """Wake every sender and receiver for good."""
        self._shutdown(socket.SHUT_RDWR)
        if self._credits:
            self._credits.flood()

    def _shutdown(self, how: int) -> None:
        try:
            self._into.socket().shutdown(how)
        except OSError as error:
            if error.errno != errno.ENOTCONN:  # the other side has closed already
                raise

    def close(self) -> None:
        """Close what is left; all workers have ended."""
        self.started()
        self._into.close()
        if self._credits:
            for descriptor in self._credits.descriptors:
                descriptor.close()

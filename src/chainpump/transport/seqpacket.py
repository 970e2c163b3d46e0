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
import select
import socket
from collections.abc import Sequence
from typing import Any

from ..errors import Cancelled
from .codec import PROTOCOL, ItemFault, Large, Pickling
from .credits import Credits
from .descriptors import Descriptor, pipe
from .frames import HEADER, IN_SLAB, PLACE, PLACED, PLACED_LENGTH, Form, Frame, Span
from .hand import Hand
from .slabs import REGION, Arena, Slabs

__all__ = ["PACKET_BYTES", "PacketChannel", "PacketReceiver", "PacketSender"]

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
        generation: int = 0,
    ) -> None:
        self._ends = (out, slabs, returns)
        self._producer = producer
        self._consumers = consumers
        self._generation = generation
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

    def send(self, entries: list[Any], snapshots: bool, span: Span, numbers: Sequence[int] | None) -> int:
        """Send a frame; blocks while the channel is full. Raises Cancelled when it has been closed, and ItemFault."""
        payload: bytes | Large
        if entries and isinstance(entries[0], Large):
            form, payload = Form.BUFFERS, entries[0]
        elif snapshots:
            form, payload = Form.SNAPSHOTS, pickle.dumps(entries, PROTOCOL)
        else:
            form, payload = Form.ITEMS, self._pickling.frame(entries)
        flags, place = 0, b""
        if numbers is not None or span != (span.start, span.start + len(entries), (), False, self._producer):
            flags, place = PLACED, pickle.dumps((*span[1:], numbers), PROTOCOL)
            place = PLACED_LENGTH.pack(len(place)) + place
        head = (self._producer, len(entries), span.start)
        if isinstance(payload, bytes) and len(payload) + len(place) <= INLINE_BYTES:
            try:
                self._send(HEADER.pack(form, flags, *head) + place + payload)
            except OSError as error:
                if error.errno not in TOO_LARGE:
                    raise
            else:
                return len(payload)
        large = Large(payload, []) if isinstance(payload, bytes) else payload
        self._send(HEADER.pack(form, flags | IN_SLAB, *head) + place + self._place(large))
        return large.size

    def _place(self, item: Large) -> bytes:
        out, slabs, returns = self._ends
        if self._arena is None:
            self._arena = Arena(slabs, returns, self._producer, self._consumers, out, self._generation)
        return self._arena.place(item)

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
        return (*self._ends, self._producer, self._consumers, self.credits, self._generation)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        PacketSender.__init__(self, *state)


class PacketReceiver:
    """One consumer's end."""

    def __init__(
        self,
        into: Descriptor,
        slabs: Descriptor,
        returns: Sequence[Descriptor],
        credits: Credits | None,
        hand: Hand | None = None,
    ) -> None:
        self._into = into
        self._hand = hand
        self._resumes = False
        self._file = slabs
        self._returns = tuple(returns)
        self.credits = credits
        self._slabs = Slabs(slabs, self._returns)
        self._buffer = memoryview(b"")

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """What a forked worker must keep."""
        shared = (part.descriptors for part in (self.credits, self._hand) if part is not None)
        return (self._into, self._file, *self._returns, *(each for part in shared for each in part))

    def receive(self, wait: bool) -> Frame | None:
        """The next frame; None at the end of file. Raises BlockingIOError if none is there and `wait` is False.

        The first one of a successor is what its predecessor had in hand.
        """
        if self._resumes:
            self._resumes = False
            return self._decode(self._buffer)
        length = self._into.socket().recv_into(self._buffer, 0, 0 if wait else socket.MSG_DONTWAIT)
        return self._decode(self._buffer[:length]) if length else None

    def settle(self) -> None:
        """The frame received last has been dealt with; a successor need not know of it."""
        if self._hand is None or self._hand.is_empty:
            return
        _, flags, producer, _, _ = HEADER.unpack_from(self._buffer)
        self._hand.clear()  # first: what has gone back must not be read again
        if flags & IN_SLAB:
            self._slabs.give_back(producer, _parts(self._buffer, flags)[1])

    def wait(self, seconds: float) -> bool:
        """Wait until a frame is there, or the end; False if that takes longer."""
        if self._resumes:
            return True
        poll = select.poll()
        poll.register(self._into.fileno(), select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    def _decode(self, packet: memoryview) -> Frame:
        form, flags, producer, count, start = HEADER.unpack_from(packet)
        place, payload = _parts(packet, flags)
        span, numbers = Span(start, start + count, origin=producer), None
        if place:
            *rest, numbers = pickle.loads(place)
            span = Span(start, *rest)
        keep = self._hand is not None
        try:
            if flags & IN_SLAB:
                nbytes, value = PLACE.unpack_from(payload)[1], self._slabs.load(producer, payload, pickle.loads, keep)
            else:
                nbytes, value = len(payload), pickle.loads(payload)
        except Exception as error:
            index = span.prefix[0] if span.prefix else start
            raise ItemFault(f"{type(error).__name__}: {error}", span.origin, index) from error
        entries = [value] if form == Form.BUFFERS else value
        return Frame(producer, span, entries, numbers, pickle.loads if form == Form.SNAPSHOTS else None, nbytes)

    def open(self) -> None:
        """Make the socket and its buffer; see `PacketSender.open`."""
        self._into.socket()
        self._buffer = memoryview(bytearray(PACKET_BYTES)) if self._hand is None else self._hand.packet
        self._resumes = self._hand is not None and not self._hand.is_empty

    def close(self) -> None:
        """Close this consumer's descriptors."""
        for descriptor in self.descriptors:
            descriptor.close()

    @property
    def hand(self) -> Hand | None:
        """What its successor would find."""
        return self._hand

    def __getstate__(self) -> tuple[Any, ...]:
        return (self._into, self._file, self._returns, self.credits, self._hand)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        PacketReceiver.__init__(self, *state)


def _parts(packet: memoryview, flags: int) -> tuple[memoryview, memoryview]:
    """Of a packet: what says where its items belong, which may be nothing, and its payload."""
    payload = packet[HEADER.size :]
    if not flags & PLACED:
        return payload[:0], payload
    (length,) = PLACED_LENGTH.unpack_from(payload)
    end = PLACED_LENGTH.size + length
    return payload[PLACED_LENGTH.size : end], payload[end:]


class PacketChannel:
    """The main process's hold on a junction: makes the ends, seals it at the end, hangs it up on cancel.

    It keeps a duplicate of the reading end only: one of a writing end would hide the death of all producers. But where
    workers may be replaced (`renewable`), it keeps both, and whoever replaces them tells of their death.
    """

    def __init__(self, producers: int, consumers: int, in_flight: int | None, renewable: bool = False) -> None:
        self._renewable = renewable
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

    def sender(self, producer: int, generation: int = 0) -> PacketSender:
        """The end of one producer, counted from 0, with descriptors of its own."""
        credits = self._credits.dup() if self._credits else None
        returns = self._returns[producer][0].dup()
        ends = (self._out.dup(), self._slabs.dup(), returns)
        return PacketSender(*ends, producer, self._consumers, credits, generation)

    def receiver(self, hand: Hand | None = None) -> PacketReceiver:
        """The end of one consumer, with descriptors of its own."""
        credits = self._credits.dup() if self._credits else None
        returns = [writing.dup() for _, writing in self._returns]
        return PacketReceiver(self._into.dup(), self._slabs.dup(), returns, credits, hand)

    def started(self) -> None:
        """All ends are with their workers: drop the copies that would hide the death of a peer."""
        if not self._renewable:
            self._close_copies()

    def _close_copies(self) -> None:
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
        self._close_copies()
        self._into.close()
        if self._credits:
            self._credits.close()

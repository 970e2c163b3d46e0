"""Writes frames to a wire as packets. What is too large for a packet goes through a slab of the producer."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager

from ..ipc.descriptors import Descriptor
from ..ipc.wait_times import UNCOUNTED
from ..pickling.items import Large
from .frames import HAS_SPAN, HEADER, IN_SLAB, SPAN_LENGTH, Form
from .slab_source import Reserved, SlabAllocator, SlabSource
from .wire import WireOut

__all__ = ["PacketWriter"]


class PacketWriter:
    """The writing end of one producer. slabs: the source of slabs for payloads that are too large for a packet.

    producer: consumers return slabs to this producer. It is the origin of the items of a frame without span data.
    """

    def __init__(self, out: WireOut, slabs: SlabSource, producer: int) -> None:
        self._out = out
        self.slabs = slabs
        self.producer = producer
        self._allocator: SlabAllocator | None = None

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """The descriptors that a forked worker keeps open."""
        return (*self._out.descriptors, *self.slabs.descriptors)

    def write(
        self,
        form: int,
        count: int,
        start: int,
        span_data: bytes | memoryview,
        payload: bytes | memoryview,
        waits: AbstractContextManager[None] = UNCOUNTED,
    ) -> bool:
        """Send a frame without a slab. Returns False if it is too large. Raises Cancelled after a hang-up.

        count: the number of entries. start: the first number of the span. span_data: the pickle of the rest of the
        span and the numbers; empty if the span follows from the count and the producer.
        """
        head = self._head(form, 0, count, start, span_data)
        if len(head) + len(payload) > self._out.room or not self._out.send(head + payload, waits):
            return False
        if self._allocator is not None:
            self._allocator.free_idle()
        return True

    def write_in_slab(
        self,
        form: int,
        count: int,
        start: int,
        span_data: bytes | memoryview,
        payload: Large,
        waits: AbstractContextManager[None] = UNCOUNTED,
    ) -> None:
        """Send a frame, its payload through a slab. Raises Cancelled after a hang-up, and OSError."""
        packet = self._head(form, IN_SLAB, count, start, span_data) + self._put_in_slab(payload, waits)
        # The numbers or the lengths of the buffers are too long. Then the whole packet goes through a slab.
        if not self._out.send(packet, waits):
            head = self._head(Form.PACKET, IN_SLAB, count, start, b"")
            self._out.send(head + self._put_in_slab(Large(packet, []), waits), waits)

    @property
    def room(self) -> int:
        """The usual limit of a packet's size in bytes."""
        return self._out.room

    def reserve(self, nbytes: int) -> Reserved | None:
        """Reserve a slab for a payload of so many bytes. None if there is none now. Never waits, in any thread."""
        return None if self._allocator is None else self._allocator.reserve(nbytes)

    def write_reserved(
        self,
        form: int,
        count: int,
        start: int,
        span_data: bytes | memoryview,
        payload: Reserved,
        lengths: Sequence[int],
        waits: AbstractContextManager[None] = UNCOUNTED,
    ) -> bool:
        """Send a frame whose payload is in a reserved slab. lengths: of the parts of the payload.

        Returns False if the packet is too large. Raises Cancelled after a hang-up.
        """
        if not self._out.send(self._head(form, IN_SLAB, count, start, span_data) + payload.location(lengths), waits):
            return False
        payload.sent()
        return True

    def _head(self, form: int, flags: int, count: int, start: int, span_data: bytes | memoryview) -> bytes:
        if not span_data:
            return HEADER.pack(form, flags, self.producer, count, start)
        head = HEADER.pack(form, flags | HAS_SPAN, self.producer, count, start)
        return head + SPAN_LENGTH.pack(len(span_data)) + span_data

    def _put_in_slab(self, item: Large, waits: AbstractContextManager[None]) -> bytes:
        if self._allocator is None:
            self._allocator = self.slabs.allocator(self._out)
        return self._allocator.put(item, waits)

    def open(self) -> None:
        """Open this end of the wire."""
        self._out.open()

    def open_slabs(self) -> None:
        """Make the allocator of slabs now: several threads use it."""
        self._allocator = self.slabs.allocator(self._out)

    def close(self) -> None:
        """Close this producer's descriptors. When the last producer has closed them, the channel ends."""
        allocator, self._allocator = self._allocator, None
        if allocator is not None:
            allocator.close()
        for descriptor in self.descriptors:
            descriptor.close()

    def __getstate__(self) -> tuple[WireOut, SlabSource, int]:
        return (self._out, self.slabs, self.producer)

    def __setstate__(self, state: tuple[WireOut, SlabSource, int]) -> None:
        PacketWriter.__init__(self, *state)

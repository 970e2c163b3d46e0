"""The channel between processes of one machine: frames are packets on a wire, large ones are in slabs.

producers ----- packets -----> [wire] ----> consumers      frames, in order per producer
          <------- return pipes --------                   offsets of slabs, one file and one pipe per producer
          <--------- credits -----------                   only with `in_flight=`
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any
from weakref import WeakSet

from ..ipc.checkpoint import Checkpoint
from ..ipc.descriptors import Descriptor, pipe
from ..ipc.system import is_portable, shared_file
from ..ipc.wait_times import UNCOUNTED
from ..pickling.bad_item import find_bad_item
from ..pickling.items import PROTOCOL, ItemFault, Large, Pickling
from ..pickling.large_bytes import LARGE_BYTES
from .credits import Credits
from .flow import FLUSH_BYTES
from .frames import HAS_SPAN, HEADER, IN_SLAB, SLAB_LOCATION, SPAN_LENGTH, Form, Frame, Span
from .pipe_wire import RecordWire
from .slab_allocator import SlabAllocator, SlabFile, SlabSource
from .slabs import Slabs, punch_all_but
from .socket_wire import PacketWire
from .wire import Wire, WireIn, WireOut

__all__ = ["PACKET_BYTES", "PacketChannel", "PacketReceiver", "PacketSender"]

# Bytes. The receive buffer is larger than any packet of a wire, so that no packet is cut off.
PACKET_BYTES = 262_144


class PacketSender:
    """The end of one producer. slabs: the source of slabs for payloads that are too large for a packet."""

    # The bytes are those of pickles.
    flush_bytes = FLUSH_BYTES

    def __init__(self, out: WireOut, slabs: SlabSource, producer: int, credits: Credits | None) -> None:
        self._out = out
        self.slabs = slabs
        self._producer = producer
        self.credits = credits
        # The worker's own thread uses the first one to admit items. The sending thread uses the second one: that is the
        # worker's thread or the flusher, and a lock allows only one at a time.
        self._admitting, self._sending = Pickling(), Pickling()
        self._allocator: SlabAllocator | None = None

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """The descriptors that a forked worker keeps open."""
        shared = self.credits.descriptors if self.credits else ()
        return (*self._out.descriptors, *self.slabs.descriptors, *shared)

    def admit(self, item: Any) -> tuple[bytes | Large, int]:
        """Pickle an item now and return the entry with its size in bytes. Raises ItemFault."""
        entry = self._admitting.snapshot(item)
        return entry, entry.size if isinstance(entry, Large) else len(entry)

    def send(
        self,
        entries: list[Any],
        snapshots: bool,
        span: Span,
        numbers: Sequence[int] | None,
        waits: AbstractContextManager[None] = UNCOUNTED,
    ) -> int:
        """Send a frame. It blocks while the channel is full. Raises Cancelled after a hang-up, and ItemFault."""
        payload: bytes | Large
        if entries and isinstance(entries[0], Large):
            form, payload = Form.BUFFERS, entries[0]
        elif snapshots:
            form, payload = Form.SNAPSHOTS, pickle.dumps(entries, PROTOCOL)
        else:
            form, payload = Form.ITEMS, self._sending.frame(entries)
        flags, span_data = 0, b""
        if numbers is not None or span != (span.start, span.start + len(entries), (), False, self._producer):
            flags, span_data = HAS_SPAN, pickle.dumps((*span[1:], numbers), PROTOCOL)
            span_data = SPAN_LENGTH.pack(len(span_data)) + span_data
        head = (self._producer, len(entries), span.start)
        if isinstance(payload, bytes) and HEADER.size + len(span_data) + len(payload) <= self._out.room:  # noqa: SIM102
            if self._out.send(HEADER.pack(form, flags, *head) + span_data + payload, waits):
                if self._allocator is not None:
                    self._allocator.free_idle()
                return len(payload)
        if isinstance(payload, bytes):
            if len(payload) >= LARGE_BYTES:
                (self._admitting if snapshots else self._sending).look_inside()
            payload = Large(payload, [])
        size = payload.size
        packet = HEADER.pack(form, flags | IN_SLAB, *head) + span_data + self._put_in_slab(payload, waits)
        # The numbers or the lengths of the buffers are too long. Then the whole packet goes through a slab.
        if not self._out.send(packet, waits):
            self._out.send(
                HEADER.pack(Form.PACKET, IN_SLAB, *head) + self._put_in_slab(Large(packet, []), waits), waits
            )
        payload.release()
        return size

    def _put_in_slab(self, item: Large, waits: AbstractContextManager[None]) -> bytes:
        if self._allocator is None:
            self._allocator = self.slabs.allocator(self._out)
        return self._allocator.put(item, waits)

    def open(self) -> None:
        """Open this end of the wire."""
        self._out.open()

    def close(self) -> None:
        """Close this producer's descriptors. When the last producer has closed them, the channel ends."""
        allocator, self._allocator = self._allocator, None
        if allocator is not None:
            allocator.close()
        for descriptor in self.descriptors:
            descriptor.close()

    def __getstate__(self) -> tuple[Any, ...]:
        return (self._out, self.slabs, self._producer, self.credits)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        PacketSender.__init__(self, *state)


class PacketReceiver:
    """The end of one consumer."""

    def __init__(
        self,
        into: WireIn,
        files: Sequence[Descriptor],
        returns: Sequence[Descriptor],
        credits: Credits | None,
        checkpoint: Checkpoint | None = None,
    ) -> None:
        self._into = into
        self._checkpoint = checkpoint
        self._resumes = False
        self._files = tuple(files)
        self._returns = tuple(returns)
        self.credits = credits
        self.slabs = Slabs(self._files, self._returns)
        self._buffer = memoryview(b"")

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """The descriptors that a forked worker keeps open."""
        shared = (part.descriptors for part in (self.credits, self._checkpoint) if part is not None)
        ends = (*self._into.descriptors, *self._files, *self._returns)
        return (*ends, *(each for part in shared for each in part))

    def receive(self, wait: bool) -> Frame | None:
        """Return the next frame, or None at the end. Raises BlockingIOError if there is no frame yet and `wait` is
        False.

        The first frame of a replacement is the frame that its predecessor was processing.
        """
        if self._resumes:
            self._resumes = False
            return self._decode(self._buffer)
        length = self._into.receive_into(self._buffer, wait)
        return self._decode(self._buffer[:length]) if length else None

    def settle(self) -> None:
        """The worker has finished the frame that it received last: a replacement must not process it again."""
        if self._checkpoint is None or self._checkpoint.is_empty:
            return
        locations = list(self._slab_locations(self._buffer))
        # Clear it first: a replacement must not read slabs that have gone back.
        self._checkpoint.clear()
        for producer, location in locations:
            self.slabs.give_back(producer, location)

    def _slab_locations(self, packet: memoryview) -> Iterator[tuple[int, memoryview]]:
        """Yield the slabs to which a packet refers, with their producers."""
        form, flags, producer, _, _ = HEADER.unpack_from(packet)
        if flags & IN_SLAB:
            yield producer, (location := _parts(packet, flags)[1])
            if form == Form.PACKET:
                yield from self._slab_locations(self.slabs.load(producer, location, _copy, keep=True))

    def wait(self, seconds: float) -> bool:
        """Wait until there is a frame or the end. Returns False after this many seconds."""
        if self._resumes:
            return True
        return self._into.wait(seconds)

    def _decode(self, packet: memoryview) -> Frame:
        form, flags, producer, count, start = HEADER.unpack_from(packet)
        span_data, payload = _parts(packet, flags)
        keep = self._checkpoint is not None
        if form == Form.PACKET:
            return self._decode(self.slabs.load(producer, payload, _copy, keep))
        span, numbers = Span(start, start + count, origin=producer), None
        if span_data:
            *rest, numbers = pickle.loads(span_data)
            span = Span(start, *rest)
        if flags & IN_SLAB:
            _, slab, length, *_, buffers = SLAB_LOCATION.unpack_from(payload)
            nbytes = slab if buffers else length
            value = self.slabs.load(producer, payload, partial(_rebuild, span, numbers, count), keep)
        else:
            nbytes = len(payload)
            value = _rebuild(span, numbers, count, payload)
        entries = [value] if form == Form.BUFFERS else value
        return Frame(producer, span, entries, numbers, pickle.loads if form == Form.SNAPSHOTS else None, nbytes)

    def open(self) -> None:
        """Open this end of the wire and make the buffer."""
        self._into.open()
        self.slabs.open()
        self._buffer = memoryview(bytearray(PACKET_BYTES)) if self._checkpoint is None else self._checkpoint.packet
        self._resumes = self._checkpoint is not None and not self._checkpoint.is_empty

    def close(self) -> None:
        """Close this consumer's descriptors."""
        self.slabs.close()
        for descriptor in self.descriptors:
            descriptor.close()

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The memory from which a replacement of this worker continues."""
        return self._checkpoint

    def __getstate__(self) -> tuple[Any, ...]:
        return (self._into, self._files, self._returns, self.credits, self._checkpoint)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        PacketReceiver.__init__(self, *state)


def _rebuild(
    span: Span, numbers: Sequence[int] | None, count: int, data: memoryview, buffers: Sequence[Any] = ()
) -> Any:
    """Load the pickle of a frame. Raises ItemFault: an error of a user's class is not a failure of the channel."""
    try:
        return pickle.loads(data, buffers=buffers)
    except Exception as error:
        position = find_bad_item(bytes(data), buffers) if count > 1 else 0
        index = span.item_index(span.number(position, numbers))
        raise ItemFault(f"{type(error).__name__}: {error}", span.origin, index) from error


def _parts(packet: memoryview, flags: int) -> tuple[memoryview, memoryview]:
    """Divide a packet into the pickle of its span, which may be empty, and its payload."""
    payload = packet[HEADER.size :]
    if not flags & HAS_SPAN:
        return payload[:0], payload
    (length,) = SPAN_LENGTH.unpack_from(payload)
    end = SPAN_LENGTH.size + length
    return payload[SPAN_LENGTH.size : end], payload[end:]


def _copy(data: memoryview, *, buffers: Sequence[object]) -> memoryview:
    """Replaces `pickle.loads` for a packet in a slab. Such a packet has no buffers beside it."""
    assert not buffers
    return memoryview(bytes(data))


class PacketChannel:
    """The main process's side of a channel. It makes the ends, seals the channel at the end, and hangs it up on cancel.

    renewable: workers may be replaced. Then the channel keeps all descriptors that a new worker needs. They may hide
    the death of a worker, so the supervisor reports it.
    """

    def __init__(self, producers: int, consumers: int, in_flight: int | None, renewable: bool = False) -> None:
        self._renewable = renewable
        self._wire: Wire = RecordWire(renewable) if is_portable() else PacketWire(renewable)
        self._files = [shared_file("chainpump-slabs", 0) for _ in range(producers)]
        # Receivers in this process. Their users may still have views when the run has ended.
        self._users: WeakSet[Slabs] = WeakSet()
        self._returns = [pipe() for _ in range(producers)]
        for end in (end for ends in self._returns for end in ends):
            os.set_blocking(end.fileno(), False)
        self._consumers = consumers
        self._credits = None if in_flight is None else Credits.of(in_flight, one_taker=producers == 1 and not renewable)

    def sender(self, producer: int) -> PacketSender:
        """Make the end of one producer, with descriptors of its own. Producers are counted from 0."""
        credits = self._credits.dup() if self._credits else None
        slabs = SlabFile(self._files[producer].dup(), self._returns[producer][0].dup(), self._consumers)
        return PacketSender(self._wire.out(), slabs, producer, credits)

    def receiver(self, checkpoint: Checkpoint | None = None) -> PacketReceiver:
        """Make the end of one consumer, with descriptors of its own."""
        credits = self._credits.dup() if self._credits else None
        returns = [writing.dup() for _, writing in self._returns]
        receiver = PacketReceiver(self._wire.into(), [file.dup() for file in self._files], returns, credits, checkpoint)
        self._users.add(receiver.slabs)
        return receiver

    def started(self) -> None:
        """All ends belong to their workers now. Close the copies that would hide the death of a worker."""
        self._wire.started()
        if not self._renewable:
            self._close_pipes()

    def _close_pipes(self) -> None:
        for end in (end for ends in self._returns for end in ends):
            end.close()

    def seal(self) -> None:
        """All producers have finished. Consumers receive the queued frames and then the end."""
        self._wire.seal()

    def hang_up(self) -> None:
        """Wake all senders and receivers permanently."""
        self._wire.hang_up()
        if self._credits:
            self._credits.wake_all()

    def close(self) -> None:
        """Close the remaining descriptors. All workers have ended."""
        used = [slabs.end() for slabs in self._users]
        for producer, file in enumerate(self._files):
            if not file.closed and (views := [slab for each in used for slab in each[producer]]):
                punch_all_but(file, views)
            file.close()
        self._close_pipes()
        self._wire.close()
        if self._credits:
            self._credits.close()

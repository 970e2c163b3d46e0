"""The channel between processes of one machine: frames are packets on a wire, large ones are in slabs.

producers ----- packets -----> [wire] ----> consumers      frames, in order per producer
          <------- return pipes --------                   offsets of slabs, one file and one pipe per producer
          <--------- credits -----------                   only with `in_flight=`
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any
from weakref import WeakSet

from ..ipc.checkpoint import Checkpoint
from ..ipc.counters import Counter, counter
from ..ipc.descriptors import Descriptor, pipe
from ..ipc.system import is_portable, shared_file
from ..ipc.wait_times import UNCOUNTED
from ..pickling.bad_item import find_bad_item
from ..pickling.copies import Copies
from ..pickling.items import PROTOCOL, ItemFault, Large, Pickling
from ..pickling.large_bytes import LARGE_BYTES
from ..pickling.limited import LimitedPickling
from .channel import EventLoop
from .credits import Credits
from .flow import flush_bytes
from .frames import COUNTED, FLAGS_AT, HEADER, IN_SLAB, SLAB_LOCATION, Form, Frame, Span, packet_parts
from .packet_writer import PacketWriter
from .pipe_wire import RecordWire
from .raw_ends import RawReceiver, RawSender
from .slab_allocator import SlabFile
from .slabs import Slabs, copied, punch_all_but
from .socket_wire import PacketWire
from .wire import PACKET_BYTES, Wire, WireIn

__all__ = ["PacketChannel", "PacketReceiver", "PacketSender"]


class PacketSender:
    """The end of one producer.

    main_by_value: see `Pickling`; for consumers on another machine. most_bytes: of one item; None for no limit.
    """

    def __init__(
        self,
        writer: PacketWriter,
        credits: Credits | None,
        main_by_value: bool = False,
        most_bytes: int | None = None,
    ) -> None:
        self.writer = writer
        self._main_by_value = main_by_value
        self._most_bytes = most_bytes
        # The bytes are those of pickles.
        self.flush_bytes = flush_bytes(most_bytes)
        self.credits = credits
        # The worker's own thread uses the first one to admit items. The sending thread uses the second one: that is the
        # worker's thread or the flusher, and a lock allows only one at a time.
        self._admitting, self._sending = self._pickling(), self._pickling()
        # Only the worker's own thread uses it.
        self.copies = Copies()

    def _pickling(self) -> Pickling:
        if self._most_bytes is None:
            return Pickling(main_by_value=self._main_by_value)
        return LimitedPickling(self._most_bytes, main_by_value=self._main_by_value)

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """The descriptors that a forked worker keeps open."""
        shared = self.credits.descriptors if self.credits else ()
        return (*self.writer.descriptors, *shared)

    def admit(self, item: Any) -> tuple[bytes | Large, int]:
        """Pickle an item now and return the entry with its size in bytes. Raises ItemFault."""
        entry = self._admitting.snapshot(item)
        if type(item) not in self.copies:
            self.copies.learn(type(item))
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
        count, start, span_data = len(entries), span.start, b""
        if numbers is not None or span != (start, start + count, (), False, self.writer.producer):
            span_data = pickle.dumps((*span[1:], numbers), PROTOCOL)
        if not isinstance(payload, Large):
            if self.writer.write(form, count, start, span_data, payload, waits):
                return len(payload)
            if len(payload) >= LARGE_BYTES:
                (self._admitting if snapshots else self._sending).look_inside()
            payload = Large(payload, [])
        size = payload.size
        self.writer.write_in_slab(form, count, start, span_data, payload, waits)
        payload.release()
        return size

    def open(self) -> None:
        """Open this end of the wire."""
        self.writer.open()

    def close(self) -> None:
        """Close this producer's descriptors. When the last producer has closed them, the channel ends."""
        self.writer.close()
        for descriptor in self.credits.descriptors if self.credits else ():
            descriptor.close()

    def __getstate__(self) -> tuple[Any, ...]:
        return (self.writer, self.credits, self._main_by_value, self._most_bytes)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        PacketSender.__init__(self, *state)


class PacketReceiver:
    """The end of one consumer. taken: counts the frames that this consumer takes from the wire."""

    def __init__(
        self,
        into: WireIn,
        files: Sequence[Descriptor],
        returns: Sequence[Descriptor],
        credits: Credits | None,
        checkpoint: Checkpoint | None = None,
        taken: Counter | None = None,
    ) -> None:
        self._into = into
        self._checkpoint = checkpoint
        self._taken = taken
        self._resumes = False
        self._files = tuple(files)
        self._returns = tuple(returns)
        self.credits = credits
        self.slabs = Slabs(self._files, self._returns)
        self._buffer = memoryview(b"")

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """The descriptors that a forked worker keeps open."""
        shared = (part.descriptors for part in (self.credits, self._checkpoint, self._taken) if part is not None)
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
        if not length:
            return None
        if self._taken is not None:
            self._count(self._taken)
        return self._decode(self._buffer[:length])

    def _count(self, taken: Counter) -> None:
        """Count the frame in the buffer as taken. The mark is set afterwards: a worker that is killed here and replaced
        counts it again. A frame too many only lets one more frame wait; a missing one would stop its sender for ever.
        """
        taken.give(1)
        self._buffer[FLAGS_AT] |= COUNTED

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
            yield producer, (location := packet_parts(packet, flags)[1])
            if form == Form.PACKET:
                yield from self._slab_locations(self.slabs.load(producer, location, copied, keep=True))

    def wait(self, seconds: float) -> bool:
        """Wait until there is a frame or the end. Returns False after this many seconds."""
        if self._resumes:
            return True
        return self._into.wait(seconds)

    def watch(self, loop: EventLoop, ready: Callable[[], object]) -> Callable[[], None]:
        """Have a loop call `ready` when there is a frame or the end."""
        if self._resumes:
            loop.call_soon_threadsafe(ready)
        return self._into.watch(loop, ready)

    def _decode(self, packet: memoryview) -> Frame:
        form, flags, producer, count, start = HEADER.unpack_from(packet)
        span_data, payload = packet_parts(packet, flags)
        keep = self._checkpoint is not None
        if form == Form.PACKET:
            return self._decode(self.slabs.load(producer, payload, copied, keep))
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
        if self._resumes and self._taken is not None and not self._buffer[FLAGS_AT] & COUNTED:
            self._count(self._taken)

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
        return (self._into, self._files, self._returns, self.credits, self._checkpoint, self._taken)

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


class PacketChannel:
    """The main process's side of a channel. It makes the ends, seals the channel at the end, and hangs it up on cancel.

    renewable: workers may be replaced. Then the channel keeps all descriptors that a new worker needs. They may hide
    the death of a worker, so the supervisor reports it. counts_taken: consumers count the frames that they take.
    main_by_value: consumers cannot import the main module, because they are on another machine. most_bytes: of one
    item; None for no limit.
    """

    def __init__(
        self,
        producers: int,
        consumers: int,
        in_flight: int | None,
        renewable: bool = False,
        counts_taken: bool = False,
        main_by_value: bool = False,
        most_bytes: int | None = None,
    ) -> None:
        self._renewable = renewable
        self._main_by_value = main_by_value
        self._most_bytes = most_bytes
        self._wire: Wire = RecordWire(renewable) if is_portable() else PacketWire(renewable)
        self._files = [shared_file("chainpump-slabs", 0) for _ in range(producers)]
        # Receivers in this process. Their users may still have views when the run has ended.
        self._users: WeakSet[Slabs] = WeakSet()
        self._returns = [pipe() for _ in range(producers)]
        for end in (end for ends in self._returns for end in ends):
            os.set_blocking(end.fileno(), False)
        self._consumers = consumers
        # How many frames consumers have taken. None if nobody needs to know.
        self.taken = counter(0, one_by_one=False) if counts_taken else None
        self._credits = None if in_flight is None else Credits.of(in_flight, one_taker=producers == 1 and not renewable)

    def __getstate__(self) -> dict[str, Any]:
        # A process that gets the channel at its start can make ends, seal it and hang it up.
        return {name: value for name, value in vars(self).items() if name != "_users"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _users=WeakSet())

    def sender(self, producer: int) -> PacketSender:
        """Make the end of one producer, with descriptors of its own. Producers are counted from 0."""
        credits = self._credits.dup() if self._credits else None
        return PacketSender(self._writer(producer), credits, self._main_by_value, self._most_bytes)

    def raw_sender(self, producer: int) -> RawSender:
        """Make the end of one producer that sends frames of other channels."""
        # Other systems have no call that makes the pages of a file without writing to them.
        returning = None if is_portable() else self._returns[producer][1].dup()
        return RawSender(self._writer(producer, returning))

    def _writer(self, producer: int, returning: Descriptor | None = None) -> PacketWriter:
        in_flight = self._credits.number if self._credits else 0
        file, returns = self._files[producer].dup(), self._returns[producer][0].dup()
        slabs = SlabFile(file, returns, self._consumers, in_flight, returning)
        return PacketWriter(self._wire.out(), slabs, producer)

    def receiver(self, checkpoint: Checkpoint | None = None) -> PacketReceiver:
        """Make the end of one consumer, with descriptors of its own."""
        credits = self._credits.dup() if self._credits else None
        taken = self.taken.dup() if self.taken else None
        receiver = PacketReceiver(self._wire.into(), *self._slab_files(), credits, checkpoint, taken)
        self._users.add(receiver.slabs)
        return receiver

    def raw_receiver(self) -> RawReceiver:
        """Make the end of one consumer that passes frames on unread."""
        receiver = RawReceiver(self._wire.into(), *self._slab_files())
        self._users.add(receiver.slabs)
        return receiver

    def _slab_files(self) -> tuple[list[Descriptor], list[Descriptor]]:
        """For each producer, the file of its slabs and the end of the pipe on which they are returned."""
        return [file.dup() for file in self._files], [writing.dup() for _, writing in self._returns]

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
        for counts in (self._credits, self.taken):
            if counts:
                counts.close()

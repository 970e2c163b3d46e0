"""Raw ends: they take frames from one channel between processes and put them into another one, without reading them.

The pickles and the large buffers stay as they are. The two channels may be on different machines: `RawFrame.encoded`
makes bytes of a frame, and `RawFrame.decode` makes the frame from them.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

from ..ipc.descriptors import Descriptor
from ..ipc.wait_times import REFUSED, UNCOUNTED
from ..pickling.items import PROTOCOL, Large
from .frames import HEADER, IN_SLAB, Form, Span, packet_parts
from .packet_writer import PacketWriter
from .slab_source import Reserved
from .slabs import Loan, Slabs, copied, slab_parts
from .wire import PACKET_BYTES, WireIn

__all__ = ["RawFrame", "RawReceiver", "RawSender"]

# Form, producer, number of entries, first number of the span, number of parts. The length of each part follows as a
# u64, then the span data.
HEAD = struct.Struct("<BHIQI")


class RawFrame(NamedTuple):
    """A frame that has not been read.

    producer: of the channel that it comes from. entries: their number. span_data: the pickle of the rest of the span
    and the numbers. If it is empty, `producer` is the origin of the items, which are numbered from `start`. contents:
    a pickle and large buffers as in a slab. lengths: of these parts. loan: of the slab with these contents, if any; or
    a slab that was reserved at the sender of the next channel.
    """

    form: int
    producer: int
    entries: int
    start: int
    span_data: memoryview
    lengths: Sequence[int]
    contents: memoryview
    loan: Loan | Reserved | None = None

    def release(self) -> None:
        """Return the slab to its producer. The contents of the frame have been copied or sent, and are gone now."""
        if self.loan is not None:
            self.loan.release()

    @property
    def span(self) -> Span:
        """The items that the frame represents."""
        if not self.span_data:
            return Span(self.start, self.start + self.entries, origin=self.producer)
        *rest, _ = pickle.loads(self.span_data)
        return Span(self.start, *rest)

    def copied(self) -> RawFrame:
        """The same frame without a slab, which is returned to its producer."""
        if self.loan is None:
            return self
        frame = self._replace(contents=memoryview(bytes(self.contents)), loan=None)
        self.release()
        return frame

    def encoded(self) -> tuple[bytes, memoryview]:
        """The frame as bytes: what describes it, and its contents, a view."""
        form, producer, entries, start, span_data, lengths, contents, _ = self
        count = len(lengths)
        head = HEAD.pack(form, producer, entries, start, count) + struct.pack(f"<{count}Q", *lengths)
        return head + span_data, contents

    @classmethod
    def decode(cls, head: memoryview, contents: memoryview, loan: Reserved | None = None) -> RawFrame:
        """The frame of these bytes, as views of them. loan: the reserved slab with these contents, if any."""
        form, producer, entries, start, count = HEAD.unpack_from(head)
        lengths = struct.unpack_from(f"<{count}Q", head, HEAD.size)
        return cls(form, producer, entries, start, head[HEAD.size + 8 * count :], lengths, contents, loan)


class RawReceiver:
    """A consumer that does not read its frames."""

    def __init__(self, into: WireIn, files: Sequence[Descriptor], returns: Sequence[Descriptor]) -> None:
        self._into = into
        self._descriptors = (*into.descriptors, *files, *returns)
        self.slabs = Slabs(files, returns)
        self._buffer = memoryview(b"")

    def open(self) -> None:
        """Open this end of the wire and make the buffer."""
        self._into.open()
        self.slabs.open()
        self._buffer = memoryview(bytearray(PACKET_BYTES))

    def receive(self, wait: bool) -> RawFrame | None:
        """Return the next frame, or None at the end and after a hang-up. The caller releases the frame.

        Raises BlockingIOError if there is no frame yet and `wait` is False, and Cancelled after the end of the run.
        """
        length = self._into.receive_into(self._buffer, wait)
        # The next packet is written to the same buffer.
        return self._unpacked(memoryview(bytes(self._buffer[:length]))) if length else None

    def _unpacked(self, packet: memoryview) -> RawFrame:
        form, flags, producer, entries, start = HEADER.unpack_from(packet)
        span_data, payload = packet_parts(packet, flags)
        if form == Form.PACKET:
            return self._unpacked(self.slabs.load(producer, payload, copied))
        if not flags & IN_SLAB:
            return RawFrame(form, producer, entries, start, span_data, (len(payload),), payload)
        loan = self.slabs.lend(producer, payload)
        return RawFrame(form, producer, entries, start, span_data, loan.lengths, loan.contents, loan)

    def close(self) -> None:
        """Close this consumer's descriptors. Slabs that are still on loan are not returned any more."""
        self.slabs.close()
        for descriptor in self._descriptors:
            descriptor.close()


class RawSender:
    """A producer that sends frames of other producers. Its own slabs contain their large buffers.

    One thread at a time may send. Any thread may reserve slabs.
    """

    def __init__(self, writer: PacketWriter) -> None:
        self._writer = writer

    def open(self) -> None:
        """Open this end of the wire."""
        self._writer.open()
        self._writer.open_slabs()

    def reserve(self, parts: int, nbytes: int) -> Reserved | None:
        """Reserve a slab for the contents of a frame. Never waits.

        None if there is none now, or if the frame needs none: it has one part, and fits into a packet.
        """
        return self._writer.reserve(nbytes) if parts > 1 or nbytes > self._writer.room else None

    def send(self, frame: RawFrame, waits: AbstractContextManager[None] = UNCOUNTED) -> None:
        """Send a copy of a frame. It blocks while the channel is full. Raises Cancelled after a hang-up, and OSError.

        The items keep their numbers and their origin.
        """
        if not self._write(frame, waits):
            data, *buffers = slab_parts(frame.contents, frame.lengths)
            span_data = self._span_data(frame)
            self._writer.write_in_slab(frame.form, frame.entries, frame.start, span_data, Large(data, buffers), waits)

    def send_now(self, frame: RawFrame) -> bool:
        """Send a copy of a frame if that needs neither a wait nor a slab that is not reserved. Returns whether it did.

        Raises Cancelled after a hang-up, and OSError.
        """
        try:
            return self._write(frame, REFUSED)
        except BlockingIOError:
            return False

    def _write(self, frame: RawFrame, waits: AbstractContextManager[None]) -> bool:
        """Send a frame that needs no further slab. Returns False if it does."""
        form, _, entries, start, _, lengths, contents, loan = frame
        span_data = self._span_data(frame)
        if isinstance(loan, Reserved):
            return self._writer.write_reserved(form, entries, start, span_data, loan, lengths, waits)
        return len(lengths) == 1 and self._writer.write(form, entries, start, span_data, contents[: lengths[0]], waits)

    def _span_data(self, frame: RawFrame) -> memoryview:
        """The span data. Frames of other producers name their origin there."""
        if frame.span_data or frame.producer == self._writer.producer:
            return frame.span_data
        rest = (frame.start + frame.entries, (), False, frame.producer, None)
        return memoryview(pickle.dumps(rest, PROTOCOL))

    def close(self) -> None:
        """Close this producer's descriptors."""
        self._writer.close()

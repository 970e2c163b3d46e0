"""The portable wire: one pipe of records of 512 bytes, shared by all writers and readers.

POSIX guarantees that a write of up to 512 bytes to a pipe is atomic, for any number of writers. Existing kernels serve
one reader at a time. So records are never split, and each record goes to exactly one reader: an idle reader takes the
next one. A packet that does not fit into a record travels in a slab. A pipe has no shutdown as a socket has. Instead,
two more pipes become readable when the wire is sealed or hung up; nobody reads their byte.
"""

from __future__ import annotations

import os
import select
import struct
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from ..errors import Cancelled
from ..ipc.descriptors import Descriptor, pipe
from ..ipc.wait_times import UNCOUNTED
from .channel import EventLoop
from .wire import watch_files

__all__ = ["RECORD_BYTES", "RecordIn", "RecordOut", "RecordWire"]

# The smallest PIPE_BUF that POSIX allows.
RECORD_BYTES = 512
# The length of the packet comes after the packet: the first byte in a checkpoint must show whether there is a packet.
LENGTH = struct.Struct("<H")
ROOM = RECORD_BYTES - LENGTH.size


class RecordOut:
    """A writing end."""

    room = ROOM

    def __init__(self, file: Descriptor, hung_up: Descriptor) -> None:
        self._file = file
        self._hung_up = hung_up

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """The descriptors that a forked worker keeps open."""
        return (self._file, self._hung_up)

    def open(self) -> None:
        """Do nothing."""

    def send(self, packet: bytes, waits: AbstractContextManager[None] = UNCOUNTED) -> bool:
        """Send a packet, waiting for room. Returns False if it is too large. Raises Cancelled after a hang-up."""
        if len(packet) > ROOM:
            return False
        record = packet.ljust(ROOM, b"\0") + LENGTH.pack(len(packet))
        while not _readable(0, self._hung_up):
            if self._write(record):
                return True
            poll = select.poll()
            poll.register(self._file.fileno(), select.POLLOUT)
            self.watch(poll)
            with waits:
                poll.poll()
        raise Cancelled("the channel was closed")

    def _write(self, record: bytes) -> bool:
        try:
            os.write(self._file.fileno(), record)
        except BlockingIOError:
            return False
        except BrokenPipeError:
            raise Cancelled("the channel was closed") from None
        return True

    def watch(self, poll: select.poll) -> None:
        """Register the hang-up of the wire with this poll."""
        poll.register(self._hung_up.fileno(), select.POLLIN)


class RecordIn:
    """A reading end."""

    def __init__(self, file: Descriptor, sealed: Descriptor, hung_up: Descriptor) -> None:
        self._file = file
        self._sealed = sealed
        self._hung_up = hung_up

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """The descriptors that a forked worker keeps open."""
        return (self._file, self._sealed, self._hung_up)

    def open(self) -> None:
        """Do nothing."""

    def receive_into(self, buffer: memoryview, wait: bool) -> int:
        """Have the kernel write the next packet to the buffer. Returns 0 at the end. Raises BlockingIOError."""
        record = buffer[:RECORD_BYTES]
        is_over = False
        while (length := self._read(record)) is None and not is_over:
            # Then read once more: records that were written before the seal come first.
            is_over = bool(_readable(0, self._sealed, self._hung_up))
            if not is_over:
                if not wait:
                    raise BlockingIOError
                _readable(None, *self.descriptors)
        return length or 0

    def _read(self, record: memoryview) -> int | None:
        """The length of the packet in the next record. 0 at the end, None if there is no record yet."""
        try:
            return LENGTH.unpack_from(record, ROOM)[0] if os.readv(self._file.fileno(), [record]) else 0
        except BlockingIOError:
            return None

    def wait(self, seconds: float) -> bool:
        """Wait until there is a packet or the end. Returns False after this many seconds."""
        return bool(_readable(seconds * 1000, *self.descriptors))

    def watch(self, loop: EventLoop, ready: Callable[[], object]) -> Callable[[], None]:
        """Have a loop call `ready` when there is a packet or the end. Returns the function that ends this."""
        return watch_files(self.descriptors, loop, ready)


def _readable(milliseconds: float | None, *files: Descriptor) -> list[tuple[int, int]]:
    poll = select.poll()
    for file in files:
        poll.register(file.fileno(), select.POLLIN)
    return poll.poll(milliseconds)


class RecordWire:
    """The main process's side of the wire. keeps: as in `PacketWire`."""

    def __init__(self, keeps: bool) -> None:
        self._keeps = keeps
        self._into, self._out = pipe()
        self._sealed, self._seal = pipe()
        self._hung_up, self._hang_up = pipe()
        for end in (self._into, self._out, self._seal, self._hang_up):
            os.set_blocking(end.fileno(), False)

    def out(self) -> RecordOut:
        """Make a writing end with descriptors of its own."""
        return RecordOut(self._out.dup(), self._hung_up.dup())

    def into(self) -> RecordIn:
        """Make a reading end with descriptors of its own."""
        return RecordIn(self._into.dup(), self._sealed.dup(), self._hung_up.dup())

    def started(self) -> None:
        """Close the copy that would hide the death of all writers."""
        if not self._keeps:
            self._out.close()

    def seal(self) -> None:
        """All writers have finished. Readers receive the queued records and then the end."""
        os.write(self._seal.fileno(), b"!")

    def hang_up(self) -> None:
        """Wake all writers and readers permanently."""
        os.write(self._hang_up.fileno(), b"!")

    def close(self) -> None:
        """Close the remaining descriptors."""
        for end in (self._into, self._out, self._sealed, self._seal, self._hung_up, self._hang_up):
            end.close()

"""The portable wire: one pipe of records of 512 bytes, shared by all writers and readers.

POSIX promises that a write of up to 512 bytes to a pipe is whole, however many write; and the kernels that there are
serve one reader at a time. So records are never split, and each goes to exactly one reader: whoever is idle takes the
next one. What does not fit into a record travels in a slab. Pipes cannot be shut down as sockets can: two more of
them, which nobody ever reads, tell that the wire was sealed, or hung up.
"""

from __future__ import annotations

import os
import select
import struct
from collections.abc import Sequence
from contextlib import AbstractContextManager

from ..errors import Cancelled
from ..ipc.descriptors import Descriptor, pipe
from ..ipc.wait_times import UNTOLD

__all__ = ["RECORD_BYTES", "RecordIn", "RecordOut", "RecordWire"]

# The least PIPE_BUF that POSIX allows.
RECORD_BYTES = 512
# Of the packet, behind it: its first byte tells a successor whether there is one.
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
        """What a forked worker must keep."""
        return (self._file, self._hung_up)

    def open(self) -> None:
        """Nothing to do."""

    def send(self, packet: bytes, waits: AbstractContextManager[None] = UNTOLD) -> bool:
        """Send it, waiting for room; False if it is too large. Raises Cancelled once the wire is hung up."""
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
        """Have this poll report when the wire is hung up."""
        poll.register(self._hung_up.fileno(), select.POLLIN)


class RecordIn:
    """A reading end."""

    def __init__(self, file: Descriptor, sealed: Descriptor, hung_up: Descriptor) -> None:
        self._file = file
        self._sealed = sealed
        self._hung_up = hung_up

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """What a forked worker must keep."""
        return (self._file, self._sealed, self._hung_up)

    def open(self) -> None:
        """Nothing to do."""

    def receive_into(self, buffer: memoryview, wait: bool) -> int:
        """Have the kernel write the next packet there; 0 at the end. Raises BlockingIOError."""
        record = buffer[:RECORD_BYTES]
        is_over = False
        while (length := self._read(record)) is None and not is_over:
            # And what was written before is read first.
            is_over = bool(_readable(0, self._sealed, self._hung_up))
            if not is_over:
                if not wait:
                    raise BlockingIOError
                _readable(None, *self.descriptors)
        return length or 0

    def _read(self, record: memoryview) -> int | None:
        """The length of the packet in the next record, 0 at the end; None if there is no record now."""
        try:
            return LENGTH.unpack_from(record, ROOM)[0] if os.readv(self._file.fileno(), [record]) else 0
        except BlockingIOError:
            return None

    def wait(self, seconds: float) -> bool:
        """Wait until a packet is there, or the end; False if that takes longer."""
        return bool(_readable(seconds * 1000, *self.descriptors))


def _readable(milliseconds: float | None, *files: Descriptor) -> list[tuple[int, int]]:
    poll = select.poll()
    for file in files:
        poll.register(file.fileno(), select.POLLIN)
    return poll.poll(milliseconds)


class RecordWire:
    """The main process's hold on it. keeps: as for `PacketWire`."""

    def __init__(self, keeps: bool) -> None:
        self._keeps = keeps
        self._into, self._out = pipe()
        self._sealed, self._seal = pipe()
        self._hung_up, self._hang_up = pipe()
        for end in (self._into, self._out, self._seal, self._hang_up):
            os.set_blocking(end.fileno(), False)

    def out(self) -> RecordOut:
        """A writing end, with descriptors of its own."""
        return RecordOut(self._out.dup(), self._hung_up.dup())

    def into(self) -> RecordIn:
        """A reading end, with descriptors of its own."""
        return RecordIn(self._into.dup(), self._sealed.dup(), self._hung_up.dup())

    def started(self) -> None:
        """Drop the copy that would hide the death of all writers."""
        if not self._keeps:
            self._out.close()

    def seal(self) -> None:
        """Every writer is done: what is queued stays readable, then comes the end."""
        os.write(self._seal.fileno(), b"!")

    def hang_up(self) -> None:
        """Wake every writer and reader for good."""
        os.write(self._hang_up.fileno(), b"!")

    def close(self) -> None:
        """Close what is left."""
        for end in (self._into, self._out, self._sealed, self._seal, self._hung_up, self._hang_up):
            end.close()

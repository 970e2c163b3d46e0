"""Messages of any length over a pipe that several threads write, none of them torn.

They travel in chunks, each of which the kernel writes whole or not at all: so a writer needs no lock, keeps no state,
and may be killed or interrupted anywhere. A message that was begun and broken off stays away.
"""

from __future__ import annotations

import itertools
import os
import select
import struct
from collections.abc import Iterator

from ..ipc.descriptors import Descriptor

__all__ = ["ChunkReader", "ChunkWriter"]

# How long the part behind it is, of which message, and whether it is the last.
HEAD = struct.Struct("<HQ?")
# Bytes of a message in a chunk; POSIX writes up to PIPE_BUF whole.
ROOM = select.PIPE_BUF - HEAD.size


class ChunkWriter:
    """The writing end of a pipe, which blocks. Any thread may send, also one that breaks in on a `send`."""

    def __init__(self, end: Descriptor) -> None:
        self._end = end
        self._numbers = itertools.count()

    @property
    def closed(self) -> bool:
        """Whether this process has no hold on the pipe any more."""
        return self._end.closed

    def send(self, message: bytes) -> None:
        """Wait for room and write. Raises BrokenPipeError when nobody reads, and what a signal's handler raises."""
        number = next(self._numbers)
        for start in range(0, len(message), ROOM):
            part = message[start : start + ROOM]
            os.write(self._end.fileno(), HEAD.pack(len(part), number, start + ROOM >= len(message)) + part)


class ChunkReader:
    """Makes messages of what was read."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._begun: dict[int, bytearray] = {}

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The messages that these bytes complete."""
        self._bytes += data
        while len(self._bytes) >= HEAD.size:
            length, number, is_last = HEAD.unpack_from(self._bytes)
            end = HEAD.size + length
            if len(self._bytes) < end:
                return
            self._begun.setdefault(number, bytearray()).extend(self._bytes[HEAD.size : end])
            del self._bytes[:end]
            if is_last:
                yield bytes(self._begun.pop(number))

"""Messages of any length over a pipe that several threads write; no message is torn.

A message travels in chunks. The kernel writes each chunk whole or not at all, so a writer needs no lock, and may be
killed or interrupted anywhere. The reader never sees a message that its writer has not finished.
"""

from __future__ import annotations

import itertools
import os
import select
import struct
from collections.abc import Iterator

from ..ipc.descriptors import Descriptor

__all__ = ["ChunkReader", "ChunkWriter"]

# The head of a chunk: the length of its part, the number of its message, whether it is the last chunk of it.
HEAD = struct.Struct("<HQ?")
# The most bytes of a message in one chunk: POSIX guarantees that up to PIPE_BUF bytes are written whole.
ROOM = select.PIPE_BUF - HEAD.size


class ChunkWriter:
    """The writing end of a blocking pipe. Any thread may send, and so may a signal handler that interrupts `send`."""

    def __init__(self, end: Descriptor) -> None:
        self._end = end
        self._numbers = itertools.count()

    @property
    def closed(self) -> bool:
        """Whether this process has closed its end of the pipe."""
        return self._end.closed

    def close(self) -> None:
        """Close this process's end of the pipe."""
        self._end.close()

    def send(self, message: bytes) -> None:
        """Write a message; waits while the pipe is full. Raises BrokenPipeError when the reader has closed its end."""
        number = next(self._numbers)
        for start in range(0, len(message), ROOM):
            part = message[start : start + ROOM]
            os.write(self._end.fileno(), HEAD.pack(len(part), number, start + ROOM >= len(message)) + part)


class ChunkReader:
    """Puts messages together from the bytes that were read."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._begun: dict[int, bytearray] = {}

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the messages that these bytes complete."""
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

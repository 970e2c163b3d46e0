"""Messages over a stream of bytes: the language of the TCP links between hosts. It reads and writes no socket itself.

    header, 24 bytes                                    lengths           parts
    magic | kind | number of parts | first | second     a u64 for each    one after the other

For the agent of a host, which passes on frames that cross hosts, and for the switchboard, which pairs the hosts. A
frame is one message: its packet and the contents of its slabs are parts, and nobody unpickles them on the way.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Sequence
from enum import IntEnum
from itertools import islice
from typing import NamedTuple, TypeAlias

__all__ = [
    "MESSAGE_BYTES",
    "Allocate",
    "Kind",
    "LinkError",
    "LinkReader",
    "LinkWriter",
    "Message",
    "encode",
    "from_granted",
    "granted",
    "on_heap",
]

Buffer: TypeAlias = bytes | bytearray | memoryview

# Magic, kind, number of parts, two numbers. All versions keep this layout, so that an old version is recognised.
HEADER = struct.Struct("<4sHHQQ")
MAGIC = b"cpln"
# A frame has a packet and at most two slabs. More parts than buffers of one `sendmsg` (1,024 on Linux) would not do.
MOST_PARTS = 64
# Bytes. More than the memory of a host: a larger length is a damaged one.
MESSAGE_BYTES = 1 << 40
# Bytes that are received ahead. They hold 170 messages without parts, and any header with its lengths. Only so much of
# a large part is copied; the rest is received into its own memory.
AHEAD_BYTES = 4096
# Bytes. Smaller parts are copied behind the header, which costs less than one more buffer for the kernel.
JOINED_BYTES = 2048


# Makes a writable buffer for each part of a message, whose kind, numbers and sizes of parts it gets. It must not wait.
Allocate: TypeAlias = Callable[["Kind", int, int, Sequence[int]], Sequence[bytearray | memoryview]]


class LinkError(Exception):
    """The other side of a connection is refused. The text says what it has done; the caller adds its address."""


class Kind(IntEnum):
    """What a message is."""

    # Of the challenge: `transport.challenge`.
    CHALLENGE = 1
    PROOF = 2
    # The sender is alive: `transport.heartbeat`.
    HEARTBEAT = 3
    # A frame of a junction: its number, the number of parts in its contents, a head and the contents.
    FRAME = 4
    # All frames of a host to a junction have been sent: its number, and what the host says at the end.
    END = 5
    # The sender closes the link, and no message follows.
    GOODBYE = 6
    # Between an agent and the switchboard: `cluster.messages`.
    CONTROL = 7
    # Of each frame that crosses hosts, so without a part: a junction, and how many frames a host has or wants.
    HAS = 8
    WANTS = 9
    # A junction, and `granted` of the host that gets its oldest frames, and of how many.
    GRANT = 10


KINDS = {kind.value: kind for kind in Kind}


class Message(NamedTuple):
    """A message. parts: one-dimensional buffers of bytes. The receiver gets them as writable memoryviews.

    first, second: from 0 to 2**64 - 1. Their meaning depends on the kind.
    """

    kind: Kind
    first: int = 0
    second: int = 0
    parts: tuple[Buffer, ...] = ()


def granted(host: int, frames: int) -> int:
    """Two numbers below 2**32 as one: the host that gets frames, and how many."""
    return host << 32 | frames


def from_granted(number: int) -> tuple[int, int]:
    """The host and the number of frames.

    >>> from_granted(granted(3, 2))
    (3, 2)
    """
    return number >> 32, number & 0xFFFF_FFFF


def encode(message: Message) -> list[Buffer]:
    """The message as buffers for `sendmsg`. Large parts are not copied.

    >>> [len(buffer) for buffer in encode(Message(Kind.FRAME, parts=(b"packet", bytes(10_000))))]
    [46, 10000]
    """
    kind, first, second, parts = message
    if len(parts) > MOST_PARTS:
        raise ValueError(f"a message must have at most {MOST_PARTS} parts but got: {len(parts)}")
    lengths = struct.pack(f"<{len(parts)}Q", *map(len, parts))
    joined = HEADER.pack(MAGIC, kind, len(parts), first, second) + lengths
    buffers: list[Buffer] = []
    for part in parts:
        if len(part) < JOINED_BYTES:
            joined += part
        else:
            buffers += [joined, part] if joined else [part]
            joined = b""
    return [*buffers, joined] if joined else buffers


class LinkWriter:
    """Messages that wait to be sent. The owner sends from `buffers` and says how much was `sent`.

    nbytes: the bytes that wait. The owner stops writing where there are too many.
    """

    def __init__(self) -> None:
        self._waiting: deque[memoryview] = deque()
        self.nbytes = 0

    def write(self, message: Message) -> None:
        """Add a message. Its parts must not change until they are sent."""
        for buffer in encode(message):
            self._waiting.append(memoryview(buffer))
            self.nbytes += len(buffer)

    def buffers(self) -> list[memoryview]:
        """The next buffers for `sendmsg`. Empty if nothing waits."""
        return list(islice(self._waiting, MOST_PARTS))

    def sent(self, count: int) -> None:
        """So many bytes of the buffers were sent."""
        self.nbytes -= count
        while count:
            buffer = self._waiting.popleft()
            if count < len(buffer):
                self._waiting.appendleft(buffer[count:])
                return
            count -= len(buffer)


def on_heap(_kind: Kind, _first: int, _second: int, sizes: Sequence[int]) -> Sequence[bytearray]:
    """Memory of this process for the parts of a message."""
    return [bytearray(size) for size in sizes]


class LinkReader:
    """Messages from the bytes of a connection. It says into which memory to receive.

    >>> reader = LinkReader(limit=100)
    >>> data = encode(Message(Kind.HEARTBEAT, 7))[0]
    >>> reader.buffer()[: len(data)] = data  # or: count = socket.recv_into(reader.buffer())
    >>> reader.received(len(data))
    >>> reader.next()
    Message(kind=<Kind.HEARTBEAT: 3>, first=7, second=0, parts=())

    limit: bytes of the parts of one message. allocate: makes the memory for its parts; see `Allocate`. Both may be
    changed between two messages; no later message is looked at before `next` is called.
    """

    def __init__(self, limit: int, allocate: Allocate = on_heap) -> None:
        self.limit = limit
        self.allocate = allocate
        # Bytes that were received ahead: those from `_start` up to `_stop` belong to no message yet.
        self._ahead = memoryview(bytearray(AHEAD_BYTES))
        self._start = self._stop = 0
        # The message that is being received, and the memory of its parts that is not filled yet.
        self._message: Message | None = None
        self._missing: deque[memoryview] = deque()

    def buffer(self) -> memoryview:
        """Where to receive the next bytes; never empty. `next` has returned None before."""
        if self._missing:
            return self._missing[0]
        # What is left is shorter than a header with its lengths, so there is space behind it.
        left = self._stop - self._start
        assert left < AHEAD_BYTES
        self._ahead[:left] = self._ahead[self._start : self._stop]
        self._start, self._stop = 0, left
        return self._ahead[left:]

    def received(self, count: int) -> None:
        """So many bytes were received into `buffer`."""
        if self._missing:
            self._fill(count)
        else:
            self._stop += count

    def next(self) -> Message | None:
        """The next message, or None if it is not complete. Raises LinkError."""
        if self._message is None and not self._begin():
            return None
        while self._missing and self._start < self._stop:
            missing = self._missing[0]
            count = min(len(missing), self._stop - self._start)
            missing[:count] = self._ahead[self._start : self._start + count]
            self._start += count
            self._fill(count)
        if self._missing:
            return None
        message, self._message = self._message, None
        return message

    def end(self) -> None:
        """The other side has closed the connection. Raises LinkError if it has done so within a message."""
        if self._message is not None or self._start < self._stop:
            raise LinkError("closed the connection within a message")

    def _fill(self, count: int) -> None:
        missing = self._missing.popleft()
        if count < len(missing):
            self._missing.appendleft(missing[count:])

    def _begin(self) -> bool:
        """Read a header with its lengths, and allocate the parts. Returns whether it has arrived."""
        arrived = self._ahead[self._start : self._stop]
        # Whoever speaks another protocol may never send as much as a header.
        if arrived[: len(MAGIC)] != MAGIC[: len(arrived)]:
            raise LinkError(
                f"does not speak the protocol of chainpump: its message begins with {bytes(arrived[:16])!r}"
            )
        if len(arrived) < HEADER.size:
            return False
        _, kind, count, first, second = HEADER.unpack_from(arrived)
        if kind not in KINDS:
            raise LinkError(f"sent a message of an unknown kind, {kind}")
        if count > MOST_PARTS:
            raise LinkError(f"sent a message of {count} parts; at most {MOST_PARTS} are allowed")
        end = HEADER.size + count * 8
        if len(arrived) < end:
            return False
        sizes = struct.unpack_from(f"<{count}Q", arrived, HEADER.size)
        if sum(sizes) > self.limit:
            raise LinkError(f"sent {KINDS[kind].name} of {sum(sizes)} bytes; at most {self.limit} are allowed here")
        parts = tuple(memoryview(each) for each in self.allocate(KINDS[kind], first, second, sizes))
        self._start += end
        self._message = Message(KINDS[kind], first, second, parts)
        self._missing.extend(part for part in parts if part)
        return True

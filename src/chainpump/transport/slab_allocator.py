"""The producer's side of slabs: it alone allocates them, in a file of its own, and gives back pages that are idle.

A slab is one of three things:

    [free range of the file] --take--> [lent to a consumer] --comes back--> [idle, with its pages] --lend again-->
              ^                                                                      |
              +---- its pages go back to the system: idle for a window, or at the end

The first item in a slab is written by a system call: that makes its pages faster than touching them does, and where
there is no room for them, an error says so, and no signal. Those that follow are copied into the mapping.
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from typing import Protocol

from ..errors import Cancelled
from ..ipc.descriptors import Descriptor
from ..ipc.memory import Maps, aligned, punch, write
from ..ipc.wait_times import UNTOLD
from ..lazy_dataclass import dataclass
from ..pickling.items import Large
from .flow import arena_cap, consumer_share, slab_size
from .flusher import Flusher
from .frames import PLACE
from .free_ranges import Space
from .wire import WireOut

__all__ = ["RETURN", "Arena", "SlabAllocator", "SlabFile", "SlabSource"]

# A slab on its way back: its offset, a multiple of its size, and the logarithm of that.
RETURN = struct.Struct("<Q")
EXPONENT = 63
# A slab that was not needed for so long is idle: short for users, long for the page faults.
WINDOW_NS = 3_000_000_000
# Between two looks for a slab to come back, while nothing is sent.
MOST_WINDOWS = 64
# What a return pipe holds at least, where the system does not say.
PIPE_BYTES = 4096
# Of a return pipe, at once.
READ_BYTES = 65_536


class SlabAllocator(Protocol):
    """What a producer asks for slabs."""

    def place(self, item: Large, waits: AbstractContextManager[None] = UNTOLD) -> bytes:
        """Copy an item into a slab; returns what a consumer needs to find it there. Raises Cancelled, and OSError."""
        ...

    def look(self) -> None:
        """Something else is sent: give up what has been idle for long."""
        ...

    def close(self) -> None:
        """Give up all that is not in use."""
        ...


class SlabSource(Protocol):
    """Where a producer gets slabs from; it travels to the worker, which opens it with the first large item."""

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """The descriptors that a forked worker keeps open."""
        ...

    def allocator(self, wire: WireOut) -> SlabAllocator:
        """What allocates them. wire: reports when the channel is hung up."""
        ...


@dataclass(frozen=True, slots=True)
class SlabFile:
    """A file of the producer's own, for its slabs. returns: the pipe on which consumers give them back."""

    file: Descriptor
    returns: Descriptor
    consumers: int

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """The descriptors that a forked worker keeps open."""
        return self.file, self.returns

    def allocator(self, wire: WireOut) -> SlabAllocator:
        """An arena in this file."""
        return Arena(self.file, self.returns, self.consumers, wire)


class Arena:
    """A producer's slabs: reused last in first out, so that those that are not needed lie still; capped in bytes.

    There are never more of them than the return pipe has room for: so no consumer ever finds it full.

    While nothing is sent, a thread looks for what is idle, until nothing is. `_using` guards all that it may change.
    It never waits for that, and whoever sends waits only while it looks.

    wire: reports when the channel is hung up, so that no wait here outlives it.
    """

    def __init__(self, file: Descriptor, returns: Descriptor, consumers: int, wire: WireOut) -> None:
        self._file = file
        self._maps = Maps(file)
        self._returns = returns
        self._consumers = consumers
        # What a predecessor had lent comes back to who has its place now, and is not to be overwritten before.
        self._length = os.fstat(file.fileno()).st_size
        self._space = Space(self._length)
        self._most = _room(returns) // RETURN.size
        # Offset -> size, of all slabs that are lent or idle.
        self._sizes: dict[int, int] = {}
        # The sum of these.
        self._bytes = 0
        # Offset -> bytes of it that have pages, so far as this producer knows.
        self._filled: dict[int, int] = {}
        # Offset -> the largest slab when it was lent. Consumers may hold their shares of a cap that rests on it: with a
        # lower cap, nothing might be left to move.
        self._lent: dict[int, int] = {}
        # Size -> offsets.
        self._idle: defaultdict[int, list[int]] = defaultdict(list)
        # Size -> how many of them were idle all the time since the window began.
        self._least: dict[int, int] = {}
        # That counts for the cap; in this window.
        self._largest = self._largest_now = 0
        self._window_ends = 0
        self._using = threading.Lock()
        # Windows until that thread looks again.
        self._rests = 1
        self._resting = Flusher(self.rest, name="chainpump slabs")
        self._poll = select.poll()
        self._poll.register(returns.fileno(), select.POLLIN)
        wire.watch(self._poll)

    def place(self, item: Large, waits: AbstractContextManager[None] = UNTOLD) -> bytes:
        """Copy an item into a slab; returns what a consumer needs to find it there. Raises Cancelled, and OSError."""
        lengths = [len(item.data), *(buffer.nbytes for buffer in item.buffers)]
        needed = sum(map(aligned, lengths))
        size = slab_size(needed)
        with self._using:
            self._rests = 1
            offset = self._filled_slab(size, needed, [item.data, *item.buffers], waits)
        # No room for the thread: then idle pages go back as something is sent, or at the end.
        with suppress(OSError):
            self._resting.arm()
        share = consumer_share(self._largest, self._consumers)
        buffers = struct.pack(f"<{len(item.buffers)}Q", *lengths[1:])
        most = (self._most - 2) // self._consumers
        return PLACE.pack(offset, size, lengths[0], share, most, len(item.buffers)) + buffers

    def _filled_slab(
        self, size: int, needed: int, parts: Sequence[bytes | memoryview], waits: AbstractContextManager[None]
    ) -> int:
        while True:
            offset = self._allocate(size, waits)
            try:
                self._fill(offset, size, needed, parts)
            except OSError:
                # There is no room: there may be some if others are given up.
                self._idle[size].append(offset)
                if self._give_up_all() == 1:
                    raise
            else:
                self._lent[offset] = self._largest
                return offset

    def _fill(self, offset: int, size: int, needed: int, parts: Sequence[bytes | memoryview]) -> None:
        slab = self._mapped(offset, size) if self._filled.get(offset, 0) >= needed else None
        if slab is None:
            if self._length < offset + size:
                os.ftruncate(self._file.fileno(), offset + size)
                self._length = offset + size
            self._filled[offset] = self._filled.get(offset, 0)
            write(self._file, offset, parts)
            self._filled[offset] = max(needed, self._filled[offset])
            return
        with slab:
            position = 0
            for part in parts:
                slab[position : position + len(part)] = part
                position += aligned(len(part))

    def _mapped(self, offset: int, size: int) -> memoryview | None:
        """None if the system refuses it, for want of a descriptor or of addresses: writing needs neither."""
        try:
            return memoryview(self._maps.get(offset, size))
        except OSError:
            return None

    def _allocate(self, size: int, waits: AbstractContextManager[None]) -> int:
        self._largest_now = max(self._largest_now, size)
        self._largest = max(self._largest, size)
        self._look()
        self._collect()
        idle = self._idle[size]
        while not idle:
            is_room = self._bytes + size <= arena_cap(self._largest, self._consumers)
            if is_room and len(self._sizes) < self._most:
                offset = self._space.take(size)
                self._sizes[offset] = size
                self._bytes += size
                return offset
            if not self._evict():
                with waits:
                    self._wait()
        offset = idle.pop()
        if len(idle) < self._least.get(size, 0):
            self._least[size] = len(idle)
        return offset

    def look(self) -> None:
        """Once in a while: give up what was idle all the time since then, and let the cap fall to what is in use.

        To be called by who sends something else, and may never need a slab again.
        """
        if time.monotonic_ns() >= self._window_ends:
            with self._using:
                self._look()

    def rest(self) -> int:
        """For the thread beside: the same while nothing is sent; returns ns until it is to look again, or 0."""
        if not self._using.acquire(blocking=False):
            return WINDOW_NS
        try:
            self._look()
            self._rests = 1 if any(self._idle.values()) else min(2 * self._rests, MOST_WINDOWS)
            left = max(0, self._window_ends - time.monotonic_ns())
            return left + (self._rests - 1) * WINDOW_NS + 1 if self._sizes else 0
        finally:
            self._using.release()

    def _look(self) -> None:
        now = time.monotonic_ns()
        if now < self._window_ends:
            return
        self._window_ends = now + WINDOW_NS
        self._collect()
        for size, idle in self._idle.items():
            self._give_up(size, max(0, len(idle) - self._least.get(size, 0)))
            self._least[size] = len(idle)
        self._largest = max(self._largest_now, max(self._lent.values(), default=0))
        self._largest_now = 0

    def _evict(self) -> bool:
        """Give up one idle slab; False if all of them are in flight or held."""
        for size, idle in self._idle.items():
            if idle:
                self._give_up(size, len(idle) - 1)
                return True
        return False

    def _give_up(self, size: int, kept: int) -> None:
        """Give the pages of idle slabs of this size back to the system, but for those used last."""
        idle = self._idle[size]
        for offset in idle[: len(idle) - kept]:
            self._maps.drop(offset)
            if self._filled.pop(offset, None) is not None:
                punch(self._file, offset, size)
            del self._sizes[offset]
            self._bytes -= size
            self._space.give(offset, size)
        del idle[: len(idle) - kept]

    def _give_up_all(self) -> int:
        """Give up all that are idle; returns how many there were."""
        found = 0
        for size, idle in self._idle.items():
            found += len(idle)
            self._give_up(size, 0)
        return found

    def _wait(self) -> None:
        """Wait until a slab comes back, or for the end of the channel."""
        if any(fd != self._returns.fileno() or events & select.POLLHUP for fd, events in self._poll.poll()):
            raise Cancelled("the channel was closed")
        self._collect()

    def _collect(self) -> None:
        try:
            returned = os.read(self._returns.fileno(), READ_BYTES)
        except BlockingIOError:
            return
        for (word,) in RETURN.iter_unpack(returned):
            offset, size = word & ~EXPONENT, 1 << (word & EXPONENT)
            self._lent.pop(offset, None)
            # A predecessor had lent it.
            if offset not in self._sizes:
                self._sizes[offset] = size
                self._bytes += size
                self._filled[offset] = 0
            self._idle[size].append(offset)

    def close(self) -> None:
        """Give up all that has come back; the rest is given up by who holds it, or as the run ends."""
        self._resting.stop()
        self._collect()
        self._give_up_all()


def _room(returns: Descriptor) -> int:
    """How many bytes the pipe holds, and one read takes: the kernel merges short writes, and reads empty it."""
    if not hasattr(fcntl, "F_GETPIPE_SZ"):
        return PIPE_BYTES
    return min(READ_BYTES, fcntl.fcntl(returns.fileno(), fcntl.F_GETPIPE_SZ))

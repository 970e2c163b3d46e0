"""The producer's side of slabs. It allocates them in a file of its own, and returns idle pages to the system.

A slab is in one of three states:

    [free range of the file] --take--> [lent to a consumer] --comes back--> [idle, with its pages] --lend again-->
              ^                                                                      |
              +---- its pages go back to the system: idle for a window, or at the end

The first item in a slab is written by a system call. This makes the pages faster than page faults do. If there is no
room for them, the call raises an error, and the process gets no signal. Later items are copied into the mapping.

A slab may be reserved, and filled by whoever receives an item from another machine. It counts as lent from then on.
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
from functools import partial

from ..errors import Cancelled
from ..ipc.descriptors import Descriptor
from ..ipc.memory import Maps, aligned, punch, write
from ..ipc.wait_times import UNCOUNTED
from ..lazy_dataclass import dataclass
from ..pickling.items import Large
from .flow import arena_cap, consumer_share, slab_size
from .flusher import Flusher
from .frames import SLAB_LOCATION
from .free_ranges import Space
from .slab_source import Reserved, SlabAllocator
from .wire import WireOut

__all__ = ["RETURN", "Arena", "SlabFile"]

# A returned slab as one number: its offset, a multiple of its size, plus the logarithm of its size.
RETURN = struct.Struct("<Q")
EXPONENT = 63
# A slab that is not needed for this long is idle. The time is short for users and long compared with page faults.
WINDOW_NS = 3_000_000_000
# The largest number of windows between two checks for returned slabs while no frame is sent.
MOST_WINDOWS = 64
# The smallest capacity of a return pipe. It is used if the system does not report the real one.
PIPE_BYTES = 4096
# Bytes to read from a return pipe in one call.
READ_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class SlabFile:
    """A file for the slabs of one producer. returns: the pipe on which consumers return slabs.

    in_flight: how many items may be on their way to the consumers; 0 without a limit. returning: the other end of the
    pipe, for slabs that the producer has reserved. Without it none can be reserved.
    """

    file: Descriptor
    returns: Descriptor
    consumers: int
    in_flight: int = 0
    returning: Descriptor | None = None

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """The descriptors that a forked worker keeps open."""
        return (self.file, self.returns) if self.returning is None else (self.file, self.returns, self.returning)

    def allocator(self, wire: WireOut) -> SlabAllocator:
        """Make an arena in this file."""
        return Arena(self.file, self.returns, self.consumers, wire, self.in_flight, self.returning)


class Arena:
    """The slabs of one producer. The slab that was used last is reused first, so that unneeded slabs stay idle. Their
    bytes are limited.

    There are never more slabs than the return pipe has room for, so a consumer never finds the pipe full.

    While no frame is sent, a thread checks for idle slabs until there are none. `_lock` guards all state that the
    thread may change. The thread never waits for the lock, and a sender waits for it only during a check.

    wire: reports a hang-up of the channel, so that no wait here lasts longer than the channel.
    in_flight, returning: as in `SlabFile`.
    """

    def __init__(
        self,
        file: Descriptor,
        returns: Descriptor,
        consumers: int,
        wire: WireOut,
        in_flight: int = 0,
        returning: Descriptor | None = None,
    ) -> None:
        self._file = file
        self._returning = returning
        # A slab is reserved, and not sent yet. There is never a second one: consumers leave two slabs to the producer,
        # so a sender that waits for a slab while the reserved one waits for its turn gets the other one.
        self._has_reserved = False
        self._maps = Maps(file)
        self._returns = returns
        self._consumers, self._in_flight = consumers, in_flight
        # Consumers still use slabs of a predecessor, and return them to this worker. Do not overwrite them before.
        self._length = os.fstat(file.fileno()).st_size
        self._space = Space(self._length)
        self._max_slabs = _pipe_capacity(returns) // RETURN.size
        # Maps the offset of each slab, lent or idle, to its size.
        self._sizes: dict[int, int] = {}
        # The sum of these sizes.
        self._bytes = 0
        # Maps an offset to the bytes of the slab that have pages, as far as this producer knows.
        self._filled_bytes: dict[int, int] = {}
        # Maps the offset of a lent slab to the size of the largest slab at the time of lending. Consumers may keep
        # their shares of a limit that was computed from that size. With a lower limit, no slab might be left for new
        # items.
        self._lent: dict[int, int] = {}
        # Maps a size to the offsets of idle slabs.
        self._idle: defaultdict[int, list[int]] = defaultdict(list)
        # Maps a size to the number of slabs that have been idle since the window began.
        self._least_idle: dict[int, int] = {}
        # The largest size that counts for the limit, and the largest one in this window.
        self._largest = self._largest_in_window = 0
        self._window_ends = 0
        self._lock = threading.Lock()
        # The number of windows until the thread checks again.
        self._windows_until_check = 1
        self._idle_checker = Flusher(self.check_idle, name="chainpump slabs")
        self._poll = select.poll()
        self._poll.register(returns.fileno(), select.POLLIN)
        wire.watch(self._poll)

    def put(self, item: Large, waits: AbstractContextManager[None] = UNCOUNTED) -> bytes:
        """Copy an item to a slab and return its location for a consumer. Raises Cancelled, and OSError."""
        lengths = [len(item.data), *(buffer.nbytes for buffer in item.buffers)]
        needed = sum(map(aligned, lengths))
        size = slab_size(needed)
        with self._lock:
            self._windows_until_check = 1
            offset = self._put(size, needed, [item.data, *item.buffers], waits)
        # The system may refuse the thread. Then idle pages are freed when the next frame is sent, or at the end.
        with suppress(OSError):
            self._idle_checker.arm()
        return self._location(offset, size, lengths)

    def _location(self, offset: int, size: int, lengths: Sequence[int]) -> bytes:
        share = consumer_share(self._largest, self._consumers, self._in_flight)
        most = (self._max_slabs - 2) // self._consumers
        data, *buffers = lengths
        head = SLAB_LOCATION.pack(offset, size, data, share, most, len(buffers))
        return head + struct.pack(f"<{len(buffers)}Q", *buffers)

    def reserve(self, nbytes: int) -> Reserved | None:
        """Reserve a slab for so many bytes. None if there is no room now, or another one is reserved. Never waits."""
        # A sender that waits for a slab keeps the lock: it comes first.
        if self._returning is None or not self._lock.acquire(blocking=False):
            return None
        try:
            size = slab_size(nbytes)
            self._windows_until_check = 1
            if self._has_reserved or (offset := self._find(size)) is None:
                return None
            slab = self._with_pages(offset, size, nbytes)
            if slab is None:
                self._idle[size].append(offset)
                return None
            self._lent[offset] = self._largest
            self._has_reserved = True
        finally:
            self._lock.release()
        with suppress(OSError):
            self._idle_checker.arm()
        return Reserved(
            slab[:nbytes], partial(self._location, offset, size), partial(self._end_reservation, offset, size)
        )

    def _with_pages(self, offset: int, size: int, needed: int) -> memoryview | None:
        """Map a slab whose pages exist, so that no write to it can fail. None if there is no room for them."""
        if self._filled_bytes.get(offset, 0) < needed:
            try:
                self._lengthen(offset + size)
                os.posix_fallocate(self._file.fileno(), offset, needed)
            except OSError:
                return None
            self._filled_bytes[offset] = needed
        return self._mapped(offset, size)

    def _lengthen(self, length: int) -> None:
        if self._length < length:
            os.ftruncate(self._file.fileno(), length)
            self._length = length

    def _end_reservation(self, offset: int, size: int, is_sent: bool) -> None:
        self._has_reserved = False
        if not is_sent and self._returning is not None and not self._returning.closed:
            os.write(self._returning.fileno(), _returned(offset, size))

    def _put(
        self, size: int, needed: int, parts: Sequence[bytes | memoryview], waits: AbstractContextManager[None]
    ) -> int:
        while True:
            offset = self._allocate(size, waits)
            try:
                self._fill(offset, size, needed, parts)
            except OSError:
                # There is no room for the pages. Freeing other slabs may make room.
                self._idle[size].append(offset)
                if self._free_all() == 1:
                    raise
            else:
                self._lent[offset] = self._largest
                return offset

    def _fill(self, offset: int, size: int, needed: int, parts: Sequence[bytes | memoryview]) -> None:
        slab = self._mapped(offset, size) if self._filled_bytes.get(offset, 0) >= needed else None
        if slab is None:
            self._lengthen(offset + size)
            self._filled_bytes[offset] = self._filled_bytes.get(offset, 0)
            write(self._file, offset, parts)
            self._filled_bytes[offset] = max(needed, self._filled_bytes[offset])
            return
        with slab:
            position = 0
            for part in parts:
                slab[position : position + len(part)] = part
                position += aligned(len(part))

    def _mapped(self, offset: int, size: int) -> memoryview | None:
        """Map a slab. None if the system refuses it for lack of descriptors or addresses: writing needs neither."""
        try:
            return memoryview(self._maps.get(offset, size))
        except OSError:
            return None

    def _allocate(self, size: int, waits: AbstractContextManager[None]) -> int:
        while (offset := self._find(size)) is None:
            with waits:
                self._wait()
        return offset

    def _find(self, size: int) -> int | None:
        """A slab of this size that is lent now. None if all slabs are in flight or in use."""
        self._largest_in_window = max(self._largest_in_window, size)
        self._largest = max(self._largest, size)
        self._free_idle()
        self._collect()
        idle = self._idle[size]
        while not idle:
            is_room = self._bytes + size <= arena_cap(self._largest, self._consumers, self._in_flight)
            if is_room and len(self._sizes) < self._max_slabs:
                offset = self._space.take(size)
                self._sizes[offset] = size
                self._bytes += size
                return offset
            if not self._evict():
                return None
        offset = idle.pop()
        if len(idle) < self._least_idle.get(size, 0):
            self._least_idle[size] = len(idle)
        return offset

    def free_idle(self) -> None:
        """From time to time, free slabs that were idle for a whole window, and lower the limit to the size in use.

        Callers that send a frame without a slab call it, because they may never need a slab again.
        """
        if time.monotonic_ns() >= self._window_ends:
            with self._lock:
                self._free_idle()

    def check_idle(self) -> int:
        """The same for the thread while no frame is sent. Returns the ns until the next check, or 0 without slabs."""
        if not self._lock.acquire(blocking=False):
            return WINDOW_NS
        try:
            self._free_idle()
            self._windows_until_check = (
                1 if any(self._idle.values()) else min(2 * self._windows_until_check, MOST_WINDOWS)
            )
            left = max(0, self._window_ends - time.monotonic_ns())
            return left + (self._windows_until_check - 1) * WINDOW_NS + 1 if self._sizes else 0
        finally:
            self._lock.release()

    def _free_idle(self) -> None:
        now = time.monotonic_ns()
        if now < self._window_ends:
            return
        self._window_ends = now + WINDOW_NS
        self._collect()
        for size, idle in self._idle.items():
            self._free(size, max(0, len(idle) - self._least_idle.get(size, 0)))
            self._least_idle[size] = len(idle)
        self._largest = max(self._largest_in_window, max(self._lent.values(), default=0))
        self._largest_in_window = 0

    def _evict(self) -> bool:
        """Free one idle slab. False if all slabs are in flight or in use."""
        for size, idle in self._idle.items():
            if idle:
                self._free(size, len(idle) - 1)
                return True
        return False

    def _free(self, size: int, kept: int) -> None:
        """Return the pages of idle slabs of this size to the system. Keep this many slabs that were used last."""
        idle = self._idle[size]
        for offset in idle[: len(idle) - kept]:
            self._maps.drop(offset)
            if self._filled_bytes.pop(offset, None) is not None:
                punch(self._file, offset, size)
            del self._sizes[offset]
            self._bytes -= size
            self._space.give(offset, size)
        del idle[: len(idle) - kept]

    def _free_all(self) -> int:
        """Free all idle slabs and return their number."""
        found = 0
        for size, idle in self._idle.items():
            found += len(idle)
            self._free(size, 0)
        return found

    def _wait(self) -> None:
        """Wait until a slab is returned. Raises Cancelled at the end of the channel."""
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
            # A predecessor lent this slab.
            if offset not in self._sizes:
                self._sizes[offset] = size
                self._bytes += size
                self._filled_bytes[offset] = 0
            self._idle[size].append(offset)

    def close(self) -> None:
        """Free all slabs that have been returned. Their consumers free the other ones, or the end of the run does."""
        self._idle_checker.stop()
        self._collect()
        self._free_all()


def _returned(offset: int, size: int) -> bytes:
    """A slab, as it is returned."""
    return RETURN.pack(offset | size.bit_length() - 1)


def _pipe_capacity(returns: Descriptor) -> int:
    """The bytes that the pipe holds and one read returns. The kernel merges short writes; a read empties the pipe."""
    if not hasattr(fcntl, "F_GETPIPE_SZ"):
        return PIPE_BYTES
    return min(READ_BYTES, fcntl.fcntl(returns.fileno(), fcntl.F_GETPIPE_SZ))

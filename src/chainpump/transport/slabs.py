"""Slabs: shared memory for what is too large for a packet, with writable zero-copy views for the consumer.

     producer (owner)                      consumer
     place() -- allocates, copies -->  [slab in a shared file]  --> views of it; the last view dies
        ^                                                                |
        +---------- 8-byte offsets on the producer's return pipe --------+

Only the owner allocates and only consumers give back, in writes of 8 bytes, which the kernel keeps whole. So no
lock is needed, and a killed consumer leaks at most the slabs that it held.
"""

from __future__ import annotations

import mmap
import os
import select
import struct
import weakref
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

from ..errors import Cancelled
from .codec import Large
from .descriptors import Descriptor
from .flow import arena_cap, consumer_share, slab_size
from .frames import PLACE
from .waits import UNTOLD
from .wire import WireOut

__all__ = ["Arena", "Slabs"]

REGION = 1 << 52  # bytes of address in the sparse file per producer
GENERATION = 1 << 40  # bytes of it for each in a line of successors: never used up, since pages go back
ALIGN = 64  # bytes; the alignment that numpy asks of its own allocations
MAX_MAPS = 256  # mappings that one side keeps open for reuse
OFFSET = struct.Struct("<Q")  # of a slab, which is a multiple of its size, with the binary logarithm of that
EXPONENT = 63


def _aligned(size: int) -> int:
    return -(-size // ALIGN) * ALIGN


class _Maps:
    """The mappings of slabs in use, the least recently used dropped first; views keep theirs alive."""

    def __init__(self, file: Descriptor) -> None:
        self._file = file
        self._maps: OrderedDict[int, mmap.mmap] = OrderedDict()

    def get(self, offset: int, size: int) -> mmap.mmap:
        found = self._maps.get(offset)
        if found is None:
            found = self._maps[offset] = mmap.mmap(self._file.fileno(), size, offset=offset)
            if len(self._maps) > MAX_MAPS:
                self._maps.popitem(last=False)
        self._maps.move_to_end(offset)
        return found

    def drop(self, offset: int, size: int) -> None:
        """Give the pages of a slab back to the system, where it can take them back one by one."""
        slab = self.get(offset, size)
        if hasattr(mmap, "MADV_REMOVE"):
            slab.madvise(mmap.MADV_REMOVE)
        del self._maps[offset]


class Arena:
    """A producer's slabs: allocated by it alone, reused last in first out, capped in bytes.

    wire: reports when the channel is hung up, so that no wait here outlives it.
    generation: how many workers had this place before; what they had lent comes back to who has it now.
    """

    def __init__(
        self, file: Descriptor, returns: Descriptor, producer: int, consumers: int, wire: WireOut, generation: int
    ) -> None:
        self._maps = _Maps(file)
        self._returns = returns
        self._consumers = consumers
        self._top = producer * REGION + generation % (REGION // GENERATION) * GENERATION
        self._free: defaultdict[int, list[int]] = defaultdict(list)  # slab size -> offsets
        self._gone: defaultdict[int, list[int]] = defaultdict(list)  # the same, of slabs whose pages were given back
        self._sizes: dict[int, int] = {}  # offset -> slab size, of all slabs that have pages
        self._largest = 0
        self._poll = select.poll()
        self._poll.register(returns.fileno(), select.POLLIN)
        wire.watch(self._poll)

    def place(self, item: Large, waits: AbstractContextManager[None] = UNTOLD) -> bytes:
        """Copy an item into a slab; returns what a consumer needs to find it there. Raises Cancelled."""
        lengths = [len(item.data), *(buffer.nbytes for buffer in item.buffers)]
        size = slab_size(sum(map(_aligned, lengths)))
        offset = self._allocate(size, waits)
        with memoryview(self._maps.get(offset, size)) as slab:
            position = 0
            parts: list[bytes | memoryview] = [item.data, *item.buffers]
            for part, length in zip(parts, lengths, strict=True):
                slab[position : position + length] = part
                position += _aligned(length)
        share = consumer_share(self._largest, self._consumers)
        buffers = struct.pack(f"<{len(item.buffers)}Q", *lengths[1:])
        return PLACE.pack(offset, size, lengths[0], share, len(item.buffers)) + buffers

    def _allocate(self, size: int, waits: AbstractContextManager[None]) -> int:
        self._largest = max(self._largest, size)
        self._collect()
        while not self._free[size]:
            if sum(self._sizes.values()) + size <= arena_cap(self._largest, self._consumers):
                offset = self._gone[size].pop() if self._gone[size] else self._new(size)
                self._sizes[offset] = size
                return offset
            if not self._evict():
                with waits:
                    self._wait()
        return self._free[size].pop()

    def _new(self, size: int) -> int:
        self._top += size
        return self._top - size

    def _evict(self) -> bool:
        """Free the pages of one idle slab of another size; False if all of them are in flight or held."""
        for size, offsets in self._free.items():
            if offsets:
                offset = offsets.pop()
                del self._sizes[offset]
                self._maps.drop(offset, size)
                self._gone[size].append(offset)
                return True
        return False

    def _wait(self) -> None:
        """Wait until a slab comes back, or for the end of the channel."""
        if any(fd != self._returns.fileno() or events & select.POLLHUP for fd, events in self._poll.poll()):
            raise Cancelled("the channel was closed")
        self._collect()

    def _collect(self) -> None:
        try:
            returned = os.read(self._returns.fileno(), 65_536)
        except BlockingIOError:
            return
        for (word,) in OFFSET.iter_unpack(returned):
            offset, size = word & ~EXPONENT, 1 << (word & EXPONENT)
            self._sizes[offset] = size
            self._free[size].append(offset)


class Slabs:
    """A consumer's side of all its producers' slabs."""

    def __init__(self, file: Descriptor, returns: Sequence[Descriptor]) -> None:
        self._maps = _Maps(file)
        self._returns = returns
        # Producer -> offset -> bytes held by living views. Finalizers run in any thread: `pop` is atomic.
        self._held: list[dict[int, int]] = [{} for _ in returns]

    def load(self, producer: int, place: memoryview, loads: Callable[..., Any], keep: bool = False) -> Any:
        """Rebuild what a producer placed, as `loads(data, buffers=views)`.

        The views share the slab, which goes back when the last of them dies. A consumer that holds more than its
        share gets copies instead: whatever it keeps, its producer has slabs to go on with.
        keep: give copies, and leave the slab as it is until `give_back`.
        """
        offset, size, data_length, share, count = PLACE.unpack_from(place)
        lengths = struct.unpack_from(f"<{count}Q", place, PLACE.size)
        slab = self._maps.get(offset, size)
        held = self._held[producer]
        if count and not keep and sum(list(held.values())) + size <= share:
            import ctypes  # only a process that receives large buffers pays for it

            # numpy and others keep only the exporter of a buffer alive, not a memoryview of it: so the exporter
            # must be an object of its own per delivery, which a ctypes array is.
            exporter = (ctypes.c_char * size).from_buffer(slab)
            held[offset] = size
            weakref.finalize(exporter, self._release, producer, offset, size).atexit = False
            data, *buffers = _parts(memoryview(exporter).cast("B"), (data_length, *lengths))
            return loads(data, buffers=buffers)
        try:
            with memoryview(slab) as view:
                data, *parts = _parts(view, (data_length, *lengths))
                return loads(data, buffers=[bytearray(part) for part in parts])
        finally:
            if not keep:
                self._give_back(producer, offset, size)

    def give_back(self, producer: int, place: memoryview) -> None:
        """What was kept is no longer needed."""
        offset, size, *_ = PLACE.unpack_from(place)
        self._give_back(producer, offset, size)

    def _release(self, producer: int, offset: int, size: int) -> None:
        self._held[producer].pop(offset, None)
        self._give_back(producer, offset, size)

    def _give_back(self, producer: int, offset: int, size: int) -> None:
        pipe = self._returns[producer]
        if pipe.closed:  # the run is over; the views outlive it
            return
        try:
            os.write(pipe.fileno(), OFFSET.pack(offset | size.bit_length() - 1))
        except BrokenPipeError:
            pass  # the producer has ended, and its slabs with it


def _parts(slab: memoryview, lengths: Iterable[int]) -> Iterator[memoryview]:
    position = 0
    for length in lengths:
        yield slab[position : position + length]
        position += _aligned(length)

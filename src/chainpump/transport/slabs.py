"""Slabs: shared memory for what is too large for a packet, with writable zero-copy views for the consumer.

     producer (owner)                      consumer
     place() -- allocates, copies -->  [slab in a shared file]  --> views of it; the last view dies
        ^                                                                |
        +---------- 8-byte offsets on the producer's return pipe --------+

Only the owner allocates (`arena`) and only consumers give back, in writes of 8 bytes, which the kernel keeps whole. So
no lock is needed, and a killed consumer leaks at most the slabs that it held, until the run ends. What goes back to
nobody, since its producer has ended, or the run, goes back to the system: so views keep no memory but their own slabs.
"""

from __future__ import annotations

import mmap
import os
import struct
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from ..errors import Cancelled
from ..ipc.descriptors import Descriptor
from ..ipc.memory import Maps, aligned, punch, release
from .frames import PLACE
from .slab_allocator import RETURN

__all__ = ["Slabs", "punch_all_but"]


class _Forks:
    """How many processes have been forked off this one: each has copies of the views that were there then."""

    def __init__(self) -> None:
        self.number = 0

    def add(self) -> None:
        """One more is about to be."""
        self.number += 1


# Global, as the memory that a fork copies is.
_FORKS = _Forks()
os.register_at_fork(before=_FORKS.add)


class Slabs:
    """A consumer's side of all its producers' slabs: of each a file, and a pipe on which they go back.

    Finalizers of views run in any thread, between any two lines.
    """

    def __init__(self, files: Sequence[Descriptor], returns: Sequence[Descriptor]) -> None:
        self._maps = [Maps(file) for file in files]
        self._returns = returns
        # Producer -> offset -> size, while it is in use here.
        self._held: list[dict[int, int]] = [{} for _ in returns]
        self._is_over = False
        self.open()

    def open(self) -> None:
        """Belong to this process. A fork of it has copies of the views, which are not its own to give back."""
        self._process = os.getpid()

    def load(self, producer: int, place: memoryview, loads: Callable[..., Any], keep: bool = False) -> Any:
        """Rebuild what a producer placed, as `loads(data, buffers=views)`. Raises Cancelled once the run is over.

        The views share the slab, which goes back when the last of them dies. A consumer that holds more than its
        share gets copies instead: whatever it keeps, its producer has slabs to go on with.
        keep: give copies, and leave the slab as it is until `give_back`.
        """
        offset, size, data_length, share, most, count = PLACE.unpack_from(place)
        lengths = (data_length, *struct.unpack_from(f"<{count}Q", place, PLACE.size))
        slab = self._maps[producer].get(offset, size)
        held = self._held[producer]
        is_shared = count and not keep and len(held) < most and sum(list(held.values())) + size <= share
        held[offset] = size
        # Looked at after that: `end` leaves alone what it finds there.
        if self._is_over:
            raise Cancelled("the run is over")
        if is_shared:
            # Only a process that receives large buffers pays for it.
            import ctypes

            # numpy and others keep only the exporter of a buffer alive, not a memoryview of it: so the exporter
            # must be an object of its own per delivery, which a ctypes array is.
            exporter = (ctypes.c_char * size).from_buffer(slab)
            gone = weakref.finalize(exporter, self._release, producer, offset, size, slab, _FORKS.number)
            gone.atexit = False
            data, *buffers = _parts(memoryview(exporter).cast("B"), lengths)
            return loads(data, buffers=buffers)
        try:
            with memoryview(slab) as view:
                data, *parts = _parts(view, lengths)
                return loads(data, buffers=[bytearray(part) for part in parts])
        finally:
            if keep:
                del held[offset]
            else:
                self._release(producer, offset, size, slab, _FORKS.number)

    def give_back(self, producer: int, place: memoryview) -> None:
        """What was kept is no longer needed."""
        offset, size, *_ = PLACE.unpack_from(place)
        self._release(producer, offset, size, self._maps[producer].get(offset, size), _FORKS.number)

    def _release(self, producer: int, offset: int, size: int, slab: mmap.mmap, forks: int) -> None:
        """A slab is no longer in use here. forks: how many there had been when it arrived."""
        if os.getpid() != self._process:
            return
        self._held[producer].pop(offset, None)
        pipe = self._returns[producer]
        if not (self._is_over or pipe.closed):
            try:
                os.write(pipe.fileno(), RETURN.pack(offset | size.bit_length() - 1))
            except (BrokenPipeError, BlockingIOError):
                # The producer has ended, and no other comes in its place; or the pipe is full with what more producers
                # had lent than it was made for, one after the other. Nobody uses the slab again.
                pass
            else:
                return
        elif not self._is_over:
            # Other consumers go on, and the producer: it is given up as the run ends.
            return
        # Else a fork may have a view of it, whose items would turn to zeros.
        if forks == _FORKS.number:
            with suppress(OSError):
                release(slab)

    def close(self) -> None:
        """Nothing more is received: forget the mappings; views keep theirs."""
        for maps in self._maps:
            maps.clear()

    def end(self) -> list[list[tuple[int, int]]]:
        """The run is over: of each producer the slabs that are in use here. What goes back from now on is given up."""
        # First, since it may go back meanwhile.
        self._is_over = True
        return [list(held.items()) for held in self._held]


def punch_all_but(file: Descriptor, used: Iterable[tuple[int, int]]) -> None:
    """Give the pages of a file back to the system, but for these slabs."""
    free = 0
    for offset, size in [*sorted(used), (os.fstat(file.fileno()).st_size, 0)]:
        if offset > free:
            punch(file, free, offset - free)
        free = offset + size


def _parts(slab: memoryview, lengths: Iterable[int]) -> Iterator[memoryview]:
    position = 0
    for length in lengths:
        yield slab[position : position + length]
        position += aligned(length)

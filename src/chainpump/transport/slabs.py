"""Slabs: shared memory for payloads that are too large for a packet. The consumer gets writable zero-copy views.

     producer (owner)                      consumer
     put() ---- allocates, copies -->  [slab in a shared file]  --> views of it; the last view is freed
        ^                                                                    |
        +---------- 8-byte offsets on the producer's return pipe ------------+

Only the owner allocates slabs (`slab_allocator`). Only consumers return them, in atomic writes of 8 bytes. So no lock
is needed, and a killed consumer leaks at most the slabs that it held, until the run ends. If the producer or the run
has ended, the pages of a returned slab go back to the system. So views keep only their own slabs in memory.
"""

from __future__ import annotations

import mmap
import os
import struct
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from ..errors import Cancelled
from ..ipc.descriptors import Descriptor
from ..ipc.memory import Maps, aligned, punch, release
from .frames import SLAB_LOCATION
from .slab_allocator import RETURN

__all__ = ["Loan", "Slabs", "copied", "punch_all_but", "slab_parts"]


class Loan:
    """A slab that its consumer passes on unread. contents: the pickle and the large buffers, as they are in the slab.

    lengths: of these parts; each part begins at a multiple of the alignment. give_back: returns the slab. None if the
    contents are a copy.
    """

    def __init__(self, contents: memoryview, lengths: Sequence[int], give_back: Callable[[], None] | None) -> None:
        self.contents = contents
        self.lengths = lengths
        self._give_back = give_back

    def release(self) -> None:
        """Return the slab to its producer; a second call does nothing. Reading the contents raises ValueError now."""
        give_back, self._give_back = self._give_back, None
        if give_back is not None:
            self.contents.release()
            give_back()


class _Forks:
    """Counts the forks of this process. A forked process has copies of the views that existed at that time."""

    def __init__(self) -> None:
        self.number = 0

    def add(self) -> None:
        """A fork is about to happen."""
        self.number += 1


# It is global because a fork copies the memory of the whole process.
_FORKS = _Forks()
os.register_at_fork(before=_FORKS.add)


class Slabs:
    """The consumer's side of the slabs of all its producers: for each a file, and a pipe to return slabs.

    Finalizers of views run in any thread, between any two lines.
    """

    def __init__(self, files: Sequence[Descriptor], returns: Sequence[Descriptor]) -> None:
        self._maps = [Maps(file) for file in files]
        self._returns = returns
        # For each producer, maps the offset of each slab in use here to its size.
        self._held: list[dict[int, int]] = [{} for _ in returns]
        self._is_over = False
        self.open()

    def open(self) -> None:
        """Record that it belongs to this process. A forked process copies the views but must not return their slabs."""
        self._process = os.getpid()

    def load(self, producer: int, location: memoryview, loads: Callable[..., Any], keep: bool = False) -> Any:
        """Rebuild the item of a producer with `loads(data, buffers=views)`. Raises Cancelled after the end of the run.

        The views share the slab. It is returned when the last view is freed. A consumer that keeps more than its share
        gets copies instead, so that its producer always has slabs for new items.

        keep: give copies, and keep the slab unchanged until `give_back`.
        """
        offset, slab, lengths, is_within_share = self._hold(producer, location)
        size = len(slab)
        # Without buffers, the pickle is read at once and nothing of the slab is kept.
        if is_within_share and len(lengths) > 1 and not keep:
            # The import costs time, so only a process that receives large buffers makes it.
            import ctypes

            # numpy and other libraries keep only the exporter of a buffer alive, not a memoryview of it. So each
            # delivery needs an exporter of its own, and a ctypes array is one.
            exporter = (ctypes.c_char * size).from_buffer(slab)
            gone = weakref.finalize(exporter, self._release, producer, offset, size, slab, _FORKS.number)
            gone.atexit = False
            data, *buffers = slab_parts(memoryview(exporter).cast("B"), lengths)
            return loads(data, buffers=buffers)
        try:
            with memoryview(slab) as view:
                data, *parts = slab_parts(view, lengths)
                return loads(data, buffers=[bytearray(part) for part in parts])
        finally:
            if keep:
                del self._held[producer][offset]
            else:
                self._release(producer, offset, size, slab, _FORKS.number)

    def lend(self, producer: int, location: memoryview) -> Loan:
        """The contents of a slab, unread. Raises Cancelled after the end of the run.

        A consumer that keeps more than its share gets copies instead, as in `load`.
        """
        offset, slab, lengths, is_within_share = self._hold(producer, location)
        contents = memoryview(slab)[: sum(map(aligned, lengths))]
        loan = Loan(contents, lengths, partial(self._release, producer, offset, len(slab), slab, _FORKS.number))
        if is_within_share:
            return loan
        copy = memoryview(bytes(contents))
        loan.release()
        return Loan(copy, lengths, None)

    def _hold(self, producer: int, location: memoryview) -> tuple[int, mmap.mmap, Sequence[int], bool]:
        """Record that a slab is in use here. Returns its offset, its mapping, the lengths of its parts, and whether
        this consumer keeps no more than its share. Raises Cancelled after the end of the run.
        """
        offset, size, data_length, share, most, count = SLAB_LOCATION.unpack_from(location)
        lengths = (data_length, *struct.unpack_from(f"<{count}Q", location, SLAB_LOCATION.size))
        slab = self._maps[producer].get(offset, size)
        held = self._held[producer]
        is_within_share = len(held) < most and sum(list(held.values())) + size <= share
        held[offset] = size
        # The check comes after the assignment: `end` frees no slab that it finds in `held`.
        if self._is_over:
            raise Cancelled("the run is over")
        return offset, slab, lengths, is_within_share

    def give_back(self, producer: int, location: memoryview) -> None:
        """Return a slab that was kept."""
        offset, size, *_ = SLAB_LOCATION.unpack_from(location)
        self._release(producer, offset, size, self._maps[producer].get(offset, size), _FORKS.number)

    def _release(self, producer: int, offset: int, size: int, slab: mmap.mmap, forks: int) -> None:
        """A slab is not in use here any more. forks: the number of forks when the slab arrived."""
        if os.getpid() != self._process:
            return
        self._held[producer].pop(offset, None)
        pipe = self._returns[producer]
        if not (self._is_over or pipe.closed):
            try:
                os.write(pipe.fileno(), RETURN.pack(offset | size.bit_length() - 1))
            except (BrokenPipeError, BlockingIOError):
                # The producer has ended without a replacement. Or the pipe is full, because several producers, one
                # after the other, have lent more slabs than it was made for. No producer uses the slab again.
                pass
            else:
                return
        elif not self._is_over:
            # The producer and other consumers continue. The end of the run frees the slab.
            return
        # Otherwise a forked process may have a view of the slab, and its items would become zeros.
        if forks == _FORKS.number:
            with suppress(OSError):
                release(slab)

    def close(self) -> None:
        """No more frames are received: drop the mappings. Views keep theirs."""
        for maps in self._maps:
            maps.clear()

    def end(self) -> list[list[tuple[int, int]]]:
        """The run has ended. Return the slabs in use here, for each producer. Slabs returned later are freed."""
        # Set it first, because a slab may be returned in the meantime.
        self._is_over = True
        return [list(held.items()) for held in self._held]


def copied(data: memoryview, *, buffers: Sequence[object]) -> memoryview:
    """Replaces `pickle.loads` in `Slabs.load` for a packet in a slab. Such a packet has no buffers beside it."""
    assert not buffers
    return memoryview(bytes(data))


def punch_all_but(file: Descriptor, used: Iterable[tuple[int, int]]) -> None:
    """Return the pages of a file to the system, except those of these slabs."""
    free = 0
    for offset, size in [*sorted(used), (os.fstat(file.fileno()).st_size, 0)]:
        if offset > free:
            punch(file, free, offset - free)
        free = offset + size


def slab_parts(slab: memoryview, lengths: Iterable[int]) -> Iterator[memoryview]:
    """The pickle in a slab, and its large buffers."""
    position = 0
    for length in lengths:
        yield slab[position : position + length]
        position += aligned(length)

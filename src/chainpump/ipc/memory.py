"""Parts of shared files: writing them, mapping them, and returning their pages to the system."""

from __future__ import annotations

import mmap
import os
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import suppress

from .descriptors import Descriptor

__all__ = ["Maps", "aligned", "punch", "release", "write"]

# Bytes. numpy aligns its own allocations in this way.
ALIGN = 64
PADDING = bytes(ALIGN)
# How many mappings one side keeps open for reuse.
MAX_MAPS = 256


def aligned(size: int) -> int:
    """Return how much room a part of a slab needs.

    >>> aligned(1), aligned(64)
    (64, 64)
    """
    return -(-size // ALIGN) * ALIGN


def write(file: Descriptor, offset: int, parts: Iterable[bytes | memoryview]) -> None:
    """Write these parts to a file, each at a multiple of the alignment. Raises OSError if there is no room."""
    for part in parts:
        left, padding = memoryview(part), PADDING[: aligned(len(part)) - len(part)]
        while left or padding:
            written = os.pwritev(file.fileno(), [left, padding], offset)
            offset += written
            left, padding = left[written:], padding[max(0, written - len(left)) :]


def punch(file: Descriptor, offset: int, size: int) -> None:
    """Return the pages of a part of a file to the system, if that is possible. No process reads them any more."""
    # It fails if no descriptor is free for the mapping, or if the file system does not support it. Then the pages are
    # freed together with the file.
    with suppress(OSError):
        release(mmap.mmap(file.fileno(), size, offset=offset))


def release(mapped: mmap.mmap) -> None:
    """Return all pages of a mapping to the system. Raises OSError."""
    if hasattr(mmap, "MADV_REMOVE"):
        mapped.madvise(mmap.MADV_REMOVE)


class Maps:
    """The mappings of used slabs. The least recently used mapping is dropped first; views keep their mapping alive."""

    def __init__(self, file: Descriptor) -> None:
        self._file = file
        self._maps: OrderedDict[int, mmap.mmap] = OrderedDict()

    def get(self, offset: int, size: int) -> mmap.mmap:
        """Return the mapping of one slab."""
        found = self._maps.get(offset)
        # The slab at this offset had another size before.
        if found is None or len(found) != size:
            found = self._maps[offset] = mmap.mmap(self._file.fileno(), size, offset=offset)
            if len(self._maps) > MAX_MAPS:
                self._maps.popitem(last=False)
        self._maps.move_to_end(offset)
        return found

    def drop(self, offset: int) -> None:
        """Forget a mapping."""
        self._maps.pop(offset, None)

    def clear(self) -> None:
        """Forget all mappings."""
        self._maps.clear()

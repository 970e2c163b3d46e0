"""Parts of shared files: how they are written, mapped, and how their pages go back to the system."""

from __future__ import annotations

import mmap
import os
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import suppress

from .descriptors import Descriptor

__all__ = ["Maps", "aligned", "punch", "release", "write"]

# Bytes; the alignment that numpy asks of its own allocations.
ALIGN = 64
PADDING = bytes(ALIGN)
# Mappings that one side keeps open for reuse.
MAX_MAPS = 256


def aligned(size: int) -> int:
    """How much room a part of a slab takes.

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
    """Give the pages of a part of a file back to the system, where that can be done: nobody reads them any more."""
    # No descriptor for the mapping, or no such file system: then they go with the file.
    with suppress(OSError):
        release(mmap.mmap(file.fileno(), size, offset=offset))


def release(mapped: mmap.mmap) -> None:
    """The same, of all that is mapped. Raises OSError."""
    if hasattr(mmap, "MADV_REMOVE"):
        mapped.madvise(mmap.MADV_REMOVE)


class Maps:
    """The mappings of slabs in use, the least recently used dropped first; views keep theirs alive."""

    def __init__(self, file: Descriptor) -> None:
        self._file = file
        self._maps: OrderedDict[int, mmap.mmap] = OrderedDict()

    def get(self, offset: int, size: int) -> mmap.mmap:
        """The mapping of one slab."""
        found = self._maps.get(offset)
        # It was of another size before.
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
        """Forget them all."""
        self._maps.clear()

"""The free ranges of a file: a buddy allocator, which keeps the file about as long as its used part."""

from __future__ import annotations

from collections import defaultdict

__all__ = ["Space"]


class Space:
    """Allocates ranges whose sizes are powers of two. The offset of a range is a multiple of its size.

    A returned range is merged with its other half if that is free, so that larger ranges become available again.
    top: the end of the file.

    >>> space = Space(0)
    >>> [space.take(1), space.take(2), space.take(1)], space.top
    ([0, 2, 1], 4)
    """

    def __init__(self, top: int) -> None:
        self.top = top
        # Maps a size to offsets.
        self._free: defaultdict[int, set[int]] = defaultdict(set)

    def take(self, size: int) -> int:
        """Return the offset of a free range: a part of the smallest one that fits, or a new range at the end."""
        found = min((each for each, offsets in self._free.items() if offsets and each >= size), default=0)
        if not found:
            return self._take_at_end(size)
        offset = self._free[found].pop()
        while found > size:
            found //= 2
            self._free[found].add(offset + found)
        return offset

    def _take_at_end(self, size: int) -> int:
        # Add free ranges until the end is a multiple of the size. Each range is itself a valid power of two.
        while skipped := self.top % size:
            piece = skipped & -skipped
            self.top += piece
            self.give(self.top - piece, piece)
        self.top += size
        return self.top - size

    def give(self, offset: int, size: int) -> None:
        """Make a range free again."""
        while (other := offset ^ size) in self._free[size]:
            self._free[size].remove(other)
            offset, size = offset & ~size, 2 * size
        self._free[size].add(offset)

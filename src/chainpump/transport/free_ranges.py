"""Which ranges of a file are free: a buddy allocator, so that the file stays about as long as what is in use."""

from __future__ import annotations

from collections import defaultdict

__all__ = ["Space"]


class Space:
    """Hands out ranges whose sizes are powers of two, each at a multiple of its size.

    What comes back joins its other half, so that larger ranges can be had of it again. top: where the file ends.

    >>> space = Space(0)
    >>> [space.take(1), space.take(2), space.take(1)], space.top
    ([0, 2, 1], 4)
    """

    def __init__(self, top: int) -> None:
        self.top = top
        # Size -> offsets.
        self._free: defaultdict[int, set[int]] = defaultdict(set)

    def take(self, size: int) -> int:
        """The offset of a free range: of the smallest that there is, or else behind all others."""
        found = min((each for each, offsets in self._free.items() if offsets and each >= size), default=0)
        if not found:
            return self._behind(size)
        offset = self._free[found].pop()
        while found > size:
            found //= 2
            self._free[found].add(offset + found)
        return offset

    def _behind(self, size: int) -> int:
        # Up to a multiple of the size, in pieces that are whole halves.
        while skipped := self.top % size:
            piece = skipped & -skipped
            self.top += piece
            self.give(self.top - piece, piece)
        self.top += size
        return self.top - size

    def give(self, offset: int, size: int) -> None:
        """A range is free again."""
        while (other := offset ^ size) in self._free[size]:
            self._free[size].remove(other)
            offset, size = offset & ~size, 2 * size
        self._free[size].add(offset)

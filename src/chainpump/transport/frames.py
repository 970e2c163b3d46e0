"""Frames: what crosses a channel. A run of items from one producer, and the span of numbers that they stand for."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Any, NamedTuple

__all__ = ["HEADER", "IN_SLAB", "PLACE", "PLACED", "PLACED_LENGTH", "Form", "Frame", "Span"]


class Form(IntEnum):
    """How the payload of a packet reads."""

    # One pickle of a list of items; their large buffers beside it, where it is in a slab.
    ITEMS = 1
    # One pickle of a list of pickles, one per item.
    SNAPSHOTS = 2
    # One pickle of one item, its large buffers beside it in the slab.
    BUFFERS = 3
    # A whole packet, all of which is in the slab.
    PACKET = 4


# form, flags, producer, number of items, number of the first item. Never empty: an empty packet reads as EOF.
HEADER = struct.Struct("<BBHIQ")
# The payload is in a slab.
IN_SLAB = 1
# The rest of the span, and its numbers, come before the payload: their length, and a pickle.
PLACED = 2
PLACED_LENGTH = struct.Struct("<I")

# Where the payload is, for a frame in a slab: offset and size of the slab, length of the pickle, how many bytes of
# slabs this consumer may hold and how many slabs, number of buffers; the length of each buffer follows as a u64.
PLACE = struct.Struct("<QQQQQQ")


class Span(NamedTuple):
    """Which items a frame stands for: those from `start` up to `stop`, whatever has become of them.

    Items are numbered where they come from: by a source, or a generator stage; origin tells its workers apart.
    prefix: empty, or the numbers that lead to one item of which `flat_map` makes so many that they travel in several
    frames; start and stop then number what was made of it, and last tells that this is all.

    >>> Span(5, 8).after
    (8,)
    >>> Span(0, 100, prefix=(7,)).after, Span(100, 120, prefix=(7,), last=True).after
    ((7, 100), (8,))
    """

    start: int
    stop: int
    prefix: tuple[int, ...] = ()
    last: bool = False
    origin: int = 0

    @property
    def position(self) -> tuple[int, ...]:
        """Where it begins, in the order of the items."""
        return (*self.prefix, self.start)

    @property
    def ended(self) -> int:
        """How many items, as they are numbered where they come from, end with it."""
        if self.prefix:
            return int(self.last and len(self.prefix) == 1)
        return self.stop - self.start

    def number(self, position: int, numbers: Sequence[int] | None) -> int:
        """The number within the span of one entry. numbers: as `Frame` has them."""
        return self.start + position if numbers is None else numbers[position]

    def item_index(self, number: int) -> int:
        """The number of the item that a number of the span belongs to, at its origin."""
        return self.prefix[0] if self.prefix else number

    @property
    def after(self) -> tuple[int, ...]:
        """Where the next one begins."""
        if not self.last:
            return (*self.prefix, self.stop)
        *outer, item = self.prefix
        return (*outer, item + 1)


class Frame(NamedTuple):
    """A frame: `entries` are the items, or what `decode` makes each of them from.

    A tuple, since one is made for each frame, and a frozen dataclass takes three times as long to make.

    numbers: which number of the span each entry belongs to; None where there is one entry for each.
    nbytes: about how much room it takes.
    """

    producer: int
    span: Span
    entries: list[Any]
    numbers: Sequence[int] | None = None
    decode: Callable[[Any], Any] | None = None
    nbytes: int = 0

    def number(self, position: int) -> int:
        """The number of one entry within the span."""
        return self.span.start + position if self.numbers is None else self.numbers[position]

    def item_index(self, position: int) -> int:
        """The number of the item that one entry comes from, at its origin."""
        return self.span.prefix[0] if self.span.prefix else self.number(position)

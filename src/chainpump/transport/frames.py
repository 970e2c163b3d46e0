"""Frames: the units that cross a channel. A frame holds items of one producer and the span of their numbers."""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Any, NamedTuple

from ..pickling.items import ItemFault

__all__ = [
    "COUNTED",
    "FLAGS_AT",
    "HAS_SPAN",
    "HEADER",
    "IN_SLAB",
    "SLAB_LOCATION",
    "SPAN_LENGTH",
    "Form",
    "Frame",
    "Span",
    "packet_parts",
]


class Form(IntEnum):
    """The format of a packet's payload."""

    # One pickle of a list of items. If the payload is in a slab, large buffers of the items are beside the pickle.
    ITEMS = 1
    # One pickle of a list of pickles, one for each item.
    SNAPSHOTS = 2
    # One pickle of one item. The large buffers of the item are beside the pickle in the slab.
    BUFFERS = 3
    # A complete packet in a slab.
    PACKET = 4


# Form, flags, producer, number of items, number of the first item. A packet is never empty: to read 0 bytes
# means the end.
HEADER = struct.Struct("<BBHIQ")
# The position of the flags in it.
FLAGS_AT = 1
# Flag: the payload is in a slab.
IN_SLAB = 1
# Flag: a pickle with the rest of the span and the numbers comes before the payload. Its length comes first.
HAS_SPAN = 2
# Flag in the memory of a consumer: the consumer has counted the frame as taken.
COUNTED = 4
SPAN_LENGTH = struct.Struct("<I")

# The location of a payload in a slab: offset and size of the slab, length of the pickle, bytes of slabs that this
# consumer may keep, number of slabs that it may keep, number of buffers. The length of each buffer follows as a u64.
SLAB_LOCATION = struct.Struct("<QQQQQQ")


def packet_parts(packet: memoryview, flags: int) -> tuple[memoryview, memoryview]:
    """Divide a packet into the pickle of its span, which may be empty, and its payload."""
    payload = packet[HEADER.size :]
    if not flags & HAS_SPAN:
        return payload[:0], payload
    (length,) = SPAN_LENGTH.unpack_from(payload)
    end = SPAN_LENGTH.size + length
    return payload[SPAN_LENGTH.size : end], payload[end:]


class Span(NamedTuple):
    """The items that a frame represents: the numbers from `start` up to `stop`. A stage may have dropped some of them.

    The origin numbers the items. It is a source or a generator stage; `origin` is the index of its worker.
    `flat_map` may make so many results from one item that they need several frames. Then `prefix` is the path of
    numbers to that item, `start` and `stop` number its results, and `last` means that these are its last results.

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
        """The first number of the span, in the order of all items."""
        return (*self.prefix, self.start)

    @property
    def ended(self) -> int:
        """The number of items of the origin that end with this span."""
        if self.prefix:
            return int(self.last and len(self.prefix) == 1)
        return self.stop - self.start

    def number(self, position: int, numbers: Sequence[int] | None) -> int:
        """The number of one entry within the span. numbers: as in `Frame`."""
        return self.start + position if numbers is None else numbers[position]

    def item_index(self, number: int) -> int:
        """The number, at the origin, of the item to which a number of the span belongs."""
        return self.prefix[0] if self.prefix else number

    def is_before(self, other: Span) -> bool:
        """Whether another span goes on where this one ends, so that both are one."""
        return (self.origin, self.prefix, self.stop, self.last) == (other.origin, other.prefix, other.start, False)

    @property
    def after(self) -> tuple[int, ...]:
        """The position at which the next span begins."""
        if not self.last:
            return (*self.prefix, self.stop)
        *outer, item = self.prefix
        return (*outer, item + 1)


class Frame(NamedTuple):
    """A frame. `entries` are the items, or `decode` makes the items from them.

    It is a tuple because one is made for each frame: to make a frozen dataclass takes three times as long.

    numbers: for each entry, the number of the span to which it belongs. None if each number has exactly one entry.
    nbytes: the approximate size of the frame in bytes.
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
        """The number, at the origin, of the item that made one entry."""
        return self.span.prefix[0] if self.span.prefix else self.number(position)

    def part(self, position: int) -> int:
        """Which of the entries with its number an entry is, counted from 0."""
        return 0 if self.numbers is None else position - bisect_left(self.numbers, self.numbers[position])

    def decoded(self) -> tuple[Frame, ItemFault | None]:
        """The frame with its items rebuilt, up to the first one that cannot be rebuilt, and the fault of that one."""
        if self.decode is None:
            return self, None
        entries: list[Any] = []
        fault: ItemFault | None = None
        try:
            entries.extend(map(self.decode, self.entries))
        except Exception as error:
            index = self.item_index(len(entries))
            fault = ItemFault(f"{type(error).__name__}: {error}", self.span.origin, index)
        return self._replace(entries=entries, decode=None), fault

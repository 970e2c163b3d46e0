"""Frames: what crosses a channel. A run of items with the number of the first, from one producer."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

__all__ = ["HEADER", "PLACE", "Form", "Frame"]


class Form(IntEnum):
    """How the payload of a frame on a socket reads."""

    ITEMS = 1  # one pickle of a list of items
    SNAPSHOTS = 2  # one pickle of a list of pickles, one per item
    BUFFERS = 3  # one pickle of one item, its large buffers beside it in the slab


# form, in a slab?, producer, number of items, number of the first item. Never empty: an empty packet reads as EOF.
HEADER = struct.Struct("<BBHIQ")

# Where the payload is, for a frame in a slab: offset and size of the slab, length of the pickle, how many bytes of
# slabs this consumer may hold, number of buffers; the length of each buffer follows as a u64.
PLACE = struct.Struct("<QQQQQ")


@dataclass(slots=True)
class Frame:
    """A received frame: `entries` are the items, or what `decode` makes each of them from."""

    producer: int
    first: int
    entries: list[Any]
    decode: Callable[[Any], Any] | None = None

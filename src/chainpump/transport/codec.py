"""Items to bytes and back: snapshots of what could change, whole lists of what cannot."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .. import pickles
from .flow import LARGE_BYTES
from .frames import Form

__all__ = ["SCALARS", "STRINGS", "ItemFault", "Large", "Pickling", "encode"]

# Exact types that nobody can mutate: the snapshot at the yield may wait until their frame leaves, and then costs
# a tenth, since one pickle holds them all. A subclass may carry state, and does not count.
SCALARS: frozenset[type] = frozenset((int, float, bool, complex, type(None)))
STRINGS: frozenset[type] = frozenset((str, bytes))

PROTOCOL = 5  # the first with out-of-band buffers


class ItemFault(Exception):
    """An item cannot be pickled, or not be rebuilt.

    reason: which part of it, and why. producer, index: which item, where the raiser knows.
    """

    def __init__(self, reason: str, producer: int = 0, index: int = 0) -> None:
        super().__init__(reason, producer, index)
        self.reason = reason
        self.producer = producer
        self.index = index


@dataclass(slots=True)
class Large:
    """One item with buffers that travel outside its pickle."""

    data: bytes
    buffers: list[memoryview]

    @property
    def size(self) -> int:
        """Bytes of pickle and buffers."""
        return len(self.data) + sum(buffer.nbytes for buffer in self.buffers)


class Pickling:
    """Takes snapshots of items: a pickle of each, with large buffers kept aside."""

    def __init__(self) -> None:
        self._aside: list[memoryview] = []

    def snapshot(self, item: object) -> bytes | Large:
        """Pickle one item as it is now. Raises ItemFault."""
        try:
            data = pickle.dumps(item, PROTOCOL, buffer_callback=self._in_band)
        except Exception as error:
            self._aside.clear()
            raise ItemFault(pickles.fault(item, _plain_dumps)) from error
        if not self._aside:
            return data
        buffers, self._aside = self._aside, []
        return Large(data, buffers)

    def _in_band(self, buffer: pickle.PickleBuffer) -> bool:
        raw = buffer.raw()
        if raw.nbytes < LARGE_BYTES:
            return True
        self._aside.append(raw)
        return False


def encode(entries: Sequence[Any], snapshots: bool) -> tuple[Form, bytes]:
    """One payload of a frame's entries, all of which are snapshots or none is."""
    return Form.SNAPSHOTS if snapshots else Form.ITEMS, pickle.dumps(entries, PROTOCOL)


def _plain_dumps(value: object) -> bytes:
    return pickle.dumps(value, PROTOCOL)

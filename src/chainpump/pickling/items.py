"""Items to bytes and back: snapshots of what could change, whole lists of what cannot."""

from __future__ import annotations

import io
import pickle
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ..lazy_dataclass import dataclass
from . import functions, main_objects, registry
from .large_bytes import LARGE_BYTES, set_apart
from .registry import PROTOCOL

__all__ = ["PROTOCOL", "ItemFault", "Large", "Pickling"]

# So pickle names the module of what it leaves to be found there.
MAIN = b"__main__"
# An item of a library has a codec only where that library is.
MODULES = sys.modules


class ItemFault(Exception):
    """An item cannot be pickled, or not be rebuilt.

    reason: which part of it, and why. producer, index: which item, where the raiser knows.
    """

    def __init__(self, reason: str, producer: int = 0, index: int = 0) -> None:
        super().__init__(reason, producer, index)
        self.reason = reason
        self.producer = producer
        self.index = index

    @property
    def error(self) -> Exception:
        """What pickling or rebuilding has raised."""
        return self.__cause__ if isinstance(self.__cause__, Exception) else self


@dataclass(slots=True)
class Large:
    """One item with buffers that travel outside its pickle."""

    data: bytes
    buffers: list[memoryview]

    @property
    def size(self) -> int:
        """Bytes of pickle and buffers."""
        return len(self.data) + sum(buffer.nbytes for buffer in self.buffers)

    def release(self) -> None:
        """It was sent: its owner may resize what the buffers were of."""
        for buffer in self.buffers:
            buffer.release()


class Pickling:
    """Makes pickles: a snapshot of one item, or one of several together; large buffers are kept aside.

    For one thread at a time: what one has kept aside, another would take for its own.
    """

    def __init__(self) -> None:
        self._aside: list[memoryview] = []
        # Made once: it is passed with every item.
        self._in_band = partial(_in_band, self._aside)
        self._with_codecs: _TablePickler | None = None
        self._looks_inside = False
        # How many there were at the last look for one that has codecs.
        self._modules = 0
        # Where no worker can import the main module, items that name it are pickled by value, from the first one on.
        self._needs_main = False
        self._by_value = None if main_objects.is_importable() else _TablePickler(self._in_band, functions.ItemPickler)
        # As long as there are so many modules, plain pickle does all that there is to do.
        self._plain_for = -1

    def snapshot(self, item: object) -> bytes | Large:
        """Pickle one item as it is now. Raises ItemFault."""
        try:
            # Here, since a call would cost more than this.
            if len(MODULES) == self._plain_for:
                data = pickle.dumps(item, PROTOCOL, buffer_callback=self._in_band)
                if self._by_value is not None and MAIN in data:
                    data = self._dumps(item)
            else:
                data = self._dumps(item)
        except Exception:
            self._aside.clear()
            data = self._second_try(item)
        return self._with_buffers(data) if self._aside else data

    def _second_try(self, item: object) -> bytes:
        """As ever: the first one was made in haste. Raises ItemFault."""
        try:
            return self._dumps(item)
        except Exception as error:
            self._aside.clear()
            raise ItemFault(functions.fault(item, self._try)) from error

    def frame(self, entries: Sequence[Any]) -> bytes | Large:
        """Pickle the entries of a frame together, which costs a tenth. Raises ItemFault with the place of one."""
        try:
            data = self._dumps(entries)
        except Exception as error:
            self._aside.clear()
            for place, entry in enumerate(entries):
                try:
                    self._try(entry)
                except Exception:
                    # Whatever the item's own __reduce__ raises: it is the one.
                    raise ItemFault(functions.fault(entry, self._try), index=place) from error
            raise
        return self._with_buffers(data) if self._aside else data

    def look_inside(self) -> None:
        """There was a pickle that is large itself: from now on, large bytes of items are set apart."""
        self._looks_inside, self._plain_for = True, -1

    def _dumps(self, value: object) -> bytes:
        if self._looks_inside:
            value = set_apart(value)
        if not self._needs_main:
            try:
                data = self._by_name(value)
            except Exception:
                # It may be of a function that is not found by its name.
                if self._by_value is None:
                    raise
            else:
                if self._by_value is None or MAIN not in data:
                    return data
            self._aside.clear()
            self._needs_main, self._plain_for = True, -1
        assert self._by_value is not None
        return self._by_value.dumps(value)

    def _by_name(self, value: object) -> bytes:
        if len(MODULES) != self._modules:
            self._modules = len(MODULES)
            if self._with_codecs is None and registry.are_needed():
                self._with_codecs = _TablePickler(self._in_band)
        if self._with_codecs is not None:
            return self._with_codecs.dumps(value)
        if not self._looks_inside:
            self._plain_for = self._modules
        return pickle.dumps(value, PROTOCOL, buffer_callback=self._in_band)

    def _try(self, value: object) -> None:
        try:
            self._dumps(value)
        finally:
            self._aside.clear()

    def _with_buffers(self, data: bytes) -> Large:
        large = Large(data, self._aside[:])
        self._aside.clear()
        return large


def _in_band(aside: list[memoryview], buffer: pickle.PickleBuffer) -> bool:
    raw = buffer.raw()
    if raw.nbytes < LARGE_BYTES:
        return True
    aside.append(raw)
    return False


class _TablePickler:
    """`pickle.dumps` with codecs. It is kept from item to item, and holds nothing of them: 0.1 us more than without."""

    def __init__(
        self, in_band: Callable[[pickle.PickleBuffer], bool], kind: type[pickle.Pickler] = pickle.Pickler
    ) -> None:
        self._buffer = io.BytesIO()
        self._pickler = kind(self._buffer, PROTOCOL, buffer_callback=in_band)
        self._pickler.dispatch_table = registry.Reducers()

    def dumps(self, value: object) -> bytes:
        """The pickle of a value."""
        try:
            self._pickler.dump(value)
            return self._buffer.getvalue()
        finally:
            self._pickler.clear_memo()
            self._buffer.seek(0)
            self._buffer.truncate()

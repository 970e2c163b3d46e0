"""Items to bytes and back: one by one if they can be changed, otherwise a whole frame together."""

from __future__ import annotations

import io
import pickle
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from ..lazy_dataclass import dataclass
from . import functions, main_objects, registry
from .large_bytes import LARGE_BYTES, take_out_large_bytes
from .registry import PROTOCOL

__all__ = ["PROTOCOL", "ItemFault", "Large", "Pickling"]

# The end of both names by which pickle refers to objects of the main module: see `main_objects.MAIN`.
MAIN = b"_main__"
# An item of a library can only exist in a process that has imported the library.
MODULES = sys.modules


class ItemFault(Exception):
    """An item cannot be pickled or unpickled.

    reason: which part of it, and why. producer, index: which item, if that is known where this is raised.
    """

    def __init__(self, reason: str, producer: int = 0, index: int = 0) -> None:
        super().__init__(reason, producer, index)
        self.reason = reason
        self.producer = producer
        self.index = index

    @property
    def error(self) -> Exception:
        """What pickling or unpickling raised."""
        return self.__cause__ if isinstance(self.__cause__, Exception) else self


@dataclass(slots=True)
class Large:
    """One item with buffers that travel outside its pickle."""

    data: bytes | memoryview
    buffers: list[memoryview]

    @property
    def size(self) -> int:
        """Bytes of pickle and buffers."""
        return len(self.data) + sum(buffer.nbytes for buffer in self.buffers)

    def release(self) -> None:
        """Release the buffers once they are sent: their owners may resize them again."""
        for buffer in self.buffers:
            buffer.release()


class Pickling:
    """Pickles one item, or several together; large buffers stay outside of the pickle.

    For one thread at a time: the buffers are collected in one list.
    main_by_value: the pickles contain the classes and functions of the main module, even if workers of this machine can
    import that.
    """

    def __init__(self, *, main_by_value: bool = False) -> None:
        self._out_of_band: list[memoryview] = []
        # Made once: it is passed with each item.
        self._in_band = partial(_in_band, self._out_of_band)
        self._with_codecs: _TablePickler | None = None
        self._looks_inside = False
        # The number of imported modules when codecs were looked for last.
        self._modules = 0
        # Where no worker can import the main module, objects of it are pickled by value, from the first one on.
        self._needs_main = False
        by_name = main_objects.is_importable() and not main_by_value
        self._main_by_value = main_by_value
        self._by_value = None if by_name else _TablePickler(self._in_band, functions.ItemPickler)
        # While this many modules are imported, no codec is needed: plain pickle is enough.
        self._plain_for = -1

    def snapshot(self, item: object) -> bytes | Large:
        """Pickle one item as it is now. Raises ItemFault."""
        try:
            # Inline, since a call costs more than this.
            if len(MODULES) == self._plain_for:
                data = pickle.dumps(item, PROTOCOL, buffer_callback=self._in_band)
                if self._by_value is not None and MAIN in data:
                    data = self._dumps(item)
            else:
                data = self._dumps(item)
        except Exception:
            self._out_of_band.clear()
            data = self._second_try(item)
        return self._with_buffers(data) if self._out_of_band else data

    def _second_try(self, item: object) -> bytes:
        """Pickle it by the complete rules: `snapshot` has a fast path. Raises ItemFault."""
        try:
            return self._by_any_means(item)
        except Exception as error:
            raise ItemFault(functions.unpicklable_part(item, self._try)) from error

    def frame(self, entries: Sequence[Any]) -> bytes | Large:
        """Pickle the entries of a frame together, at a tenth of the cost. Raises ItemFault with the index of one."""
        try:
            data = self._by_any_means(entries)
        except Exception as error:
            for index, entry in enumerate(entries):
                try:
                    self._try(entry)
                except Exception:
                    # The item's own __reduce__ may raise anything.
                    raise ItemFault(functions.unpicklable_part(entry, self._try), index=index) from error
            raise
        return self._with_buffers(data) if self._out_of_band else data

    def look_inside(self) -> None:
        """A pickle was large itself: from now on, large bytes inside items stay outside of the pickle."""
        self._looks_inside, self._plain_for = True, -1

    def _dumps(self, value: object) -> bytes:
        if self._looks_inside:
            value = take_out_large_bytes(value)
        if not self._needs_main:
            try:
                data = self._by_name(value)
            except Exception:
                # The reason may be a function that cannot be found by its name.
                if self._by_value is None:
                    raise
            else:
                if self._by_value is None or MAIN not in data:
                    return data
            self._out_of_band.clear()
            self._needs_main, self._plain_for = True, -1
        assert self._by_value is not None
        return self._by_value.dumps(value)

    def _by_any_means(self, value: object) -> bytes:
        """Pickle it; by cloudpickle, which takes 0.1 to 0.2 ms, if plain pickle refuses it. Raises its error."""
        try:
            return self._dumps(value)
        except Exception:
            self._out_of_band.clear()
            # A function without a name, or an object of a class in a function, may be the reason.
            with suppress(Exception):
                return functions.by_value(value, self._in_band, main_by_value=self._main_by_value)
            self._out_of_band.clear()
            raise

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
            self._by_any_means(value)
        finally:
            self._out_of_band.clear()

    def _with_buffers(self, data: bytes) -> Large:
        large = Large(data, self._out_of_band[:])
        self._out_of_band.clear()
        return large


def _in_band(out_of_band: list[memoryview], buffer: pickle.PickleBuffer) -> bool:
    raw = buffer.raw()
    if raw.nbytes < LARGE_BYTES:
        return True
    out_of_band.append(raw)
    return False


class _TablePickler:
    """`pickle.dumps` with codecs. One pickler serves all items and keeps none; it costs 0.1 us more per item."""

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

"""The functions of a worker, pickled once for all workers that run them.

A large pickle is in shared memory, where each worker reads it in place. So are the buffers of arrays among the
arguments, which stay there: each worker maps them privately and may write to them; a page is copied only when it is
written. So a table of any size is in memory once, however many workers there are.
"""

from __future__ import annotations

import mmap
import pickle
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Any, Protocol

from ..ipc.descriptors import Descriptor
from ..ipc.memory import aligned, write
from ..ipc.system import shared_file
from ..lazy_dataclass import dataclass
from ..plan.bound import Bound
from . import functions, registry
from .large_bytes import LARGE_BYTES
from .loading import loading

__all__ = ["Loadable", "SharedFunctions"]

# The name of the shared memory, as tools show it.
MEMORY = "chainpump-code"


class Loadable(Protocol):
    """The functions of a worker, as the worker sees them."""

    def load(self) -> Sequence[Bound]:
        """The functions, by whoever runs them. Raises what importing them raises."""
        ...

    def digest(self) -> bytes | None:
        """A hash of the functions and of all that is sent with them. None if they cannot be sent to a kept process."""
        ...


class SharedFunctions:
    """The functions of a worker: pickled once, however many workers run them, and loaded by each worker.

    Codecs are sent with them: the module that registers one may be a module that workers do not import.
    """

    def __init__(self, calls: Sequence[Bound] | None) -> None:
        self._calls: Sequence[Bound] | None = calls
        self._pickled: _Pickled | None = None
        self._digest: bytes | None = None
        self._parcel: _Parcel | None = None

    def load(self) -> Sequence[Bound]:
        """The functions; frees the memory of their pickle. Raises what importing them raises."""
        if self._calls is None:
            self._parcel = self._parcel or self._pickle().parcel()
            calls: Sequence[Bound]
            with loading():
                codecs, calls = self._parcel.load()
            registry.install(codecs)
            self._calls, self._parcel = calls, None
            return calls
        return self._calls

    def digest(self) -> bytes | None:
        """A hash of the functions and of all that is sent with them. None if they cannot be sent to a kept process."""
        if self._digest is None and self._parcel is None:
            # User code may raise anything. It raises again where a new process is started, and is reported there.
            with suppress(Exception):
                self._digest = self._pickle().digest()
        return self._digest

    def packed(self) -> bytes:
        """The pickle for a process of another machine, with all of the main module: see `unpacked`.

        Raises what pickling raises, and TypeError if only a process of this machine could receive an argument.
        """
        pickled = _pickled((_picklable_codecs(), self._calls), main_by_value=True)
        if pickled.inherited:
            names = ", ".join(sorted({type(each).__name__ for each in pickled.inherited}))
            raise TypeError(f"{names} of multiprocessing cannot be shared with another machine")
        return pickle.dumps((pickled.data, pickled.copies()), registry.PROTOCOL)

    @classmethod
    def unpacked(cls, data: bytes) -> SharedFunctions:
        """The functions from `packed`, for the workers that this process starts. This process need not import them."""
        pickled, buffers = pickle.loads(data)
        code = cls(None)
        code._pickled = _Pickled(pickled, [memoryview(each) for each in buffers], ())
        return code

    def drop(self) -> None:
        """No more workers start with it: free the memory of the pickle."""
        self._pickled = None
        if self._parcel is not None:
            self._parcel.close()
            self._parcel = None

    def _pickle(self) -> _Pickled:
        self._pickled = self._pickled or _pickled((_picklable_codecs(), self._calls), main_by_value=False)
        return self._pickled

    def __getstate__(self) -> _Parcel:
        if self._parcel is None:
            self._parcel = self._pickle().parcel()
            self._pickled = None
        return self._parcel

    def __setstate__(self, state: _Parcel) -> None:
        self._calls, self._pickled, self._digest, self._parcel = None, None, None, state


def _picklable_codecs() -> Sequence[registry.Codec]:
    """All registered codecs. Raises TypeError if one cannot be pickled: otherwise the functions would be blamed."""
    codecs = registry.registered()
    for codec in codecs:
        try:
            functions.dumps(codec)
        except Exception as error:
            raise TypeError(f"the codec of {codec.key} cannot be sent to a worker: {error}") from error
    return codecs


@dataclass(frozen=True, slots=True)
class _Stored:
    """Parts in shared memory, one after the other. Pickling it for a worker passes the descriptor on."""

    file: Descriptor
    lengths: Sequence[int]

    def views(self) -> list[memoryview]:
        """Map the parts privately and close the file. May be called once; the memory is freed with the views."""
        starts = [0]
        for length in self.lengths:
            starts.append(starts[-1] + aligned(length))
        mapped = memoryview(mmap.mmap(self.file.fileno(), starts[-1], flags=mmap.MAP_PRIVATE))
        self.file.close()
        return [mapped[start:end][:length] for (start, end), length in zip(pairwise(starts), self.lengths, strict=True)]


def _stored(parts: Sequence[bytes | memoryview]) -> _Stored:
    """Write parts into shared memory. Raises OSError if there is no room."""
    file = shared_file(MEMORY, 0)
    write(file, 0, parts)
    return _Stored(file, [len(part) for part in parts])


@dataclass(frozen=True, slots=True)
class _Parcel:
    """A pickle, and the buffers and objects outside of it. It is pickled with each process.

    buffers: their bytes if there is no room in shared memory.
    """

    data: bytes | _Stored
    buffers: _Stored | Sequence[bytes | bytearray] = ()
    inherited: Sequence[object] = ()

    def load(self) -> Any:
        """Unpickle it and close the files. May be called once."""
        found = self.buffers
        buffers = found.views() if isinstance(found, _Stored) else [memoryview(each) for each in found]
        if isinstance(self.data, bytes):
            return functions.loads(self.data, buffers, self.inherited)
        with self.data.views()[0] as data:
            return functions.loads(data, buffers, self.inherited)

    def close(self) -> None:
        """Close the files."""
        for part in (self.data, self.buffers):
            if isinstance(part, _Stored):
                part.file.close()


@dataclass(frozen=True, slots=True)
class _Pickled:
    """The pickle of a value, and the large buffers and objects outside of it, which are still those of the value."""

    data: bytes
    buffers: Sequence[memoryview]
    inherited: Sequence[object]

    def digest(self) -> bytes | None:
        """A hash of the pickle and of the buffers. None if a new process is needed because of the objects."""
        if self.inherited:
            return None
        # Only runs that keep processes need it.
        from hashlib import blake2b

        found = blake2b(self.data)
        for buffer in self.buffers:
            found.update(buffer)
        return found.digest()

    def parcel(self) -> _Parcel:
        """The same in shared memory, if it is large and there is room."""
        try:
            buffers = _stored(self.buffers) if self.buffers else ()
            data = self.data if len(self.data) < LARGE_BYTES else _stored([self.data])
            return _Parcel(data, buffers, self.inherited)
        except OSError:
            # There is no room for shared memory: each worker gets a copy through its pipe.
            return _Parcel(self.data, self.copies(), self.inherited)

    def copies(self) -> list[bytes | bytearray]:
        """Copies of the buffers. Those that nobody may write remain so."""
        return [bytes(each) if each.readonly else bytearray(each) for each in self.buffers]


def _pickled(value: object, *, main_by_value: bool) -> _Pickled:
    out_of_band: list[memoryview] = []

    def in_band(buffer: pickle.PickleBuffer) -> bool:
        raw = buffer.raw()
        if raw.nbytes < LARGE_BYTES:
            return True
        out_of_band.append(raw)
        return False

    inherited: list[object] = []
    data = functions.dumps(value, in_band, inherited, main_by_value=main_by_value)
    return _Pickled(data, out_of_band, inherited)

"""The functions of a worker, on their way to its process: pickled once for all workers that run them.

What is large crosses in shared memory: the pickle itself, which each worker reads in place, and the buffers of arrays
among the arguments, which stay there. Each worker maps those privately: they are its own to write, and a page is copied
only once it does so. So a table of any size is in memory once, however many workers there are.
"""

from __future__ import annotations

import mmap
import pickle
from collections.abc import Sequence
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

__all__ = ["Code", "Loadable"]

# Its name, for those who look on.
MEMORY = "chainpump-code"


class Loadable(Protocol):
    """The functions of a worker, as the worker sees them."""

    def load(self) -> Sequence[Bound]:
        """The functions, by whoever runs them. Raises what importing them raises."""
        ...


class Code:
    """The functions of a worker: pickled once, however many workers run them, and loaded by each worker itself.

    Codecs travel with them, since whoever registers one may do so in a module that a worker does not import.
    """

    def __init__(self, calls: Sequence[Bound]) -> None:
        self._calls: Sequence[Bound] | None = calls
        self._parcel: _Parcel | None = None

    def load(self) -> Sequence[Bound]:
        """The functions; what they were pickled in is dropped then. Raises what importing them raises."""
        if self._calls is None:
            assert self._parcel is not None
            calls: Sequence[Bound]
            with loading():
                codecs, calls = self._parcel.load()
            registry.install(codecs)
            self._calls, self._parcel = calls, None
            return calls
        return self._calls

    def drop(self) -> None:
        """Nobody is to be started with it any more: drop what it was pickled in."""
        if self._parcel is not None:
            self._parcel.close()
            self._parcel = None

    def __getstate__(self) -> _Parcel:
        self._parcel = self._parcel or _parcel((_travelling_codecs(), self._calls))
        return self._parcel

    def __setstate__(self, state: _Parcel) -> None:
        self._calls, self._parcel = None, state


def _travelling_codecs() -> Sequence[registry.Codec]:
    """All that are registered here. Raises TypeError if one cannot travel, which would be blamed on the functions."""
    codecs = registry.registered()
    for codec in codecs:
        try:
            functions.dumps(codec)
        except Exception as error:
            raise TypeError(f"the codec of {codec.key} cannot be sent to a worker: {error}") from error
    return codecs


@dataclass(frozen=True, slots=True)
class _Stored:
    """Parts in shared memory, one behind the other; pickling it for a worker hands the descriptor over."""

    file: Descriptor
    lengths: Sequence[int]

    def views(self) -> list[memoryview]:
        """The parts, as this process's own to write. Once: it closes the file, whose memory goes with the views."""
        starts = [0]
        for length in self.lengths:
            starts.append(starts[-1] + aligned(length))
        mapped = memoryview(mmap.mmap(self.file.fileno(), starts[-1], flags=mmap.MAP_PRIVATE))
        self.file.close()
        return [mapped[start:end][:length] for (start, end), length in zip(pairwise(starts), self.lengths, strict=True)]


def _stored(parts: Sequence[bytes | memoryview]) -> _Stored:
    """Raises OSError if there is no room."""
    file = shared_file(MEMORY, 0)
    write(file, 0, parts)
    return _Stored(file, [len(part) for part in parts])


@dataclass(frozen=True, slots=True)
class _Parcel:
    """A pickle, and what was left out of it."""

    data: bytes | _Stored
    buffers: _Stored | None = None

    def load(self) -> Any:
        """What it was made of. Once: it closes the files."""
        buffers = self.buffers.views() if self.buffers is not None else ()
        if isinstance(self.data, bytes):
            return functions.loads(self.data, buffers)
        with self.data.views()[0] as data:
            return functions.loads(data, buffers)

    def close(self) -> None:
        """Close the files."""
        for part in (self.data, self.buffers):
            if isinstance(part, _Stored):
                part.file.close()


def _parcel(value: object) -> _Parcel:
    aside: list[memoryview] = []

    def in_band(buffer: pickle.PickleBuffer) -> bool:
        raw = buffer.raw()
        if raw.nbytes < LARGE_BYTES:
            return True
        aside.append(raw)
        return False

    data = functions.dumps(value, in_band)
    try:
        buffers = _stored(aside) if aside else None
        return _Parcel(data if len(data) < LARGE_BYTES else _stored([data]), buffers)
    except OSError:
        # There is no room for shared memory: then each worker has a copy.
        return _Parcel(functions.dumps(value))

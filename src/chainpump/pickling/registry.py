"""Which types have a codec: functions that take their buffers out of the pickle, and put them in again.

    item ──encode──► buffers, metadata ──► shared memory, pickle ──► views, metadata ──decode──► item

A codec is called wherever plain pickle would call `__reduce_ex__`, at any depth of an item.
"""

from __future__ import annotations

import copyreg
import pickle
import sys
from collections.abc import Callable, Iterable, Sequence
from operator import methodcaller
from types import FunctionType, NoneType
from typing import Any, TypeVar

from ..errors import StageOptionError
from ..lazy_dataclass import dataclass
from .library_codecs import LIBRARIES

__all__ = [
    "Codec",
    "EncodeError",
    "Reducers",
    "are_needed",
    "decoded",
    "has_reducer",
    "install",
    "register_codec",
    "registered",
]

T = TypeVar("T")
M = TypeVar("M")

# The protocol of pickle: the first one with out-of-band buffers.
PROTOCOL = 5

# Types that pickle writes itself, without `__reduce_ex__`.
NATIVE: frozenset[type] = frozenset(
    (NoneType, bool, int, float, str, bytes, bytearray, list, tuple, dict, set, frozenset, type, FunctionType)
)


class EncodeError(Exception):
    """A codec raised. item: the object that it was called with."""

    def __init__(self, item: object, error: Exception) -> None:
        super().__init__(f"its codec raised {type(error).__name__}: {error}")
        self.item = item


@dataclass(frozen=True, slots=True)
class Codec:
    """Takes items of a type apart into buffers and metadata, and makes items of these.

    key: the type, or the full name of a type of a library. Any: items, buffers and metadata are the type's choice.
    """

    key: type | str
    encode: Callable[[Any], Any]
    decode: Callable[[Sequence[Any], Any], Any]

    def reduce(self, item: Any) -> Any:
        """What pickle writes for an item: a call of `decoded`, or the item's own way if `encode` declines."""
        try:
            encoded = self.encode(item)
            if encoded is not NotImplemented:
                buffers, metadata = encoded
                return decoded, (self.key, [pickle.PickleBuffer(each) for each in buffers], metadata)
        except Exception as error:
            raise EncodeError(item, error) from error
        return item.__reduce_ex__(PROTOCOL)


# The registry is global, as that of `copyreg` is: a module that defines a type does not know which pipelines use it.
# `register_codec` writes it, and a worker that loads its functions does. Each write is atomic.
_REGISTERED: dict[type, Codec] = {}
_OF_LIBRARIES = {name: Codec(name, encode, decode) for name, (_, encode, decode) in LIBRARIES.items()}
_MODULES = {module for module, _, _ in LIBRARIES.values()}


def register_codec(
    kind: type[T],
    encode: Callable[[T], tuple[Sequence[Any], M]],
    decode: Callable[[Sequence[Any], M], T],
) -> None:
    """Have items of exactly this type cross between processes with their large buffers outside of the pickle.

    >>> class Grid:
    ...     def __init__(self, cells: bytearray, width: int) -> None:
    ...         self.cells, self.width = cells, width
    >>> register_codec(Grid, lambda grid: ([grid.cells], grid.width), lambda buffers, width: Grid(buffers[0], width))

    encode: takes an item; returns its buffers, each contiguous, and metadata, which is pickled. It may return
    `NotImplemented` for an item that plain pickle is to write (annotate the result as `Any` then, for mypy).
    decode: takes buffers and metadata; returns the item. A buffer of 128 KB or more is a memoryview of bytes in shared
    memory, writable if the original was, and may be kept. A smaller one is bytes or a bytearray.
    Codecs apply to items and to any part of them. They are sent to workers with the functions of a run: register them
    before it starts. Raises StageOptionError if `kind` is no class, or one that pickle writes itself.
    """
    _check_kind(kind)
    _REGISTERED[kind] = Codec(kind, encode, decode)


def _check_kind(kind: object) -> None:
    if not isinstance(kind, type):
        raise StageOptionError(f"register_codec: the first argument must be a class but got: {kind!r}.")
    if kind in NATIVE:
        raise StageOptionError(
            f"register_codec: {kind.__name__} cannot have a codec: pickle writes it by itself.\n"
            f"  Wrap it in a class of your own; or send pickle.PickleBuffer(data), which arrives as a view."
        )


def registered() -> tuple[Codec, ...]:
    """The codecs of this process, for another one."""
    return tuple(_REGISTERED.values())


def install(codecs: Iterable[Codec]) -> None:
    """Register the codecs of another process."""
    _REGISTERED.update((each.key, each) for each in codecs if isinstance(each.key, type))


def are_needed() -> bool:
    """Whether an item in this process could have a codec. If not, plain pickle does the same in less time."""
    # Only these modules are looked up: a pass over all of them would have a fork copy the memory of their names.
    return bool(_REGISTERED) or any(module in sys.modules for module in _MODULES)


def has_reducer(kind: type) -> bool:
    """Whether pickle writes items of this type by a codec, or by a function that `copyreg` knows."""
    return kind in _REGISTERED or kind in copyreg.dispatch_table or _of_library(kind) is not None


def decoded(key: type | str, buffers: Sequence[Any], metadata: Any) -> Any:
    """Make the item. Raises LookupError where its codec is not known."""
    codec = _OF_LIBRARIES.get(key) if isinstance(key, str) else _REGISTERED.get(key)
    if codec is None:
        raise LookupError(f"{key!r} has no codec in this process; register_codec must be called before the run starts")
    return codec.decode(buffers, metadata)


class Reducers(dict[type, Callable[[Any], Any]]):
    """A dispatch table for pickle, which looks up every type here that it does not write itself."""

    def __missing__(self, kind: type) -> Callable[[Any], Any]:
        # Pickle writes a class itself, by its name.
        if issubclass(kind, type):
            raise KeyError(kind)
        codec = _REGISTERED.get(kind)
        reduce = codec.reduce if codec else copyreg.dispatch_table.get(kind) or _of_library(kind)
        # Without a codec, call what pickle would have called. An entry costs less than a KeyError for each item.
        self[kind] = reduce or methodcaller("__reduce_ex__", PROTOCOL)
        return self[kind]


def _of_library(kind: type) -> Callable[[Any], Any] | None:
    names = (f"{base.__module__}.{base.__qualname__}" for base in kind.__mro__)
    return next((_OF_LIBRARIES[name].reduce for name in names if name in _OF_LIBRARIES), None)

"""Which types have a codec: a way of their own to cross to another process, with their buffers outside the pickle.

    item ──encode──► buffers, metadata ──► shared memory, pickle ──► views, metadata ──decode──► item

A codec is asked wherever plain pickle would call `__reduce_ex__`, at any depth of an item.
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

__all__ = ["Codec", "EncodeError", "Reducers", "are_needed", "decoded", "install", "register_codec", "registered"]

T = TypeVar("T")
M = TypeVar("M")

# Of pickle: the first with out-of-band buffers.
PROTOCOL = 5

# Pickle writes these by itself and asks nobody.
NATIVE: frozenset[type] = frozenset(
    (NoneType, bool, int, float, str, bytes, bytearray, list, tuple, dict, set, frozenset, type, FunctionType)
)


class EncodeError(Exception):
    """A codec has raised. item: on which one; what that holds is not to blame."""

    def __init__(self, item: object, error: Exception) -> None:
        super().__init__(f"its codec raised {type(error).__name__}: {error}")
        self.item = item


@dataclass(frozen=True, slots=True)
class Codec:
    """How items of a type become buffers and metadata, and how they are made of these again. key: the type's own, or
    the name of a library's.

    Any: items, buffers and metadata are of the type's choice.
    """

    key: type | str
    encode: Callable[[Any], Any]
    decode: Callable[[Sequence[Any], Any], Any]

    def reduce(self, item: Any) -> Any:
        """What pickle writes for an item: a call of `decoded`, or what the item itself says, if this declines it."""
        try:
            encoded = self.encode(item)
            if encoded is not NotImplemented:
                buffers, metadata = encoded
                return decoded, (self.key, [pickle.PickleBuffer(each) for each in buffers], metadata)
        except Exception as error:
            raise EncodeError(item, error) from error
        return item.__reduce_ex__(PROTOCOL)


# A registry is global by its nature, as that of `copyreg` is: types are, and who defines one knows nothing of the
# pipelines that it will travel in. Written by `register_codec`, and as a worker loads its functions; atomic by key.
_REGISTERED: dict[type, Codec] = {}
_OF_LIBRARIES = {name: Codec(name, encode, decode) for name, (_, encode, decode) in LIBRARIES.items()}
_MODULES = {module for module, _, _ in LIBRARIES.values()}


def register_codec(
    kind: type[T],
    encode: Callable[[T], tuple[Sequence[Any], M]],
    decode: Callable[[Sequence[Any], M], T],
) -> None:
    """Have items of exactly this type cross between processes with their large buffers outside the pickle.

    >>> class Grid:
    ...     def __init__(self, cells: bytearray, width: int) -> None:
    ...         self.cells, self.width = cells, width
    >>> register_codec(Grid, lambda grid: ([grid.cells], grid.width), lambda buffers, width: Grid(buffers[0], width))

    encode: from an item to its buffers, each contiguous, and whatever else it is made of, which is pickled; or
    `NotImplemented` for an item that is better pickled as ever (annotate that one with `Any`: mypy knows no other way).
    decode: the reverse. A buffer from 128 KB is a memoryview of shared memory, writable if the one before was, and of
    bytes; it may be kept. A smaller one is bytes or a bytearray.
    Both apply wherever such an item is part of another one. They reach workers with the functions of a run: register
    before it starts. Raises StageOptionError for what is no type, or one that pickle writes by itself.
    """
    _check_kind(kind)
    _REGISTERED[kind] = Codec(kind, encode, decode)


def _check_kind(kind: object) -> None:
    if not isinstance(kind, type):
        raise StageOptionError(f"register_codec: the first argument must be a class but got: {kind!r}.")
    if kind in NATIVE:
        raise StageOptionError(
            f"register_codec: {kind.__name__} cannot have a codec: pickle writes it by itself, and asks nobody.\n"
            f"  Wrap it in a class of your own; or send pickle.PickleBuffer(data), which arrives as a view."
        )


def registered() -> tuple[Codec, ...]:
    """What this process has registered, for another one."""
    return tuple(_REGISTERED.values())


def install(codecs: Iterable[Codec]) -> None:
    """Register what another process had."""
    _REGISTERED.update((each.key, each) for each in codecs if isinstance(each.key, type))


def are_needed() -> bool:
    """Whether an item here could have a codec: without, plain pickle does the same in less time."""
    return bool(_REGISTERED) or not _MODULES.isdisjoint(sys.modules)


def decoded(key: type | str, buffers: Sequence[Any], metadata: Any) -> Any:
    """The item again. Raises LookupError where its codec is not known."""
    codec = _OF_LIBRARIES.get(key) if isinstance(key, str) else _REGISTERED.get(key)
    if codec is None:
        raise LookupError(f"{key!r} has no codec in this process; register_codec must be called before the run starts")
    return codec.decode(buffers, metadata)


class Reducers(dict[type, Callable[[Any], Any]]):
    """A dispatch table of pickle, which is asked for every type that pickle does not write by itself."""

    def __missing__(self, kind: type) -> Callable[[Any], Any]:
        # A class is pickled by its name, which pickle knows better.
        if issubclass(kind, type):
            raise KeyError(kind)
        codec = _REGISTERED.get(kind)
        reduce = codec.reduce if codec else copyreg.dispatch_table.get(kind) or _of_library(kind)
        # Without a codec, what pickle would have called: it costs little, and an error to say so would cost more.
        self[kind] = reduce or methodcaller("__reduce_ex__", PROTOCOL)
        return self[kind]


def _of_library(kind: type) -> Callable[[Any], Any] | None:
    names = (f"{base.__module__}.{base.__qualname__}" for base in kind.__mro__)
    return next((_OF_LIBRARIES[name].reduce for name in names if name in _OF_LIBRARIES), None)

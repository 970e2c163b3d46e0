"""A digest of an item that is the same in every process: it shows whether an input still has the same items.

A pickle does not do: it depends on which parts of an item are the same object, and sets have another order in each
process. So the structure of the item is walked, and each part is hashed with its type.
"""

from __future__ import annotations

import copyreg
import struct
import sys
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from hashlib import blake2b
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

__all__ = ["digest_of"]

# Bytes of a digest.
SIZE = 16
# How many parts of an item, and how deep, are walked. What is beyond them counts by its class.
PARTS = 100_000
DEPTH = 100


def digest_of(item: object, parts: int = PARTS) -> bytes:
    """The digest of an item, 16 bytes. Equal items of built-in types have equal digests.

    >>> digest_of({"a": 1, "b": {2, 3}}).hex() == digest_of({"b": {3, 2}, "a": 1}).hex()
    True

    An object counts by its class and its state, as pickle sees it; by its class alone if it has none that can be read.
    parts: how many parts of the item are looked at.
    """
    return _Walk(parts).digest(item)


class _Walk:
    """One walk through an item. `path` has the objects that are being walked, by identity, with their depth."""

    def __init__(self, parts: int, path: Mapping[int, int] | None = None) -> None:
        self.parts = parts
        self._path = dict(path or {})

    def digest(self, item: object) -> bytes:
        self.parts -= 1
        cls = type(item)
        scalar = SCALARS.get(cls)
        if scalar is not None:
            return _hashed(cls.__name__, scalar(item))
        if id(item) in self._path:
            # A circle: how far up its begin is.
            return _hashed("circle", str(len(self._path) - self._path[id(item)]).encode())
        if self.parts < 0 or len(self._path) >= DEPTH:
            return _hashed("class", _class_name(cls))
        self._path[id(item)] = len(self._path)
        try:
            return self._digest_of_parts(item, cls)
        finally:
            del self._path[id(item)]

    def _digest_of_parts(self, item: Any, cls: type) -> bytes:
        if cls in (tuple, list):
            return _hashed(cls.__name__, *map(self.digest, item))
        if cls in (set, frozenset, dict):
            # A dictionary counts as the set of its pairs.
            return _hashed(cls.__name__, *sorted(self._apart(item.items() if cls is dict else item)))
        if isinstance(item, MethodType):
            return _hashed("method", item.__name__.encode(), self.digest(item.__self__))
        name = _name_of(item)
        if name is not None:
            return _hashed("named", _class_name(cls), name.encode(errors="surrogatepass"))
        numpy = sys.modules.get("numpy")
        if numpy is not None and cls is numpy.ndarray and not item.dtype.hasobject:
            return _hashed("array", item.dtype.str.encode(), str(item.shape).encode(), item.tobytes())
        return self._digest_of_object(item, cls)

    def _digest_of_object(self, item: Any, cls: type) -> bytes:
        try:
            reduce = getattr(copyreg, "dispatch_table").get(cls)  # noqa: B009  # the stubs of copyreg lack it
            reduced = reduce(item) if reduce is not None else item.__reduce_ex__(2)
            if isinstance(reduced, str):
                return _hashed("global", _class_name(cls), reduced.encode())
            made, arguments, *rest = reduced
            state, entries, pairs = (*rest, None, None, None)[:3]
            state_digest = self.digest(state)
            entries_digests = list(map(self.digest, entries or ()))
            pairs_digests = sorted(self._apart(list(pairs or ())))
        except Exception:
            # An object may raise anything when its state is read: locks, files and generators raise TypeError.
            return _hashed("class", _class_name(cls))
        digests = [self.digest(made), self.digest(arguments), state_digest, *entries_digests, *pairs_digests]
        return _hashed("object", _class_name(cls), *digests)

    def _apart(self, items: Iterable[object]) -> list[bytes]:
        """The digests of items whose order does not count. Each may use the same share of the parts that are left."""
        items = list(items)
        share = self.parts // max(1, len(items))
        walks = [_Walk(share, self._path) for _ in items]
        digests = [walk.digest(item) for walk, item in zip(walks, items, strict=True)]
        self.parts -= sum(share - walk.parts for walk in walks)
        return digests


def _name_of(item: Any) -> str | None:
    """The name of an item that has one: a member of an enum, a class, a function or a module. None if it has none."""
    if isinstance(item, Enum):
        return item.name
    if isinstance(item, ModuleType):
        return item.__name__
    if isinstance(item, (type, FunctionType, BuiltinFunctionType)):
        return item.__qualname__
    return None


def _hashed(kind: str, *parts: bytes) -> bytes:
    found = blake2b(digest_size=SIZE, person=kind.encode()[:16])
    for part in parts:
        found.update(struct.pack("<Q", len(part)))
        found.update(part)
    return found.digest()


# Names are without their modules: the main module of a program has another name in a worker process.
def _class_name(cls: type) -> bytes:
    return cls.__qualname__.encode(errors="surrogatepass")


# Any: each function gets a value of its type.
SCALARS: dict[type, Callable[[Any], bytes]] = {
    type(None): lambda _: b"",
    type(...): lambda _: b"",
    type(NotImplemented): lambda _: b"",
    bool: lambda value: b"1" if value else b"0",
    # In base 16, a number may have any number of digits.
    int: lambda value: hex(value).encode(),
    float: lambda value: struct.pack("<d", value),
    complex: lambda value: struct.pack("<dd", value.real, value.imag),
    str: lambda value: value.encode("utf-8", "surrogatepass"),
    bytes: lambda value: value,
    bytearray: bytes,
    memoryview: lambda value: value.tobytes(),
}

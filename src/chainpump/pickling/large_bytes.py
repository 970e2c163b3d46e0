"""Large bytes and bytearrays out of band: pickle copies them into itself; here they travel beside it, as buffers do."""

from __future__ import annotations

from pickle import PickleBuffer
from typing import Any

__all__ = ["LARGE_BYTES", "take_out_large_bytes"]

# Bytes from which on a buffer goes through shared memory: with less, a copy through the socket is faster. Measured: the
# crossover lies between 32 and 128 KB.
LARGE_BYTES = 131_072

PLAIN: frozenset[type] = frozenset((type(None), bool, int, float, complex, str))
BYTES: frozenset[type] = frozenset((bytes, bytearray))
CONTAINERS: frozenset[type] = frozenset((list, tuple, dict))
# The most values of an item that are looked at: items with large bytes usually have few other parts.
MOST = 256
# The most levels of nested containers.
DEEPEST = 8


class _OutOfBand:
    """Replaces bytes in the pickle. The consumer copies them from shared memory, since bytes own their memory."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes | bytearray) -> None:
        self._value = value

    def __reduce__(self) -> tuple[type, tuple[PickleBuffer]]:
        return type(self._value), (PickleBuffer(self._value),)


class _Unknown(Exception):
    """The item holds an object of unknown parts, or one that occurs twice and would become two objects."""


def take_out_large_bytes(value: Any) -> Any:
    """A copy of the value with its large bytes out of band; the value itself where a copy might not arrive the same.

    Only lists, tuples and dicts of each other, bytes, texts and numbers are copied.
    """
    try:
        return _Walk().changed(value)
    except _Unknown:
        return value


class _Walk:
    """A walk through one item. If an object occurs twice, the item stays as it is: pickle keeps such identities."""

    def __init__(self) -> None:
        self._seen: set[int] = set()

    def changed(self, value: Any, depth: int = 0) -> Any:
        """The value with its large bytes out of band. Raises _Unknown."""
        kind = type(value)
        if kind in PLAIN or (kind is bytes and len(value) < LARGE_BYTES) or (kind is tuple and not value):
            return value
        if id(value) in self._seen:
            raise _Unknown
        self._seen.add(id(value))
        if kind in BYTES:
            return _OutOfBand(value) if len(value) >= LARGE_BYTES else value
        if kind not in CONTAINERS or len(value) + len(self._seen) > MOST or depth == DEEPEST:
            raise _Unknown
        if kind is not dict:
            return kind([self.changed(each, depth + 1) for each in value])
        if not all(type(key) in PLAIN for key in value):
            raise _Unknown
        return {key: self.changed(each, depth + 1) for key, each in value.items()}

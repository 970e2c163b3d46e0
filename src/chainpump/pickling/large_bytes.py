"""Large bytes and bytearrays, which pickle writes by itself: set apart, they cross beside it, as other buffers do."""

from __future__ import annotations

from pickle import PickleBuffer
from typing import Any

__all__ = ["LARGE_BYTES", "set_apart"]

# From here on a buffer goes through shared memory: the crossover with a copy lies between 32 and 128 KB.
LARGE_BYTES = 131_072

PLAIN: frozenset[type] = frozenset((type(None), bool, int, float, complex, str))
BYTES: frozenset[type] = frozenset((bytes, bytearray))
CONTAINERS: frozenset[type] = frozenset((list, tuple, dict))
# Values of an item that are looked at; where large bytes matter there are few beside them.
MOST = 256
# Containers in each other.
DEEPEST = 8


class _Apart:
    """Stands for bytes in what is pickled; the consumer copies them out of shared memory, since they own theirs."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes | bytearray) -> None:
        self._value = value

    def __reduce__(self) -> tuple[type, tuple[PickleBuffer]]:
        return type(self._value), (PickleBuffer(self._value),)


class _Unknown(Exception):
    """There is something whose parts nobody knows, or which occurs twice, and would become two."""


def set_apart(value: Any) -> Any:
    """The same for pickle, with all large bytes apart; the value itself, where that could change what arrives.

    It looks into lists, tuples and dicts that hold nothing but each other, bytes, texts and numbers.
    """
    try:
        return _Walk().changed(value)
    except _Unknown:
        return value


class _Walk:
    """Through one item. Whatever is seen twice may be one object for its consumer too: then it is left alone."""

    def __init__(self) -> None:
        self._seen: set[int] = set()

    def changed(self, value: Any, depth: int = 0) -> Any:
        """The value with its large bytes apart. Raises _Unknown."""
        kind = type(value)
        if kind in PLAIN or (kind is bytes and len(value) < LARGE_BYTES) or (kind is tuple and not value):
            return value
        if id(value) in self._seen:
            raise _Unknown
        self._seen.add(id(value))
        if kind in BYTES:
            return _Apart(value) if len(value) >= LARGE_BYTES else value
        if kind not in CONTAINERS or len(value) + len(self._seen) > MOST or depth == DEEPEST:
            raise _Unknown
        if kind is not dict:
            return kind([self.changed(each, depth + 1) for each in value])
        if not all(type(key) in PLAIN for key in value):
            raise _Unknown
        return {key: self.changed(each, depth + 1) for key, each in value.items()}

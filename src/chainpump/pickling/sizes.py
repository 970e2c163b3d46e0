"""How many bytes an item keeps alive: its deep size, measured on samples, at a few per cent of the time at most.

Every bound on memory uses it: how many results are in one frame, and how many may wait between threads, behind tasks,
and where the order of items is restored.
"""

from __future__ import annotations

import gc
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, islice
from sys import getsizeof
from types import (
    AsyncGeneratorType,
    BuiltinFunctionType,
    CodeType,
    CoroutineType,
    FrameType,
    FunctionType,
    GeneratorType,
    MethodType,
    ModuleType,
    TracebackType,
)
from typing import Any, TypeAlias

from .library_codecs import WEIGHTS

__all__ = ["SCALARS", "STRINGS", "Weigher", "deep_size"]

# Immutable types. They are compared exactly: a subclass may have state.
SCALARS: frozenset[type] = frozenset((int, float, bool, complex, type(None)))
STRINGS: frozenset[type] = frozenset((str, bytes))

LEAVES = SCALARS | STRINGS | {bytearray}
SEQUENCES = (list, tuple, deque)
SETS = (set, frozenset)
# Objects of these types belong to the program, not to the item.
CODE = (
    *(AsyncGeneratorType, BuiltinFunctionType, CodeType, CoroutineType, FrameType, FunctionType),
    *(GeneratorType, MethodType, ModuleType, TracebackType, type),
)

# The most objects that one measurement visits: about 3 ms.
MOST_OBJECTS = 10_000
# Elements of a container that are measured, evenly spaced; they represent the others.
SAMPLE = 32
# Bytes that are assumed for an object of unknown size.
UNKNOWN = 64
# Entries of a frame whose types are compared.
KINDS_SEEN = 64
# Entries of a frame that are measured: the first, the last, and one between them.
MEASURED = 3
# A frame is not cut if its entries exceed the limit by at most this factor.
ALL_OF_THEM = 1.25
# If the largest of them is this many times the smallest, all entries are measured.
UNLIKE = 4
# After a measurement this many times its duration passes before the next one: about 3 % of the time.
REST = 32
# A measurement that takes less than this many ns is repeated a few times for each frame, without a look at the clock.
CHEAP_NS = 20_000

# How to look into a value: its own size, the parts to visit, how many parts there are. Any: items are opaque here.
Look: TypeAlias = Callable[[Any], tuple[int, Sequence[Any], int]]


def deep_size(item: Any) -> int:
    """About how many bytes an item keeps alive: its own and those of all that is inside.

    >>> deep_size((1, bytearray(1_000_000))) // 1000, deep_size([bytes(1000)] * 9) // 1000
    (1000, 9)

    A long container is measured by a sample of its elements. Functions, classes and modules are not counted, nor is
    anything after the first 10,000 objects.
    """
    return _Scale().weigh(item)


class Weigher:
    """Estimates the sizes of the items of one stream. For one thread at a time.

    It remembers the latest size, and measures again after some time, or if an item is of another type. So a jump in
    size is noticed after a few items: large items take long to make.
    """

    def __init__(self) -> None:
        self._scale = _Scale()
        # The type of the item that was measured last.
        self._kind: type | None = None
        # Its bytes.
        self._each = 0
        # How long that took, in ns.
        self._cost = 0
        # When to measure again, in ns of the monotonic clock.
        self._due = 0
        # Bytes; of each of the entries that `portion` has seen last; 0 where they are numbers, few, or unlike.
        self.each = 0.0

    def weigh(self, item: Any) -> int:
        """About how many bytes this item keeps alive."""
        if type(item) in LEAVES:
            return getsizeof(item)
        if type(item) is not self._kind or time.monotonic_ns() >= self._due:
            # The time of this thread alone: time in which other threads hold the interpreter does not count.
            began = time.thread_time_ns()
            self._kind = type(item)
            self._each = self._scale.weigh(item)
            self._cost = time.thread_time_ns() - began
            self._due = time.monotonic_ns() + REST * self._cost
        return self._each

    def together(self, entries: Sequence[Any]) -> int:
        """About how many bytes these entries keep alive, estimated from the first and the last one."""
        if not entries:
            return 0
        return (self.weigh(entries[0]) + self.weigh(entries[-1])) * len(entries) // 2

    def portion(self, entries: Sequence[Any], most: int) -> int:
        """How many of these entries, from the first on, keep about so many bytes alive; at least one.

        All of them, if they exceed the limit by at most a quarter: otherwise a small frame would remain.

        >>> Weigher().portion([b"x" * 1000] * 4096, 65_536), Weigher().portion([b"x", bytes(9000), b"x"], 1000)
        (63, 1)

        Three entries are measured; all of them if these three differ much.
        """
        self.each = 0.0
        if SCALARS.issuperset(map(type, entries[:: len(entries) // KINDS_SEEN + 1])):
            return len(entries)
        last = len(entries) - 1
        if last < MEASURED:
            return self._one_by_one(entries, most)
        sizes = [self._measured(entries[last * step // (MEASURED - 1)]) for step in range(MEASURED)]
        if max(sizes) > UNLIKE * min(sizes):
            return self._one_by_one(entries, most)
        self.each = sum(sizes) / MEASURED
        if self.each * len(entries) <= ALL_OF_THEM * most:
            return len(entries)
        return max(1, int(most / self.each))

    def _one_by_one(self, entries: Iterable[Any], most: int) -> int:
        count = total = 0
        for entry in entries:
            total += self._measured(entry)
            if count and total > most:
                break
            count += 1
        return count

    def _measured(self, entry: Any) -> int:
        return self._scale.weigh(entry) if self._cost < CHEAP_NS else self.weigh(entry)


class _Scale:
    """Measures one item at a time. It remembers how to look into each type."""

    def __init__(self) -> None:
        self._looks: dict[type, Look] = {}

    def weigh(self, item: Any) -> int:
        """About how many bytes this item keeps alive."""
        if type(item) in LEAVES:
            return getsizeof(item)
        total, left = 0.0, MOST_OBJECTS
        # Each with the number of elements that it represents.
        pending: list[tuple[Any, float]] = [(item, 1.0)]
        seen: set[int] = set()
        while pending and left > 0:
            value, times = pending.pop()
            if id(value) in seen:
                continue
            seen.add(id(value))
            try:
                own, parts, count = (self._looks.get(type(value)) or self._look(value))(value)
            except Exception:
                # The item's own code raised, or another thread changed it: an estimate is enough.
                own, parts, count = UNKNOWN, (), 0
            total += own * times
            if count > len(parts):
                times *= count / len(parts)
            for part in parts:
                left -= 1
                if type(part) in LEAVES:
                    total += getsizeof(part) * times
                else:
                    pending.append((part, times))
        return int(total)

    def _look(self, value: Any) -> Look:
        """Find out how to look into values of a type that is seen for the first time."""
        kind = type(value)
        weight = WEIGHTS.get(f"{kind.__module__}.{kind.__qualname__}")
        look: Look
        # An object that reports its size is not looked into: that size includes its parts.
        if weight is not None:
            look = _sized_by(weight)
        elif isinstance(value, CODE):
            look = _nothing
        elif isinstance(value, SEQUENCES):
            look = _sequence
        elif isinstance(value, dict):
            look = _mapping
        elif isinstance(value, SETS):
            look = _set
        elif isinstance(getattr(kind, "__sizeof__", None), FunctionType):
            look = _alone
        elif hasattr(kind, "nbytes"):
            look = _buffer
        else:
            look = _object if gc.is_tracked(value) else _alone
        self._looks[kind] = look
        return look


def _nothing(_: Any) -> tuple[int, Sequence[Any], int]:
    return 0, (), 0


def _alone(value: Any) -> tuple[int, Sequence[Any], int]:
    return getsizeof(value, UNKNOWN), (), 0


def _sized_by(weight: Callable[[Any], int]) -> Look:
    return lambda value: (weight(value), (), 0)


def _buffer(value: Any) -> tuple[int, Sequence[Any], int]:
    """Arrays, tensors, tables: a view counts with the bytes that it shows."""
    return int(value.nbytes) + UNKNOWN, (), 0


def _sequence(value: Any) -> tuple[int, Sequence[Any], int]:
    count = len(value)
    parts = value if count <= SAMPLE else [value[count * step // SAMPLE] for step in range(SAMPLE)]
    return getsizeof(value, UNKNOWN), *_distinct(parts, count)


def _set(value: Any) -> tuple[int, Sequence[Any], int]:
    return getsizeof(value, UNKNOWN), list(islice(value, SAMPLE)), len(value)


def _mapping(value: Any) -> tuple[int, Sequence[Any], int]:
    count = len(value)
    # A small dict is taken for a record, which shares its keys with other records.
    if count <= SAMPLE:
        return getsizeof(value, UNKNOWN), tuple(value.values()), count
    parts = list(chain(islice(value, SAMPLE), islice(value.values(), SAMPLE)))
    return getsizeof(value, UNKNOWN), parts, 2 * count


def _object(value: Any) -> tuple[int, Sequence[Any], int]:
    """The objects that the garbage collector finds in it: attributes, slots, what a type written in C refers to."""
    parts = gc.get_referents(value)
    return getsizeof(value, UNKNOWN), parts[:: len(parts) // SAMPLE + 1], len(parts)


def _distinct(parts: Sequence[Any], count: int) -> tuple[Sequence[Any], int]:
    """Parts that are all the same object count once."""
    return (parts[:1], 1) if count > SAMPLE and len(set(map(id, parts))) == 1 else (parts, count)

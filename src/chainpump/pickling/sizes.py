"""How many bytes an item keeps alive: measured deep on samples, so that it costs a few per cent of the time at most.

Every bound on memory rests on this: how many results travel together, and how many may wait between threads, behind
tasks, and where the order of items is restored.
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

# Exact types of which nobody can change a value; a subclass may carry state, and does not count.
SCALARS: frozenset[type] = frozenset((int, float, bool, complex, type(None)))
STRINGS: frozenset[type] = frozenset((str, bytes))

LEAVES = SCALARS | STRINGS | {bytearray}
SEQUENCES = (list, tuple, deque)
SETS = (set, frozenset)
# What is inside these belongs to the program, not to the item.
CODE = (
    *(AsyncGeneratorType, BuiltinFunctionType, CodeType, CoroutineType, FrameType, FunctionType),
    *(GeneratorType, MethodType, ModuleType, TracebackType, type),
)

# That one measurement looks at: about 3 ms.
MOST_OBJECTS = 10_000
# Elements of a container that are looked at, evenly spaced; they stand for the others.
SAMPLE = 32
# Bytes; of what does not say its size.
UNKNOWN = 64
# Entries of a frame whose types are looked at.
KINDS_SEEN = 64
# Entries of a frame that are measured: the first, the last, and one between them.
MEASURED = 3
# Entries that keep so much more alive than a frame is to take are not cut.
ALL_OF_THEM = 1.25
# If the largest of these is so many times the smallest, entries are measured one by one.
UNLIKE = 4
# After a measurement, so many times its duration passes before the next one: about 3 % of the time.
REST = 32
# A measurement of less than that is done without a look at the clock, a few times a frame.
CHEAP_NS = 20_000

# Any, in all of this module: items are opaque.
# Own size, parts looked at, how many there are.
Look: TypeAlias = Callable[[Any], tuple[int, Sequence[Any], int]]


def deep_size(item: Any) -> int:
    """About how many bytes an item keeps alive: itself, and all that is inside.

    >>> deep_size((1, bytearray(1_000_000))) // 1000, deep_size([bytes(1000)] * 9) // 1000
    (1000, 9)

    A long container is measured by a sample of its elements. Functions, classes and modules count as nothing, and so
    does what is beyond the first 10,000 objects.
    """
    return _Scale().weigh(item)


class Weigher:
    """Weighs the items of one stream. For one thread at a time.

    It knows what an item has weighed lately, and measures again after a while, or if an item is of another type. So
    sizes that jump are noticed after a few items: large items take long to make.
    """

    def __init__(self) -> None:
        self._scale = _Scale()
        # Of the item that was measured last.
        self._kind: type | None = None
        # Bytes; of that item.
        self._each = 0
        # Ns; of measuring it.
        self._cost = 0
        # Ns; when to measure again.
        self._due = 0
        # Bytes; of each of the entries that `portion` has seen last; 0 where they are numbers, few, or unlike.
        self.each = 0.0

    def weigh(self, item: Any) -> int:
        """About how many bytes this item keeps alive."""
        if type(item) in LEAVES:
            return getsizeof(item)
        if type(item) is not self._kind or time.monotonic_ns() >= self._due:
            # Of this thread alone: the time that others hold the interpreter is no cost.
            began = time.thread_time_ns()
            self._kind = type(item)
            self._each = self._scale.weigh(item)
            self._cost = time.thread_time_ns() - began
            self._due = time.monotonic_ns() + REST * self._cost
        return self._each

    def together(self, entries: Sequence[Any]) -> int:
        """About how many bytes these entries keep alive: the first and the last of them stand for the others."""
        if not entries:
            return 0
        return (self.weigh(entries[0]) + self.weigh(entries[-1])) * len(entries) // 2

    def portion(self, entries: Sequence[Any], most: int) -> int:
        """How many of these entries, from the first, keep about so many bytes alive, but at least one.

        All of them, where that is no more than a quarter too much: a small frame would be left of them.

        >>> Weigher().portion([b"x" * 1000] * 4096, 65_536), Weigher().portion([b"x", bytes(9000), b"x"], 1000)
        (63, 1)

        Three entries are measured, and each of them if those are unlike.
        """
        self.each = 0.0
        if SCALARS.issuperset(map(type, entries[:: len(entries) // KINDS_SEEN + 1])):
            return len(entries)
        last = len(entries) - 1
        if last < MEASURED:
            return self._one_by_one(entries, most)
        sizes = [self._measured(entries[last * place // (MEASURED - 1)]) for place in range(MEASURED)]
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
        # And for how many of its kind it stands.
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
                # Of the item's own code, or since another thread changes it: it is an estimate.
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
        """How to look into values of this type, which is a new one."""
        kind = type(value)
        weight = WEIGHTS.get(f"{kind.__module__}.{kind.__qualname__}")
        look: Look
        # What tells its size by itself is not looked into: its parts are in what it tells.
        if weight is not None:
            look = _told_by(weight)
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


def _told_by(weight: Callable[[Any], int]) -> Look:
    return lambda value: (weight(value), (), 0)


def _buffer(value: Any) -> tuple[int, Sequence[Any], int]:
    """Arrays, tensors, tables: a view counts as what it shows."""
    return int(value.nbytes) + UNKNOWN, (), 0


def _sequence(value: Any) -> tuple[int, Sequence[Any], int]:
    count = len(value)
    parts = value if count <= SAMPLE else [value[count * place // SAMPLE] for place in range(SAMPLE)]
    return getsizeof(value, UNKNOWN), *_distinct(parts, count)


def _set(value: Any) -> tuple[int, Sequence[Any], int]:
    return getsizeof(value, UNKNOWN), list(islice(value, SAMPLE)), len(value)


def _mapping(value: Any) -> tuple[int, Sequence[Any], int]:
    count = len(value)
    # A record, whose keys it shares with others.
    if count <= SAMPLE:
        return getsizeof(value, UNKNOWN), tuple(value.values()), count
    parts = list(chain(islice(value, SAMPLE), islice(value.values(), SAMPLE)))
    return getsizeof(value, UNKNOWN), parts, 2 * count


def _object(value: Any) -> tuple[int, Sequence[Any], int]:
    """What the garbage collector sees: attributes, slots, and what a type written in C refers to."""
    parts = gc.get_referents(value)
    return getsizeof(value, UNKNOWN), parts[:: len(parts) // SAMPLE + 1], len(parts)


def _distinct(parts: Sequence[Any], count: int) -> tuple[Sequence[Any], int]:
    """One object many times over is there once."""
    return (parts[:1], 1) if count > SAMPLE and len(set(map(id, parts))) == 1 else (parts, count)

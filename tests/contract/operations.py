"""Functions of one item for the contract tests of operators, where worker processes can import them."""

from __future__ import annotations

import io
import os
import select
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from contract.stages import Bad
from support.gate import Gate, Journal

T = TypeVar("T")

# Results of one item: enough for several frames.
MANY = 5_000


# ----------------------------------------------------------------------------------------------------- functions


def increased(value: int) -> int:
    return value + 1


def is_even(value: int) -> bool:
    return value % 2 == 0


def letters(value: int) -> str:
    """Something that is true except for 0."""
    return "x" * (value % 3)


def never(value: object) -> bool:
    return False


def some(value: int) -> Iterator[tuple[int, int]]:
    """None, one or two."""
    for place in range(value % 3):
        yield value, place


def some_listed(value: int) -> list[int]:
    """All at once."""
    return [value] * (value % 4)


def sometimes_many(value: int) -> Iterator[tuple[int, int]]:
    """Very many of one in ten, one of half of the others, and none of the rest."""
    for place in range(MANY if value % 10 == 3 else value % 2):
        yield value, place


def tagged(pair: tuple[int, int]) -> str:
    value, place = pair
    return f"{value}:{place}"


def plus(value: int, more: int) -> int:
    return value + more


def itself(item: T) -> T:
    return item


def weight(array: Any) -> int:
    """Of what is in it: each byte counts."""
    return int(array.sum())


def late(value: int) -> int:
    """It waits for something outside, far longer than an item takes to come, however busy the machine is."""
    select.select([], [], [], 0.1)
    return value


def written(value: int, journal: Journal) -> None:
    journal.write(value)


@dataclass(frozen=True)
class Boxed:
    """A class as a function."""

    value: int


@dataclass(frozen=True)
class Scaled:
    """A callable object, and one with a method."""

    factor: int

    def __call__(self, value: int) -> int:
        return self.factor * value

    def times(self, value: int) -> int:
        return self.factor * value


# ---------------------------------------------------------------------------------------------------- that raise


@dataclass(frozen=True)
class Unlucky:
    """Raises on some values, and passes on the others."""

    values: frozenset[int]

    def __call__(self, value: int) -> int:
        if value in self.values:
            raise Bad(f"cannot take {value}")
        return value


@dataclass(frozen=True)
class HalfWay:
    """Yields each value twice, and raises on some of them between the two."""

    values: frozenset[int]

    def __call__(self, value: int) -> Iterator[int]:
        yield value
        if value in self.values:
            raise Bad(f"cannot repeat {value}")
        yield value


def unlucky_pair(pair: tuple[int, int]) -> tuple[int, int]:
    if pair == (20, 1):
        raise Bad(f"cannot take {pair}")
    return pair


def doubtful(value: int) -> int:
    """Two sorts of errors, and one that is worse than both."""
    if value % 10 == 3:
        raise ValueError(f"bad value {value}")
    if value % 10 == 7:
        raise KeyError(value)
    return value


class Stubborn:
    """Raises on every fifth value, so many times for each; each worker has its own, and so has each pipeline."""

    def __init__(self, times: int) -> None:
        self._times = times
        self._tries: Counter[int] = Counter()

    def __call__(self, value: int) -> int:
        if value % 5 == 0 and self._tries[value] < self._times:
            self._tries[value] += 1
            raise Bad(f"try {self._tries[value]} of {value}")
        return value

    def twice(self, value: int) -> Iterator[int]:
        """For `flat_map`: it raises between two results."""
        yield value
        yield self(value)


class Unsendable(Exception):
    """An exception that cannot be rebuilt from its pickle."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__(f"{first} and {second}")


def exhausted(value: int) -> int:
    """What `next` raises where nothing is left: an error like any other, and the end of nothing."""
    return next(iter([value] * (value != 41)))


def raising_unsendable(value: int) -> int:
    if value == 5:
        raise Unsendable(value, value)
    return value


def not_found(value: int) -> int:
    if value == 5:
        from email.message import Message
        from urllib.error import HTTPError

        error = HTTPError(f"http://host/{value}", 404, "Not Found", Message(), io.BytesIO(b"no such page"))
        error.lock = threading.Lock()  # type: ignore[attr-defined]  # what no process can send
        raise error
    return value


# ------------------------------------------------------------------------------------- that meet the test at a gate


def pausing(gate: Gate, before: int, behind: int) -> Iterator[int]:
    """A source that waits at a gate in the middle."""
    yield from range(before)
    gate.wait_released()
    yield from range(before, before + behind)


def large(n: int, journal: Journal) -> Iterator[bytes]:
    """A source of items of 1 MiB, each of which begins with its number; it leaves its process id, and each number."""
    journal.write(os.getpid())
    for number in range(n):
        journal.write(number)
        yield number.to_bytes(4, "big") + bytes(1 << 20)


def small(n: int) -> Iterator[bytes]:
    yield from (number.to_bytes(4, "big") for number in range(n))


def number_of(item: bytes) -> int:
    return int.from_bytes(item[:4], "big")


@dataclass(frozen=True)
class Held:
    """Holds the item of one number at a gate."""

    gate: Gate
    at: int

    def __call__(self, item: bytes) -> bytes:
        return self.gate.hold(item) if number_of(item) == self.at else item


def numbers_of(items: Iterable[bytes]) -> list[int]:
    return [number_of(item) for item in items]

"""Sources, stages and sinks of the contract tests, where worker processes can import them."""

from __future__ import annotations

import multiprocessing
import select
from collections.abc import Iterable, Iterator
from itertools import count, islice
from typing import Any

from support.gate import Gate, Journal


class Bad(Exception):
    """What the stages of these tests raise."""


# ------------------------------------------------------------------------------------------------------- sources


def numbers(n: int) -> Iterator[int]:
    yield from range(n)


class EndsOnce(Iterator[Any]):
    """Its end comes once, as that of an iterator over a queue: whoever asks again would wait for ever."""

    def __init__(self, items: Iterable[Any]) -> None:
        self._items = iter(items)
        self._has_ended = False

    def __next__(self) -> Any:
        if self._has_ended:
            raise Bad("asked again behind the end")
        for item in self._items:
            return item
        self._has_ended = True
        raise StopIteration


def ending_once(n: int, kind: type) -> Iterator[Any]:
    """It returns the iterator itself, as a source that is no generator function may."""
    return EndsOnce(kind(number) for number in range(n))


def endless() -> Iterator[int]:
    yield from count()


def now_and_then(n: int) -> Iterator[int]:
    """It waits a moment after every ten."""
    for number in range(n):
        if number % 10 == 9:
            select.select([], [], [], 0.001)
        yield number


def things(n: int) -> Iterator[Any]:
    """Items of every sort."""
    for number in range(n):
        yield from (number, None, str(number), (number, [number]), {"n": number}, Bad(number), b"", 0.5)


def arrays(n: int) -> Iterator[Any]:
    """Arrays of 1 MiB, and one of 64 bytes after each."""
    # Most workers need none of it, and each would pay for it.
    import numpy as np

    for number in range(n):
        yield np.full(1 << 17, number)
        yield np.full(8, -number)


def raising_source(n: int) -> Iterator[int]:
    yield from range(n)
    raise Bad("the source has failed")


def journalled_numbers(n: int, journal: Journal) -> Iterator[int]:
    for number in range(n):
        journal.write(f"made {number}")
        yield number


# -------------------------------------------------------------------------------------------------------- stages


def same(items: Iterable[Any]) -> Iterator[Any]:
    yield from items


def increased(values: Iterable[int]) -> Iterator[int]:
    for value in values:
        yield value + 1


def even(values: Iterable[int]) -> Iterator[int]:
    for value in values:
        if value % 2 == 0:
            yield value


def repeated(values: Iterable[int]) -> Iterator[int]:
    for value in values:
        yield from [value] * (value % 3)


def paired(values: Iterable[int]) -> Iterator[list[int]]:
    iterator = iter(values)
    while pair := list(islice(iterator, 2)):
        yield pair


def summed(values: Iterable[int]) -> Iterator[int]:
    total = 0
    for value in values:
        total += value
        yield total
    # One more after the end of its input.
    yield -1


def counted_at_the_end(values: Iterable[int]) -> Iterator[int]:
    yield sum(1 for _ in values)


def in_a_list(values: Iterable[int]) -> list[int]:
    """No generator: all at once."""
    return [value + 1 for value in values]


def nothing(values: Iterable[int]) -> Iterator[int]:
    for _ in values:
        pass
    yield from ()


def first(values: Iterable[int], n: int) -> Iterator[int]:
    yield from islice(values, n)


def held_with_a_last_one(values: Iterable[int], gate: Gate, journal: Journal) -> Iterator[int]:
    """Yields one more behind its loop."""
    try:
        for value in values:
            yield gate.hold(value)
        yield -1
    finally:
        journal.write("over")


def growing(values: Iterable[int]) -> Iterator[list[int]]:
    """One list, which it changes after each yield."""
    seen: list[int] = []
    for value in values:
        seen.append(value)
        yield seen


def lengths(lists: Iterable[list[int]]) -> Iterator[int]:
    yield from map(len, lists)


def raising_stage(values: Iterable[int], at: int) -> Iterator[int]:
    for value in values:
        if value == at:
            raise Bad(f"cannot take {value}")
        yield value


def raising_at_the_end(values: Iterable[int]) -> Iterator[int]:
    yield from values
    raise Bad("cannot end")


# --------------------------------------------------------------------------------------------------------- sinks


def listed(items: Iterable[Any]) -> list[Any]:
    return list(items)


def total(values: Iterable[int]) -> int:
    return sum(values)


def exhausted(items: Iterable[Any]) -> None:
    for _ in items:
        pass


def weighed(arrived: Iterable[Any]) -> list[tuple[int, int]]:
    return [(array.size, int(array.sum())) for array in arrived]


def first_listed(values: Iterable[int], n: int) -> list[int]:
    return list(islice(values, n))


def raising_sink(values: Iterable[int], at: int) -> None:
    for value in values:
        if value == at:
            raise Bad(f"cannot keep {value}")


def journalled(values: Iterable[int], journal: Journal) -> None:
    for value in values:
        journal.write(f"done {value}")


def name_of_process() -> Iterator[str]:
    yield multiprocessing.current_process().name

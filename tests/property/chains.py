"""Stages of random pipelines, where worker processes can import them; each takes numbers and lists of lists alike."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

MODULUS = 10_007


def weight(item: Any) -> int:
    """A number that depends on all that is in an item."""
    return item if isinstance(item, int) else sum(weight(part) * place for place, part in enumerate(item, 1)) % MODULUS


# One item at a time: several workers may share the work.


def same(items: Iterable[Any]) -> Iterator[Any]:
    yield from items


def kept(items: Iterable[Any], divisor: int) -> Iterator[Any]:
    """Keep some."""
    for item in items:
        if weight(item) % divisor:
            yield item


def expanded(items: Iterable[Any], times: int) -> Iterator[Any]:
    """Make more of some, and none of others."""
    for item in items:
        yield from ([item, copy] for copy in range(weight(item) % (times + 1)))


def weighed(items: Iterable[Any]) -> Iterator[int]:
    yield from map(weight, items)


# Across items: only one worker gives the same result each time.


def grouped(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Lists of so many; the last one may be shorter."""
    iterator = iter(items)
    while group := list(islice(iterator, size)):
        yield group


def summed(items: Iterable[Any]) -> Iterator[int]:
    """The weight of all items so far; once more at the end."""
    total = 0
    for item in items:
        total = (total + weight(item)) % MODULUS
        yield total
    yield total


def changes(items: Iterable[Any]) -> Iterator[Any]:
    """Items that differ from the one before."""
    before = None
    for item in items:
        if before is None or weight(item) != before:
            yield item
        before = weight(item)


def last(items: Iterable[Any], n: int) -> Iterator[Any]:
    """Nothing until the end, then the last few."""
    yield from list(items)[-n:]


def first(items: Iterable[Any], n: int) -> Iterator[Any]:
    """The first few; it stops before its input has ended."""
    yield from islice(items, n)


def failing(items: Iterable[Any], at: int) -> Iterator[Any]:
    """Everything up to the item in this place, counted from 0."""
    for place, item in enumerate(items):
        if place == at:
            raise ValueError(f"cannot take {weight(item)}")
        yield item


def hasty(items: Iterable[Any], n: int) -> Iterator[Any]:
    """The first few, though nobody has allowed it to stop."""
    yield from islice(items, n)


def summed_up(items: Iterable[Any]) -> tuple[int, int]:
    """A sink: how many there were, and what they weigh in their order."""
    arrived = list(items)
    return len(arrived), weight(arrived)

"""The generator stages that come along: plain generator functions, which a pipeline binds like those of a user."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Protocol, TypeVar, cast

from .bound import Bound

__all__ = ["TimedItems", "batch", "batch_within", "of_several", "take", "unbatch", "window"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class TimedItems(Protocol[T_co]):
    """The input of a stage that cares how long it waits; every stage's input is one."""

    def __iter__(self) -> Iterator[T_co]: ...

    def wait(self, seconds: float) -> bool:
        """Wait until the next item is there, or the end; False if that takes longer. True where nothing can wait."""
        ...


def batch(items: Iterable[T], n: int) -> Iterator[list[T]]:
    """Lists of n items; the last one may be shorter.

    >>> list(batch("abcde", 2))
    [['a', 'b'], ['c', 'd'], ['e']]
    """
    items = iter(items)
    while found := list(islice(items, n)):
        yield found
        # A stage that waits holds nothing of what came before.
        del found


def batch_within(items: Iterable[T], n: int, within: float) -> Iterator[list[T]]:
    """Lists of n items, or fewer where the first of them has waited for so many seconds. items: TimedItems."""
    timed = cast("TimedItems[T]", items)
    taken = iter(items)
    for first in taken:
        found = [first]
        del first
        until = time.monotonic() + within
        while len(found) < n and timed.wait(max(0.0, until - time.monotonic())):
            more = list(islice(taken, 1))
            if not more:
                break
            found += more
        yield found
        del found


def window(items: Iterable[T], n: int, step: int) -> Iterator[tuple[T, ...]]:
    """Windows of n neighbouring items; each begins so many items behind the one before.

    >>> list(window("abcde", 3, 1))
    [('a', 'b', 'c'), ('b', 'c', 'd'), ('c', 'd', 'e')]
    """
    taken = iter(items)
    # Items of a window that the one before has not.
    new = min(n, step)
    held = deque(islice(taken, n - 1))
    for item in taken:
        held.append(item)
        # While it waits, it holds of what came before only what the next window needs.
        del item
        yield tuple(held)
        held.popleft()
        # Most often it is 1, and this would take most of the time.
        if step > 1:
            for _ in range(new - 1):
                held.popleft()
            deque(islice(taken, step - new), maxlen=0)
            held.extend(islice(taken, new - 1))


def unbatch(batches: Iterable[Iterable[T]]) -> Iterator[T]:
    """The items of each batch, one after the other.

    >>> list(unbatch([[1, 2], [3]]))
    [1, 2, 3]
    """
    for each in batches:
        yield from each


def take(items: Iterable[T], n: int) -> Iterator[T]:
    """The first n items; it asks for no more than that.

    >>> list(take("abc", 2))
    ['a', 'b']
    """
    return islice(items, n)


def of_several(call: Bound) -> str | None:
    """What is wrong with several workers of a stage of all items; None if they may share the work."""
    if call.function is take:
        return f"each worker would take {call.args[0]} items"
    if call.function is window:
        return "each worker would get some of the items, and find no neighbours among them"
    return None

"""The generator stages of the library: plain generator functions, which a pipeline binds like those of a user."""

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
    """The input of a stage that limits its waiting time; the input of every stage supports this."""

    def __iter__(self) -> Iterator[T_co]: ...

    def wait(self, seconds: float) -> bool:
        """Wait for the next item or the end; False after so many seconds. An input that cannot wait returns True."""
        ...


def batch(items: Iterable[T], n: int) -> Iterator[list[T]]:
    """Yield lists of n items; the last one may be shorter.

    >>> list(batch("abcde", 2))
    [['a', 'b'], ['c', 'd'], ['e']]
    """
    items = iter(items)
    while found := list(islice(items, n)):
        yield found
        # A stage that waits holds no earlier items alive.
        del found


def batch_within(items: Iterable[T], n: int, within: float) -> Iterator[list[T]]:
    """Yield lists of n items, or fewer once the first of them has waited for `within` seconds. items: TimedItems."""
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
    """Yield windows of n neighbouring items; each begins `step` items after the one before.

    >>> list(window("abcde", 3, 1))
    [('a', 'b', 'c'), ('b', 'c', 'd'), ('c', 'd', 'e')]
    """
    taken = iter(items)
    # How many items of a window are not in the window before.
    new = min(n, step)
    held = deque(islice(taken, n - 1))
    for item in taken:
        held.append(item)
        # A stage that waits holds only the items that the next window needs.
        del item
        yield tuple(held)
        held.popleft()
        # The step is usually 1, and then this code would take most of the time.
        if step > 1:
            for _ in range(new - 1):
                held.popleft()
            deque(islice(taken, step - new), maxlen=0)
            held.extend(islice(taken, new - 1))


def unbatch(batches: Iterable[Iterable[T]]) -> Iterator[T]:
    """Yield the items of each batch, one after the other.

    >>> list(unbatch([[1, 2], [3]]))
    [1, 2, 3]
    """
    for each in batches:
        yield from each


def take(items: Iterable[T], n: int) -> Iterator[T]:
    """Yield the first n items, and request no further item.

    >>> list(take("abc", 2))
    ['a', 'b']
    """
    return islice(items, n)


def of_several(call: Bound) -> str | None:
    """Return why a stage of all items cannot have several workers; None if they can share the work."""
    if call.function is take:
        return f"each worker would take {call.args[0]} items"
    if call.function is window:
        return "each worker would get some of the items, and find no neighbours among them"
    return None

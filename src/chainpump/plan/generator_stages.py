"""The generator stages of the library: plain generator functions, which a pipeline binds like those of a user."""

from __future__ import annotations

import random
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from itertools import islice
from operator import add, sub
from typing import Any, Protocol, TypeVar, cast

from ..lazy_dataclass import replace
from .bound import Bound

__all__ = [
    "TimedItems",
    "batch",
    "batch_by",
    "batch_within",
    "continued",
    "differing",
    "distinct",
    "group_by",
    "is_timed",
    "may_make_at_end",
    "numbered",
    "of_several",
    "shuffle",
    "skip",
    "skip_while",
    "take",
    "take_while",
    "unbatch",
    "window",
]

T = TypeVar("T")
K = TypeVar("K")
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


def batch_by(
    items: Iterable[T], n: int | None, by: Callable[[T], float], most: float, within: float | None
) -> Iterator[list[T]]:
    """Yield lists of items that weigh at most `most` together; an item that weighs more is alone in its list.

    n: the most items of a list, or None. within: as in `batch_within`, or None. items: TimedItems if it is a number.

    >>> list(batch_by(["a", "bc", "defg", "h"], None, len, 3, None))
    [['a', 'bc'], ['defg'], ['h']]
    """
    timed = cast("TimedItems[T]", items)
    found: list[T] = []
    total: float = 0
    until = 0.0
    for item in iter(items):
        weight = by(item)
        # Not a number is not at least 0 either.
        if not weight >= 0:
            raise ValueError(f"by= must return a number of at least 0 but returned: {weight!r}")
        if found and total + weight > most:
            yield found
            found, total = [], 0
        if within is not None and not found:
            until = time.monotonic() + within
        found.append(item)
        total += weight
        del item
        is_full = len(found) == n or total >= most
        if is_full or (within is not None and not timed.wait(max(0.0, until - time.monotonic()))):
            yield found
            found, total = [], 0
    if found:
        yield found


def group_by(items: Iterable[T], key: Callable[[T], K], most: int | None) -> Iterator[tuple[K, list[T]]]:
    """Yield each key with the list of neighbours that have it; a list of `most` items is sent as it is.

    >>> list(group_by("aAbA", str.lower, None))
    [('a', ['a', 'A']), ('b', ['b']), ('a', ['A'])]
    """
    group: tuple[K, list[T]] | None = None
    for item in items:
        of = key(item)
        if group is not None and of != group[0]:
            yield group
            group = None
        if group is None:
            group = (of, [])
        group[1].append(item)
        del item, of
        if len(group[1]) == most:
            yield group
            group = None
    if group is not None:
        yield group


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
        try:
            items = iter(each)
        except TypeError as error:
            raise TypeError(
                f"unbatch takes iterables apart but got: {type(each).__name__}. "
                "Leave .unbatch() out, or let the stage before it make lists."
            ) from error
        del each
        yield from items
        del items


def take(items: Iterable[T], n: int) -> Iterator[T]:
    """Yield the first n items, and request no further item.

    >>> list(take("abc", 2))
    ['a', 'b']
    """
    return islice(items, n)


def take_while(items: Iterable[T], function: Callable[[T], object]) -> Iterator[T]:
    """Yield items until the function returns a false value for one, and request no further item.

    >>> list(take_while([1, 2, 9, 1], lambda number: number < 5))
    [1, 2]
    """
    # `itertools.takewhile` would take a StopIteration of the function for the end.
    for item in items:
        if not function(item):
            return
        yield item
        del item


def skip(items: Iterable[T], n: int) -> Iterator[T]:
    """Yield all items except the first n.

    >>> list(skip("abc", 2))
    ['c']
    """
    return islice(items, n, None)


def skip_while(items: Iterable[T], function: Callable[[T], object]) -> Iterator[T]:
    """Yield all items from the first one for which the function returns a false value.

    >>> list(skip_while([1, 2, 9, 1], lambda number: number < 5))
    [9, 1]
    """
    taken = iter(items)
    for item in taken:
        is_skipped = function(item)
        if not is_skipped:
            yield item
        del item
        if not is_skipped:
            yield from taken


def numbered(items: Iterable[T], start: int) -> Iterator[tuple[int, T]]:
    """Yield each item with its number. `enumerate` itself keeps the last item alive while it waits for the next.

    >>> list(numbered("ab", 1))
    [(1, 'a'), (2, 'b')]
    """
    number = start
    for item in items:
        yield number, item
        del item
        number += 1


def shuffle(items: Iterable[T], buffer: int, seed: int | None) -> Iterator[T]:
    """Yield the items in a random order: each is drawn from `buffer` items, and the next item takes its place.

    >>> sorted(shuffle("abc", 2, None))
    ['a', 'b', 'c']
    """
    # Each worker process has its own seed for the generator of the module, and `run(seed=...)` repeats it.
    chosen = random.getrandbits(64) if seed is None else seed
    # `random()` returns the same numbers in every version of Python, which `randrange` does not promise.
    draw = random.Random(chosen).random  # noqa: S311  # no secret
    taken = iter(items)
    held = list(islice(taken, buffer - 1))

    def drawn() -> T:
        at = int(draw() * len(held))
        held[at], held[-1] = held[-1], held[at]
        return held.pop()

    for item in taken:
        held.append(item)
        del item
        yield drawn()
    while held:
        yield drawn()


def distinct(items: Iterable[T], key: Callable[[T], Hashable] | None, within: int | None) -> Iterator[T]:
    """Yield the items whose key is new. within: how many keys are remembered, those seen last; None for all.

    >>> list(distinct("aAbBa", str.lower, None))
    ['a', 'b']
    """
    seen: OrderedDict[Hashable, None] = OrderedDict()
    for item in items:
        of = item if key is None else key(item)
        is_new = of not in seen
        seen[of] = None
        if not is_new:
            seen.move_to_end(of)
        elif within is not None and len(seen) > within:
            seen.popitem(last=False)
        if is_new:
            yield item
        del item, of


# The stages whose result several workers cannot share, and why. The first argument of a stage stands for {0}.
ALONE: tuple[tuple[Callable[..., Any], str], ...] = (
    (take, "each worker would take {0} items"),
    (take_while, "each worker would stop at an item of its own"),
    (skip, "each worker would skip {0} items"),
    (skip_while, "each worker would skip the first of its own items"),
    (numbered, "each worker would count from {0}"),
    (shuffle, "each worker would shuffle some of the items, and the same seed would not give the same order"),
    (distinct, "each worker would compare only its own items"),
    (window, "each worker would get some of the items, and find no neighbours among them"),
    (group_by, "each worker would get some of the items, and find no neighbours among them"),
)
# The stages that hold nothing when they request an item directly after a result, and what becomes of their argument at
# that moment, as a function of it and of the number of results; None if the same stage goes on.
CONTINUED: tuple[tuple[Callable[..., Any], Callable[[int, int], int] | None], ...] = (
    (batch, None),
    (unbatch, None),
    (take_while, None),
    (take, sub),
    (numbered, add),
    (skip, lambda _, __: 0),
)
# The stages that make nothing at the end of their input: they hold no item for a result.
ENDLESS = (distinct, numbered, skip, skip_while, take, take_while, unbatch)
# The stages that need TimedItems.
TIMED = (batch_within, batch_by)


def of_several(call: Bound) -> str | None:
    """Return why a stage of all items cannot have several workers; None if they can share the work."""
    # A function of a user may not be hashable, and comparing it may run any code.
    reason = next((reason for function, reason in ALONE if function is call.function), None)
    return None if reason is None else reason.format(*call.args)


def differing(call: Bound) -> tuple[str, str] | None:
    """Return why a stage makes other items of the same input when it runs again, and what to do; None if unknown."""
    if call.function is batch_within or (call.function is batch_by and call.args[-1] is not None):
        return "makes lists that depend on how fast items come", "Leave out within= there."
    if call.function is shuffle and call.args[-1] is None:
        return "shuffles in another order each time", "Give it a seed: .shuffle(buffer, seed=0)."
    return None


def continued(call: Bound, made: int) -> Bound | None:
    """Return the stage that goes on after so many results, at least one, at a moment at which it requests an item.

    None if it may hold items then, or know something of those before. The request comes directly after a result.
    """
    for function, change in CONTINUED:
        # Comparing a function of a user may run any code.
        if function is call.function:
            return call if change is None else replace(call, args=(change(call.args[0], made),))
    return None


def may_make_at_end(call: Bound) -> bool:
    """Return whether a stage may make items at the end of its input that it would not make of a longer input."""
    return not any(call.function is each for each in ENDLESS)


def is_timed(call: Bound) -> bool:
    """Return whether the input of a stage must be TimedItems and not an iterator."""
    return any(call.function is each for each in TIMED)

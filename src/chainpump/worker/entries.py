"""Which items need not be pickled at once: they cannot change, or a copy of them cannot, or nobody runs in between."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from types import GeneratorType
from typing import Any

from ..pickling.copies import COPY_BYTES
from ..pickling.items import ItemFault
from ..pickling.sizes import SCALARS, STRINGS

__all__ = [
    "COPIES_PER_WEIGHING",
    "SCALAR_BYTES",
    "check_all",
    "ending",
    "given",
    "in_parts",
    "lasting_entry",
    "steps_of",
]

# The approximate size of an int in a pickle.
SCALAR_BYTES = 8
# Copied items, of which one is weighed. The size of a copy is limited, so that the others take 2 MB at most.
COPIES_PER_WEIGHING = 64
# Iterating over these takes no time. No user code that could change an item runs between two items.
CONTAINERS = frozenset((range, list, tuple))


class Steps(chain[Any]):
    """Items of a container, in parts."""


STEPS: frozenset[type] = frozenset(
    (*(type(iter(kind())) for kind in (list, tuple, dict, set)), type(iter(range(0))), Steps)
)
# The iterators that never go on behind their end.
ENDING = STEPS | {chain, GeneratorType}


def steps_of(items: Iterable[Any]) -> Iterator[Any] | None:
    """An iterator over a container, if this is one or the iterator of one."""
    if type(items) in CONTAINERS:
        return iter(items)
    return items if type(items) in STEPS else None  # type: ignore[return-value]  # they are iterators


def ending(items: Iterable[Any]) -> Iterator[Any]:
    """An iterator of these items that is at its end for good, however often it is asked.

    A generator is so already. The iterator of a user may wait for more at its second end, as one over a queue does.

    >>> iterator = iter([1, None, 2].pop, None)
    >>> list(ending(iterator)), list(ending(iter("ab")))
    ([2], ['a', 'b'])
    """
    iterator = iter(items)
    return iterator if type(iterator) in ENDING else chain(iterator)


def in_parts(items: Iterable[Any], parts: Iterable[Iterable[Any]]) -> Iterator[Any]:
    """The items of iterables that are made from `items`, one after another, at the speed of C."""
    kind = chain if steps_of(items) is None else Steps
    return kind.from_iterable(parts)


def given(box: list[Any]) -> Iterator[Any]:
    """Give the only item of a list, and do not keep it alive."""
    yield box.pop()


def lasting_entry(item: Any, kind: type, copies: Mapping[type, Callable[[Any], Any]]) -> tuple[Any, int] | None:
    """The entry of an item that waits for its frame to be pickled, and its size in bytes. None if it cannot wait."""
    if kind in SCALARS:
        return item, SCALAR_BYTES
    if kind in STRINGS:
        return item, len(item)
    copy = copies.get(kind)
    copied = copy(item) if copy is not None else None
    return None if copied is None else (copied, COPY_BYTES)


def check_all(items: Iterable[Any], admit: Callable[[Any], object]) -> None:
    """Raise the error that pickling one of these items raises."""
    for item in items:
        if type(item) not in SCALARS and type(item) not in STRINGS:
            try:
                admit(item)
            except ItemFault as fault:
                raise fault.error from fault.error.__cause__

"""Stages of the library once more, for items that come as sequences: the same results, at the speed of C.

A stage that shares its worker with the next one works in this way: its results reach that as sequences. No function of
the program runs in between, except the iterators that `unbatch` takes apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

from .bound import Bound
from .generator_stages import numbered, skip, take, unbatch

__all__ = ["by_sequences"]

T = TypeVar("T")


def take_of(sequences: Iterable[Iterable[T]], n: int) -> Iterator[list[T]]:
    """Yield the first n items, and request no further sequence.

    >>> list(take_of(iter(["abc", "def"]), 4))
    [['a', 'b', 'c'], ['d']]
    """
    for each in sequences if n else ():
        found = list(islice(each, n))
        n -= len(found)
        del each
        yield found
        # A stage that waits holds no earlier items alive.
        del found
        if not n:
            return


def skip_of(sequences: Iterable[Iterable[T]], n: int) -> Iterator[list[T]]:
    """Yield all items except the first n.

    >>> list(skip_of(iter(["abc", "def"]), 4))
    [[], ['e', 'f']]
    """
    for each in sequences:
        found = list(each)
        del each
        skipped = min(n, len(found))
        n -= skipped
        yield found[skipped:]
        del found


def numbered_of(sequences: Iterable[Iterable[T]], start: int) -> Iterator[list[tuple[int, T]]]:
    """Yield each item with its number.

    >>> list(numbered_of(iter(["ab", "c"]), 1))
    [[(1, 'a'), (2, 'b')], [(3, 'c')]]
    """
    for each in sequences:
        found = list(enumerate(each, start))
        del each
        start += len(found)
        yield found
        del found


def unbatch_of(sequences: Iterable[Iterable[Iterable[T]]]) -> Iterator[Iterable[T]]:
    """Yield the items of each batch, one batch after the other.

    >>> list(unbatch_of(iter([[[1, 2], [3]]])))
    [[1, 2], [3]]
    """
    for batches in sequences:
        for each in batches:
            if type(each) is list:
                yield each
            else:
                # Its iterator may run any code, so that no item is requested early.
                for item in unbatch((each,)):
                    yield (item,)
                    del item
            del each
        del batches


BY_SEQUENCES: tuple[tuple[Callable[..., Any], Callable[..., Iterator[Iterable[Any]]]], ...] = (
    (take, take_of),
    (skip, skip_of),
    (numbered, numbered_of),
    (unbatch, unbatch_of),
)


def by_sequences(call: Bound, one_by_one: bool = False) -> Callable[..., Iterator[Iterable[Any]]] | None:
    """Return the function that makes the results of a stage from sequences of its items; None if there is none.

    one_by_one: each item comes alone. Then a sequence of one costs more than the item itself, except for `unbatch`.
    """
    if one_by_one and call.function is not unbatch:
        return None
    # A function of a user may not be hashable, and comparing it may run any code.
    return next((made for function, made in BY_SEQUENCES if function is call.function), None)

"""Batches that a policy splits: the parts of a batch, and one batch made of their results."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from itertools import chain
from types import ModuleType
from typing import Any, NamedTuple

__all__ = ["Part", "joined", "parts_of"]

# The classes of arrays, by their modules: nothing here imports a library that the program does not use.
ARRAYS: Mapping[str, str] = {"numpy": "ndarray", "torch": "Tensor"}


class Part(NamedTuple):
    """One item of a batch, and a batch of this item alone. Any: an item may be any object."""

    alone: Any
    item: Any


def parts_of(batch: object) -> Sequence[Part] | None:
    """The parts of a list, tuple or array. None for any other item, which cannot be split.

    >>> parts_of(["a", "b"])
    [Part(alone=['a'], item='a'), Part(alone=['b'], item='b')]
    """
    if not (_is_list(batch) or _array_module(batch) is not None):
        return None
    # Any: it has a length and slices.
    items: Any = batch
    return [Part(items[at : at + 1], items[at]) for at in range(len(items))]


# Any: a function may return any object.
def joined(results: Sequence[Any]) -> Any:
    """One batch of the results for batches of one item: lists, tuples, arrays, dicts of them, or only None.

    >>> joined([["a"], ["b", "c"]])
    ['a', 'b', 'c']

    Raises TypeError for other results, and where they differ.
    """
    first = results[0]
    kind = type(first)
    if all(type(each) is kind for each in results):
        if first is None:
            return None
        if isinstance(first, dict):
            return {key: joined([each[key] for each in results]) for key in first}
        if isinstance(first, list):
            return list(chain.from_iterable(results))
        if _is_list(first):
            return tuple(chain.from_iterable(results))
        module: Any = _array_module(first)
        if module is not None:
            return module.concatenate(results)
    names = ", ".join(sorted({type(each).__name__ for each in results}))
    raise TypeError(
        "split=True makes one batch of the results for batches of one item, which must be lists, tuples or arrays, "
        f"but they are: {names}. Return one result for each item, or leave out split=True"
    )


def _is_list(value: object) -> bool:
    """Whether it is a list, or a tuple that is no record with named fields."""
    return isinstance(value, list) or (isinstance(value, tuple) and not hasattr(value, "_fields"))


def _array_module(value: object) -> ModuleType | None:
    """The module of an array that has rows."""
    for name, kind in ARRAYS.items():
        module = sys.modules.get(name)
        if module is not None and isinstance(value, getattr(module, kind, ())):
            # Any: it is an array.
            array: Any = value
            return module if array.ndim else None
    return None

"""An iterable as the source of a pipeline: values, or pairs of an index and a value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import count
from typing import Any, Protocol, TypeAlias, runtime_checkable

from ...worker.stage_run import Nested
from .elements import Element

__all__ = ["gives_elements", "read"]

# What moves through a pipeline if a stage needs the index.
Pair: TypeAlias = tuple[tuple[int, ...], Any]


@runtime_checkable
class _Cancellable(Protocol):
    """An iterator that waits for items in a way that `cancel` ends."""

    def cancel(self) -> None:
        """End the wait. Any thread may call it."""
        ...


def _value(item: Any) -> Any:
    """Return the value of an element, and any other item as it is."""
    return item.value if type(item) is Element else item


def _pair(number: int, item: Any) -> Pair:
    return (item.index, item.value) if type(item) is Element else ((number,), item)


def _values(items: Iterable[Any]) -> Iterator[Any]:
    """Yield the value of each item."""
    # `map` keeps no item alive while it waits for the next one.
    return map(_value, items)


def _pairs(items: Iterable[Any]) -> Iterator[Pair]:
    """Yield the index and the value of each item. An element has an index already."""
    return map(_pair, count(), items)


class _Reader(Nested):
    """The items of an iterable. The end of the run ends its wait, if the iterator can be cancelled."""

    def __init__(self, items: Iterable[Any], indexed: bool) -> None:
        self._items = iter(items)
        self._indexed = indexed

    def __iter__(self) -> Iterator[Any]:
        return _pairs(self._items) if self._indexed else _values(self._items)

    def cancel(self) -> None:
        """End a wait for the next item."""
        if isinstance(self._items, _Cancellable):
            self._items.cancel()

    def close(self) -> None:
        """Do the same."""
        self.cancel()


def read(items: Iterable[Any], indexed: bool) -> Iterable[Any]:
    """Read an iterable. It is the function of a source."""
    return _Reader(items, indexed)


def gives_elements(iterable: Any) -> bool:
    """Whether the items of an iterable are known to be elements, which have an index already."""
    if isinstance(iterable, (list, tuple)):
        return bool(iterable) and type(iterable[0]) is Element
    return bool(getattr(iterable, "gives_elements", False))

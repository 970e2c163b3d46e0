"""An iterable as the source of a pipeline: values, or pairs of an index and a value."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import count, islice, starmap
from typing import Any, Protocol, TypeAlias, runtime_checkable

from ...worker.stage_run import Nested
from .elements import Element

__all__ = ["Sources", "StageElements", "gives_elements", "read"]

# What moves through a pipeline if a stage needs the index.
Pair: TypeAlias = tuple[tuple[int, ...], Any]


@runtime_checkable
class _Cancellable(Protocol):
    """An iterator that waits for items in a way that `cancel` ends."""

    def cancel(self) -> None:
        """End the wait. Any thread may call it."""
        ...


class Sources:
    """What is known about the sources of a run while it runs. gave_elements: whether one of them gave elements."""

    gave_elements = False


class StageElements(Iterable[Element[Any]]):
    """The elements of a stage whose class the program defines itself."""

    def __init__(self, stage: Any) -> None:
        self._stage = stage

    def __iter__(self) -> Iterator[Element[Any]]:
        return iter(self._stage.to_iterable(maxsize=0, return_index=True))


def _value(item: Any) -> Any:
    """Return the value of an element, and any other item as it is."""
    return item.value if type(item) is Element else item


def _pair(number: int, item: Any) -> Pair:
    return (item.index, item.value) if type(item) is Element else ((number,), item)


def _values(items: Iterable[Any]) -> Iterator[Any]:
    """Yield the value of each item."""
    # `map` keeps no item alive while it waits for the next one.
    return map(_value, items)


def _pairs(items: Iterable[Any], sources: Sources) -> Iterator[Pair]:
    """Yield the index and the value of each item. An element has an index already."""
    numbered = zip(count(), items, strict=False)
    for number, item in numbered:
        if type(item) is Element:
            sources.gave_elements = True
        yield _pair(number, item)
        del item
        break
    yield from starmap(_pair, numbered)


class _Reader(Nested):
    """The items of an iterable. The end of the run ends its wait, if the iterator can be cancelled."""

    def __init__(self, items: Iterable[Any], indexed: bool, sources: Sources) -> None:
        self._items = iter(items)
        self._indexed = indexed
        self._sources = sources

    def __iter__(self) -> Iterator[Any]:
        return _pairs(self._items, self._sources) if self._indexed else _values(self._items)

    def cancel(self) -> None:
        """End a wait for the next item."""
        if isinstance(self._items, _Cancellable):
            self._items.cancel()

    def close(self) -> None:
        """Do the same."""
        self.cancel()


def read(items: Iterable[Any], indexed: bool, sources: Sources) -> Iterable[Any]:
    """Read an iterable. It is the function of a source."""
    return _Reader(items, indexed, sources)


def gives_elements(iterable: Any) -> bool | None:
    """Whether the items of an iterable are elements, which have an index; None if only reading it can show this."""
    if isinstance(iterable, StageElements):
        return True
    if isinstance(iterable, Collection):
        return any(type(item) is Element for item in islice(iterable, 1))
    known: bool | None = getattr(iterable, "gives_elements", None)
    return known

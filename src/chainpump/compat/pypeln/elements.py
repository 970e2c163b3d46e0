"""A value with its index: where its source made it."""

from __future__ import annotations

from typing import Any, Generic, NamedTuple, TypeVar

__all__ = ["Element"]

T = TypeVar("T")


class Element(NamedTuple, Generic[T]):
    """A value and its index. Elements are compared by their index.

    >>> sorted([Element((1,), "b"), Element((0, 1), "a")])
    [Element(index=(0, 1), value='a'), Element(index=(1,), value='b')]

    index: the number of the item at its source, and, behind each `flat_map`, its number among the results.
    """

    # pypeln has this name, which hides a method of tuples that nobody needs here.
    index: tuple[int, ...]  # type: ignore[assignment]
    value: T

    def set(self, value: Any) -> Element[Any]:
        """Return an element with the same index and another value."""
        return Element(self.index, value)

    def __lt__(self, other: tuple[Any, ...]) -> bool:
        return bool(self.index < other[0])

    def __le__(self, other: tuple[Any, ...]) -> bool:
        return bool(self.index <= other[0])

    def __gt__(self, other: tuple[Any, ...]) -> bool:
        return bool(self.index > other[0])

    def __ge__(self, other: tuple[Any, ...]) -> bool:
        return bool(self.index >= other[0])

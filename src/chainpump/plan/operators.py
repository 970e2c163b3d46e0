"""Element-wise operators: a function, and what is done with it for each item.

An operator is a value, as every bound function is. `results` is what it makes of one item; where whole frames are at
hand, `advance` does the same for a run of items at the speed of C.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import compress, islice
from operator import truth
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from ..lazy_dataclass import dataclass
from ..policies import Policy, Raise
from .bound import In_contra, Out_co, Stage

__all__ = [
    "STOPPED",
    "Each",
    "Filter",
    "FlatMap",
    "Map",
    "Operator",
    "Results",
]

# Which would end a loop over its results, as if there were no more.
STOPPED = "the function raised StopIteration"

T = TypeVar("T")


class Results(Protocol):
    """Where the results of a run of items go."""

    def extend(self, made: Iterable[Any], numbers: Callable[[int], Iterable[int]] | None = None) -> int:
        """Add results; returns how many. numbers: of so many of them; None where each item has had one."""
        ...


@dataclass(frozen=True, repr=False)
class Operator(Stage[In_contra, Out_co], Generic[In_contra, Out_co]):
    """A function of one item.

    policy: what becomes of an item on which it raises. ordered: whether the order of the source is kept.
    timeout: seconds that it may take.
    """

    policy: Policy = Raise()
    ordered: bool = True
    timeout: float | None = None
    # The method that adds it.
    verb: ClassVar[str]
    # Whether more than one item may come of one.
    several: ClassVar[bool] = False
    # Whether less than one may.
    drops: ClassVar[bool] = False
    # Whether it has `advance`.
    by_frames: ClassVar[bool] = False

    def results(self, item: Any) -> Iterable[Any]:
        """What comes of one item. Raises what the function raises, now or while it is iterated."""
        return self.made(item, self.function(item))

    @abstractmethod
    def made(self, item: Any, value: Any) -> Iterable[Any]:
        """What comes of an item for which the function returned this value."""

    def advance(
        self, items: Iterator[Any], ahead: Sequence[Any], numbers: Sequence[int] | None, results: Results
    ) -> None:
        """Deal with the next few items, or with those before the one on which the function raises.

        ahead: the same items, not taken from the iterator. numbers: theirs, or None while each has had one result.
        """
        raise NotImplementedError


@dataclass(frozen=True, repr=False)
class Map(Operator[In_contra, Out_co]):
    """What the function returns takes the place of the item."""

    verb: ClassVar[str] = "map"
    by_frames: ClassVar[bool] = True

    def made(self, item: Any, value: Any) -> Iterable[Any]:
        """One result."""
        return (value,)

    def advance(
        self, items: Iterator[Any], ahead: Sequence[Any], numbers: Sequence[int] | None, results: Results
    ) -> None:
        """One result each."""
        made = map(self.function, islice(items, len(ahead)))
        _check_all(results.extend(made, None if numbers is None else lambda count: numbers[:count]), ahead)


@dataclass(frozen=True, repr=False)
class Filter(Operator[T, T], Generic[T]):
    """The item stays where the function says true."""

    verb: ClassVar[str] = "filter"
    drops: ClassVar[bool] = True
    by_frames: ClassVar[bool] = True

    def made(self, item: Any, value: Any) -> Iterable[Any]:
        """The item, or nothing."""
        return (item,) if value else ()

    def advance(
        self, items: Iterator[Any], ahead: Sequence[Any], numbers: Sequence[int] | None, results: Results
    ) -> None:
        """The items that stay."""
        assert numbers is not None
        stay: list[bool] = []
        try:
            stay.extend(map(truth, map(self.function, islice(items, len(ahead)))))
        finally:
            # Those before an exception count.
            results.extend(compress(ahead, stay), lambda _: compress(numbers, stay))
        _check_all(len(stay), ahead)


def _check_all(count: int, ahead: Sequence[Any]) -> None:
    """Raise if a function has ended the loop over its results, which only StopIteration does."""
    if count < len(ahead):
        raise RuntimeError(STOPPED)


@dataclass(frozen=True, repr=False)
class FlatMap(Operator[In_contra, Out_co]):
    """All that the function returns or yields takes the place of the item."""

    verb: ClassVar[str] = "flat_map"
    several: ClassVar[bool] = True
    drops: ClassVar[bool] = True

    def made(self, item: Any, value: Any) -> Iterable[Any]:
        """Any number of results, made one by one; all at once where an item that fails is to leave nothing."""
        results: Iterable[Any] = value
        return results if isinstance(self.policy, Raise) else list(results)


@dataclass(frozen=True, repr=False)
class Each(Operator[In_contra, None]):
    """Nothing comes of it: the end of a pipeline."""

    verb: ClassVar[str] = "each"
    drops: ClassVar[bool] = True

    def made(self, item: Any, value: Any) -> Iterable[Any]:
        """Nothing."""
        return ()

"""Element-wise operators: a function of one item, and how its results replace the item.

An operator is a value, like every bound function. `results` returns the results of one item; `advance` does the same
for several items of a frame at the speed of C.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import compress, islice
from operator import truth
from typing import Any, ClassVar, Generic, Protocol, Self, TypeAlias, TypeVar

from ..hints.objects import is_a
from ..lazy_dataclass import dataclass, replace
from ..policies import Policy, Raise, for_workers
from .batches import joined
from .bound import In_contra, Out_co, Stage
from .per_worker import PerWorker

__all__ = [
    "STOPPED",
    "Each",
    "Filter",
    "FlatMap",
    "ItemFunction",
    "Map",
    "Operator",
    "Results",
    "Tap",
]

# StopIteration would end a loop over the results, as if there were no more items.
STOPPED = "the function raised StopIteration"

T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")

# What `map` and the like take: a function of one item, or a factory that makes one.
ItemFunction: TypeAlias = Callable[[A], B] | PerWorker[Callable[[A], B]]


class Results(Protocol):
    """The destination of the results of several items."""

    def extend(self, made: Iterable[Any], numbers: Callable[[int], Iterable[int]] | None = None) -> int:
        """Add results, and return how many. numbers: gives the item numbers of so many; None if each item has one."""
        ...


@dataclass(frozen=True, repr=False)
class Operator(Stage[In_contra, Out_co], Generic[In_contra, Out_co]):
    """A function of one item.

    policy: what happens to an item on which it raises. ordered: whether the order of the source is kept. timeout:
    seconds that a call may take.
    """

    policy: Policy = Raise()
    ordered: bool = True
    timeout: float | None = None
    # The name of the method that adds it to a pipeline.
    verb: ClassVar[str]
    # Whether one item may have more than one result.
    several: ClassVar[bool] = False
    # Whether an item may have no result.
    drops: ClassVar[bool] = False
    # Whether it has the method `advance`.
    by_frames: ClassVar[bool] = False

    @property
    def factory(self) -> PerWorker[Any] | None:
        """Return what makes the function in each worker; None if the function is given."""
        return self.function if is_a(self.function, PerWorker) else None

    @property
    def for_workers(self) -> Self:
        """Return the same without the function that receives its dead letters."""
        policy = for_workers(self.policy)
        return self if policy is self.policy else replace(self, policy=policy)

    def results(self, item: Any) -> Iterable[Any]:
        """Return the results of one item. Raises what the function raises, now or while the results are iterated."""
        return self.made(item, self.function(item))

    @abstractmethod
    def made(self, item: Any, value: Any) -> Iterable[Any]:
        """Return the results of an item for which the function returned this value."""

    def rejoined(self, results: Sequence[Any]) -> Iterable[Any]:
        """Return the results of a batch from those of its items, for each of which the function was called alone.

        Raises TypeError if one batch cannot be made of them.
        """
        return (joined(results),) if results else ()

    def advance(
        self, items: Iterator[Any], ahead: Sequence[Any], numbers: Sequence[int] | None, results: Results
    ) -> None:
        """Process the next few items, or those before the item on which the function raises.

        ahead: the same items, not taken from the iterator. numbers: their numbers; None if each has had one result so
        far.
        """
        raise NotImplementedError


@dataclass(frozen=True, repr=False)
class Map(Operator[In_contra, Out_co]):
    """The result of the function replaces the item."""

    verb: ClassVar[str] = "map"
    by_frames: ClassVar[bool] = True

    def made(self, item: Any, value: Any) -> Iterable[Any]:
        """Return the one result."""
        return (value,)

    def advance(
        self, items: Iterator[Any], ahead: Sequence[Any], numbers: Sequence[int] | None, results: Results
    ) -> None:
        """Process the next items; each has one result."""
        _add_one_each(map(self.function, islice(items, len(ahead))), ahead, numbers, results)


@dataclass(frozen=True, repr=False)
class Filter(Operator[T, T], Generic[T]):
    """The item is kept if the function returns a true value."""

    verb: ClassVar[str] = "filter"
    drops: ClassVar[bool] = True
    by_frames: ClassVar[bool] = True

    def made(self, item: Any, value: Any) -> Iterable[Any]:
        """Return the item, or nothing."""
        return (item,) if value else ()

    def advance(
        self, items: Iterator[Any], ahead: Sequence[Any], numbers: Sequence[int] | None, results: Results
    ) -> None:
        """Process the next items; keep some of them."""
        assert numbers is not None
        stay: list[bool] = []
        try:
            stay.extend(map(truth, map(self.function, islice(items, len(ahead)))))
        finally:
            # The items before an exception are kept.
            results.extend(compress(ahead, stay), lambda _: compress(numbers, stay))
        _check_all(len(stay), ahead)


def _add_one_each(made: Iterable[Any], ahead: Sequence[Any], numbers: Sequence[int] | None, results: Results) -> None:
    """Add results of which each item has one."""
    _check_all(results.extend(made, None if numbers is None else lambda count: numbers[:count]), ahead)


def _check_all(count: int, ahead: Sequence[Any]) -> None:
    """Raise if the function has raised StopIteration, which has ended the loop over its results."""
    if count < len(ahead):
        raise RuntimeError(STOPPED)


@dataclass(frozen=True, repr=False)
class Tap(Operator[T, T], Generic[T]):
    """The function is called for its side effect, and the item stays."""

    verb: ClassVar[str] = "tap"
    by_frames: ClassVar[bool] = True

    def made(self, item: Any, value: Any) -> Iterable[Any]:
        """Return the item."""
        return (item,)

    def advance(
        self, items: Iterator[Any], ahead: Sequence[Any], numbers: Sequence[int] | None, results: Results
    ) -> None:
        """Process the next items; each stays."""
        _add_one_each(map(self._passed, islice(items, len(ahead))), ahead, numbers, results)

    def _passed(self, item: Any) -> Any:
        self.function(item)
        return item


@dataclass(frozen=True, repr=False)
class FlatMap(Operator[In_contra, Out_co]):
    """All items that the function returns or yields replace the item."""

    verb: ClassVar[str] = "flat_map"
    several: ClassVar[bool] = True
    drops: ClassVar[bool] = True

    def made(self, item: Any, value: Any) -> Iterable[Any]:
        """Return any number of results, one by one; all at once if an item that fails must leave no results."""
        if value is None:
            raise TypeError("flat_map takes an iterable of results but the function returned None. Return [] for none.")
        results: Iterable[Any] = value
        return results if isinstance(self.policy, Raise) else list(results)

    def rejoined(self, results: Sequence[Any]) -> Iterable[Any]:
        """Return all of them, one by one."""
        return results


@dataclass(frozen=True, repr=False)
class Each(Operator[In_contra, None]):
    """The item has no result: the end of a pipeline."""

    verb: ClassVar[str] = "each"
    drops: ClassVar[bool] = True

    def made(self, item: Any, value: Any) -> Iterable[Any]:
        """Return nothing."""
        return ()

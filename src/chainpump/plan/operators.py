"""Element-wise operators: a function, and what is done with it for each item. And the generator stages that come along.

An operator is a value, as every bound function is. `results` is what it makes of one item; where whole frames are at
hand, `advance` does the same for a run of items at the speed of C.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import compress, islice
from operator import truth
from typing import Any, ClassVar, Generic, Protocol, TypeVar, cast

from ..errors import StageOptionError
from ..lazy_dataclass import dataclass
from ..policies import Policy, Raise
from .bound import Bound, In_contra, Out_co, Stage
from .placement import Reach
from .planned_stage import PlannedStage

__all__ = [
    "STOPPED",
    "Each",
    "Filter",
    "FlatMap",
    "Map",
    "Operator",
    "Results",
    "TimedItems",
    "batch",
    "batch_within",
    "check_successors",
    "of_several",
    "take",
    "unbatch",
    "window",
]

STOPPED = "the function raised StopIteration"  # which would end a loop over its results, as if there were no more

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


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
    verb: ClassVar[str]  # the method that adds it
    several: ClassVar[bool] = False  # whether more than one item may come of one
    drops: ClassVar[bool] = False  # whether less than one may
    by_frames: ClassVar[bool] = False  # whether it has `advance`

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
        finally:  # those before an exception count
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


def check_successors(stages: Sequence[PlannedStage]) -> None:
    """Raise StageOptionError where a worker cannot have successors, or where nobody could drop what comes twice."""
    numbered = 0  # the stage that numbers the items
    renewed: PlannedStage | None = None  # one since then whose workers are replaced
    for place, stage in enumerate(stages):
        call = stage.call
        behind = f"{stage.label} behind '{renewed.name}', whose workers are replaced when they die," if renewed else ""
        if stage.on.restarts and not isinstance(call, Operator):
            raise StageOptionError(
                f"{stage.label} cannot run on {stage.on!r}: a generator that has died has lost its state.\n"
                "  Only the workers of .map(), .filter(), .flat_map() and .each() can be replaced."
            )
        if stage.on.restarts and stages[numbered].on.copies > 1:
            raise StageOptionError(
                f"{stage.label} cannot run on {stage.on!r} behind '{stages[numbered].name}', of several workers.\n"
                "  Only where one worker numbers the items is it known which of them have gone on already."
            )
        if behind and stage.in_flight is not None:
            raise StageOptionError(
                f"{behind} cannot have in_flight={stage.in_flight}: they would take their slots with them.\n"
                "  Leave it out; the channel is bounded by bytes."
            )
        if renewed and renewed.on.restarts and not isinstance(call, Operator) and stage.on.copies > 1:
            raise StageOptionError(
                f"{behind} cannot run on {stage.on!r}: it has several workers.\n"
                "  Only one that takes all items can drop what comes twice."
            )
        if not isinstance(call, Operator):
            numbered, renewed = place, None
        elif stage.on.reach is Reach.HOST and (stage.on.restarts or call.timeout is not None):
            renewed = stage


class TimedItems(Protocol[T_co]):
    """The input of a stage that cares how long it waits; every stage's input is one."""

    def __iter__(self) -> Iterator[T_co]: ...

    def wait(self, seconds: float) -> bool:
        """Wait until the next item is there, or the end; False if that takes longer. True where nothing can wait."""
        ...


def batch(items: Iterable[T], n: int) -> Iterator[list[T]]:
    """Lists of n items; the last one may be shorter.

    >>> list(batch("abcde", 2))
    [['a', 'b'], ['c', 'd'], ['e']]
    """
    items = iter(items)
    while found := list(islice(items, n)):
        yield found
        del found  # a stage that waits holds nothing of what came before


def batch_within(items: Iterable[T], n: int, within: float) -> Iterator[list[T]]:
    """Lists of n items, or fewer where the first of them has waited for so many seconds. items: TimedItems."""
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
    """Windows of n neighbouring items; each begins so many items behind the one before.

    >>> list(window("abcde", 3, 1))
    [('a', 'b', 'c'), ('b', 'c', 'd'), ('c', 'd', 'e')]
    """
    taken = iter(items)
    new = min(n, step)  # items of a window that the one before has not
    held = deque(islice(taken, n - 1))
    for item in taken:
        held.append(item)
        del item  # while it waits, it holds of what came before only what the next window needs
        yield tuple(held)
        held.popleft()
        if step > 1:  # most often it is 1, and this would take most of the time
            for _ in range(new - 1):
                held.popleft()
            deque(islice(taken, step - new), maxlen=0)
            held.extend(islice(taken, new - 1))


def unbatch(batches: Iterable[Iterable[T]]) -> Iterator[T]:
    """The items of each batch, one after the other.

    >>> list(unbatch([[1, 2], [3]]))
    [1, 2, 3]
    """
    for each in batches:
        yield from each


def take(items: Iterable[T], n: int) -> Iterator[T]:
    """The first n items; it asks for no more than that.

    >>> list(take("abc", 2))
    ['a', 'b']
    """
    return islice(items, n)


def of_several(call: Bound) -> str | None:
    """What is wrong with several workers of a stage of all items; None if they may share the work."""
    if call.function is take:
        return f"each worker would take {call.args[0]} items"
    if call.function is window:
        return "each worker would get some of the items, and find no neighbours among them"
    return None

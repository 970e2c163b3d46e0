"""Stages as values: what they are made of, and partial applications of the functions that make them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, overload

from ...executors.base import Executor
from ...lazy_dataclass import dataclass
from ...pipeline import Pipeline

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from .reading import Sources

__all__ = ["BaseStage", "Chains", "Kind", "Node", "Partial", "Work"]

T = TypeVar("T")
R = TypeVar("R")
T_co = TypeVar("T_co", covariant=True)


class BaseStage(ABC, Iterable[T_co], Generic[T_co]):
    """The base class of all stages. Each iteration of a stage starts its workers, and the end of it stops them."""

    @abstractmethod
    def to_iterable(self, maxsize: int = 0, return_index: bool = False) -> Iterable[Any]:
        """Return the items of one run; see the function `to_iterable`."""

    @overload
    def __or__(self, function: Partial[R]) -> R: ...
    @overload
    def __or__(self, function: Callable[[Any], R]) -> R: ...
    def __or__(self, function: Callable[[Any], Any]) -> Any:
        """Call a function with this stage: `stage | list`, `stage | pl.thread.map(f)`."""
        return function(self)


@dataclass(frozen=True, slots=True)
class Kind:
    """What the stages of one module have in common.

    executor: makes the executor of so many workers. is_sync: they run in the thread that iterates, and run once for
    each consumer. stops_calls: whether the executor itself can stop a call that takes too long. own_process: whether
    its workers are processes.
    """

    name: str
    executor: Callable[[int], Executor]
    is_sync: bool = False
    stops_calls: bool = False
    own_process: bool = False


class Chains(Protocol):
    """What a work needs to know about the graph of its stage."""

    @property
    def indexed(self) -> bool:
        """Whether pairs of an index and a value move through it, and not only values."""
        ...

    @property
    def loop(self) -> AbstractEventLoop | None:
        """The event loop in which the caller awaits the stage, if there is one."""
        ...

    def pipeline(self, stage: Node, ordered: bool) -> Pipeline[Any]:
        """Return the pipeline of a stage for one of its consumers."""
        ...

    def apart(self, stage: Node) -> Pipeline[Any]:
        """Return the pipeline of a stage that shares nothing with the others."""
        ...

    def in_flight(self, maxsize: int, before: Node, takers: int) -> int | None:
        """Return the bound of the items between two stages, of which `maxsize` may wait; None for a bound in bytes."""
        ...

    def is_source(self, stage: Node) -> bool:
        """Whether a stage is read by the source of a pipeline, and is no part of a chain."""
        ...

    def is_replaced(self, stage: Node) -> bool:
        """Whether a worker that has items of this stage in hand may be replaced before they are counted again."""
        ...

    def restores_order(self, stage: Node) -> bool:
        """Whether the stage behind this one has to restore the order: it is `ordered`, and has no worker of its own."""
        ...

    def limit_behind(self, stage: Node) -> int:
        """Return how many items of a stage may wait for a consumer; 0 for a bound in bytes."""
        ...

    @property
    def read_sources(self) -> Sources:
        """What is known about the sources while they are read."""
        ...

    def must_sort(self, stage: Node) -> bool:
        """Whether the items of an `ordered` stage must be sorted: the stages before it cannot keep their order."""
        ...

    def may_sort(self, stage: Node) -> bool:
        """Whether the items of an `ordered` stage may have to be sorted: its source shows it when it is read."""
        ...


class Work(Protocol):
    """What a stage does."""

    @property
    def name(self) -> str:
        """The name of the function that makes such a stage."""
        ...

    @property
    def takes_index(self) -> bool:
        """Whether it passes the index of an item to a function."""
        ...

    def is_replaced(self, graph: Chains, of: Node) -> bool:
        """Return what `Chains.is_replaced` says about a stage that does this."""
        ...

    def added(self, graph: Chains, of: Node, ordered: bool) -> Pipeline[Any]:
        """Return the pipeline of a stage that does this.

        ordered: whether the items must have the order of the source.
        """
        ...


class Node:
    """A stage in a graph: what it does, to the items of which stages, and where. It never changes.

    maxsize: how many items may wait before it; 0 for a bound in bytes.
    """

    def __init__(
        self, kind: Kind, work: Work, sources: tuple[Node, ...] = (), workers: int = 1, maxsize: int = 0
    ) -> None:
        self.kind = kind
        self.work = work
        self.sources = sources
        self.workers = workers
        self.maxsize = maxsize

    def __repr__(self) -> str:
        return f"<{self.kind.name}.{self.work.name} stage>"


class Partial(Generic[R]):
    """A function that still needs its stage. `items | partial`, `partial | items` and `partial(items)` give it one.

    Two partial applications make one: `first | second` gives the result of the first to the second.
    """

    def __init__(self, function: Callable[[Any], R]) -> None:
        self._function = function

    def __call__(self, stage: Any) -> R:
        """Apply it to a stage or an iterable."""
        return self._function(stage)

    def __ror__(self, stage: Any) -> R:
        return self._function(stage)

    @overload
    def __or__(self, other: Partial[T]) -> Partial[T]: ...
    @overload
    def __or__(self, other: Iterable[Any]) -> R: ...
    def __or__(self, other: Any) -> Any:
        if isinstance(other, Partial):
            return Partial(lambda stage: other(self(stage)))
        return self._function(other)

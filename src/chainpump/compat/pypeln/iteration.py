"""Stages that can be iterated: each iteration is a run of the pipeline of the stage."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from operator import itemgetter
from typing import Any, Generic, TypeVar

from ...errors import RemoteError, StageError
from .elements import Element
from .graph import Graph
from .stages import BaseStage, Node

__all__ = ["Items", "Stage", "giving", "original"]

T_co = TypeVar("T_co", covariant=True)


class Stage(Node, BaseStage[T_co]):
    """A stage as the functions of this package make it. Two stages are equal if they are the same one."""

    def to_iterable(self, maxsize: int = 0, return_index: bool = False) -> Items[Any]:
        """Return the items of one run; see the function `to_iterable`."""
        return Items(self, maxsize, return_index)

    def __iter__(self) -> Iterator[T_co]:
        return iter(self.to_iterable(self.maxsize))


class Items(Iterator[T_co], Generic[T_co]):
    """The items of one run of a stage. The first request starts the run; `close`, or the end of a loop, stops it."""

    def __init__(self, stage: Node, maxsize: int, return_index: bool) -> None:
        self.gives_elements = return_index
        self._items = _items(stage, maxsize, return_index)

    def __iter__(self) -> Iterator[T_co]:  # noqa: PYI034  # it is not `self`
        # A loop over the generator itself makes no call for each item.
        return self._items

    def __next__(self) -> T_co:
        item: T_co = next(self._items)
        return item

    def close(self) -> None:
        """Stop the run, if it goes on."""
        self._items.close()


def _items(stage: Node, maxsize: int, return_index: bool) -> Generator[Any]:
    graph = Graph(stage, maxsize, return_index)
    given = giving(return_index, graph.indexed)
    failure: StageError | None = None
    try:
        with graph.checked()() as run:
            yield from run if given is None else map(given, run)
    except StageError as error:
        failure = error
    if failure is not None:
        raise original(failure)


def giving(return_index: bool, indexed: bool) -> Callable[[Any], Any] | None:
    """Return what makes an item for the caller of an item of the pipeline; None if it is the same."""
    if return_index:
        return Element._make
    return itemgetter(1) if indexed else None


def original(failure: StageError) -> BaseException:
    """Return the exception of the program's function, with a note about the stage; the failure if there is none."""
    error = failure.__cause__
    if error is None or isinstance(error, RemoteError):
        return failure
    error.add_note(str(failure))
    return error

"""The public functions of the modules `process`, `thread` and `sync`, with their types."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal, TypeVar, overload

from .iteration import Items, Stage
from .making import LEFT_OUT, Making
from .stages import Partial
from .works import FILTER, FLAT_MAP, MAP

__all__ = ["Operators"]

T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")


class Operators(Making):
    """The functions of one module, which make stages of one kind.

    In all of them `stage` is a stage of any module, or an iterable. If it is left out, they return a `Partial`.
    workers: the number of workers. maxsize: how many items may wait before the stage; 0 for a bound in bytes.
    timeout: seconds for one call; an item that takes longer is dropped. 0 is no limit.
    on_start: is called by each worker at its start. It may return a dict of arguments for `f` and `on_done`.
    on_done: is called by each worker that has finished.
    `f`, `on_start` and `on_done` get arguments by the names of their parameters: see docs/from_pypeln.md.
    Raises StageOptionError for an option that cannot work, and StageTypeError for what is no iterable.
    """

    @overload
    def map(
        self,
        f: Callable[..., B],
        stage: Iterable[Any],
        workers: int = ...,
        maxsize: int = ...,
        timeout: float = ...,
        on_start: Callable[..., Any] | None = ...,
        on_done: Callable[..., Any] | None = ...,
    ) -> Stage[B]: ...
    @overload
    def map(
        self,
        f: Callable[..., B],
        *,
        workers: int = ...,
        maxsize: int = ...,
        timeout: float = ...,
        on_start: Callable[..., Any] | None = ...,
        on_done: Callable[..., Any] | None = ...,
    ) -> Partial[Stage[B]]: ...
    def map(
        self,
        f: Callable[..., Any],
        stage: Iterable[Any] = LEFT_OUT,
        workers: int = 1,
        maxsize: int = 0,
        timeout: float = 0,
        on_start: Callable[..., Any] | None = None,
        on_done: Callable[..., Any] | None = None,
    ) -> Any:
        """Call a function for each item; its result replaces the item."""
        return self.applied(MAP, f, stage, workers, maxsize, timeout, on_start, on_done)

    @overload
    def filter(
        self,
        f: Callable[..., Any],
        stage: Iterable[A],
        workers: int = ...,
        maxsize: int = ...,
        timeout: float = ...,
        on_start: Callable[..., Any] | None = ...,
        on_done: Callable[..., Any] | None = ...,
    ) -> Stage[A]: ...
    @overload
    def filter(
        self,
        f: Callable[..., Any],
        *,
        workers: int = ...,
        maxsize: int = ...,
        timeout: float = ...,
        on_start: Callable[..., Any] | None = ...,
        on_done: Callable[..., Any] | None = ...,
    ) -> Partial[Stage[Any]]: ...
    def filter(
        self,
        f: Callable[..., Any],
        stage: Iterable[Any] = LEFT_OUT,
        workers: int = 1,
        maxsize: int = 0,
        timeout: float = 0,
        on_start: Callable[..., Any] | None = None,
        on_done: Callable[..., Any] | None = None,
    ) -> Any:
        """Keep the items for which a function returns a true value."""
        return self.applied(FILTER, f, stage, workers, maxsize, timeout, on_start, on_done)

    @overload
    def flat_map(
        self,
        f: Callable[..., Iterable[B]],
        stage: Iterable[Any],
        workers: int = ...,
        maxsize: int = ...,
        timeout: float = ...,
        on_start: Callable[..., Any] | None = ...,
        on_done: Callable[..., Any] | None = ...,
    ) -> Stage[B]: ...
    @overload
    def flat_map(
        self,
        f: Callable[..., Iterable[B]],
        *,
        workers: int = ...,
        maxsize: int = ...,
        timeout: float = ...,
        on_start: Callable[..., Any] | None = ...,
        on_done: Callable[..., Any] | None = ...,
    ) -> Partial[Stage[B]]: ...
    def flat_map(
        self,
        f: Callable[..., Any],
        stage: Iterable[Any] = LEFT_OUT,
        workers: int = 1,
        maxsize: int = 0,
        timeout: float = 0,
        on_start: Callable[..., Any] | None = None,
        on_done: Callable[..., Any] | None = None,
    ) -> Any:
        """Call a function for each item; all items that it returns or yields replace the item."""
        return self.applied(FLAT_MAP, f, stage, workers, maxsize, timeout, on_start, on_done)

    @overload
    def each(
        self,
        f: Callable[..., Any],
        stage: Iterable[Any],
        workers: int = ...,
        maxsize: int = ...,
        timeout: float = ...,
        on_start: Callable[..., Any] | None = ...,
        on_done: Callable[..., Any] | None = ...,
        run: Literal[False] = ...,
    ) -> Stage[Any]: ...
    @overload
    def each(
        self,
        f: Callable[..., Any],
        stage: Iterable[Any],
        workers: int = ...,
        maxsize: int = ...,
        timeout: float = ...,
        on_start: Callable[..., Any] | None = ...,
        on_done: Callable[..., Any] | None = ...,
        *,
        run: Literal[True],
    ) -> None: ...
    @overload
    def each(
        self,
        f: Callable[..., Any],
        *,
        workers: int = ...,
        maxsize: int = ...,
        timeout: float = ...,
        on_start: Callable[..., Any] | None = ...,
        on_done: Callable[..., Any] | None = ...,
        run: Literal[False] = ...,
    ) -> Partial[Stage[Any]]: ...
    @overload
    def each(
        self,
        f: Callable[..., Any],
        *,
        workers: int = ...,
        maxsize: int = ...,
        timeout: float = ...,
        on_start: Callable[..., Any] | None = ...,
        on_done: Callable[..., Any] | None = ...,
        run: Literal[True],
    ) -> Partial[None]: ...
    def each(
        self,
        f: Callable[..., Any],
        stage: Iterable[Any] = LEFT_OUT,
        workers: int = 1,
        maxsize: int = 0,
        timeout: float = 0,
        on_start: Callable[..., Any] | None = None,
        on_done: Callable[..., Any] | None = None,
        run: bool = False,
    ) -> Any:
        """Call a function for each item; the stage has no items. run: run it now, and return None."""
        return self.done_each(run, stage, f, workers, maxsize, timeout, on_start, on_done)

    @overload
    def from_iterable(self, iterable: Iterable[T], use_thread: bool = ..., maxsize: int = ...) -> Stage[T]: ...
    @overload
    def from_iterable(self, *, use_thread: bool = ..., maxsize: int = ...) -> Partial[Stage[Any]]: ...
    def from_iterable(self, iterable: Iterable[Any] = LEFT_OUT, use_thread: bool = True, maxsize: int = 0) -> Any:
        """Make a stage of an iterable.

        use_thread: in the module `process`, whether a thread of the main process reads it; otherwise a process does.
        maxsize: how many of its items may wait for a loop over this stage.
        """
        return self.of_iterable(iterable, use_thread, maxsize)

    @overload
    def to_iterable(self, stage: Iterable[T], maxsize: int = ..., return_index: Literal[False] = ...) -> Items[T]: ...
    @overload
    def to_iterable(self, stage: Iterable[Any], maxsize: int = ..., *, return_index: bool) -> Items[Any]: ...
    @overload
    def to_iterable(self, *, maxsize: int = ..., return_index: bool = ...) -> Partial[Items[Any]]: ...
    def to_iterable(self, stage: Iterable[Any] = LEFT_OUT, maxsize: int = 0, return_index: bool = False) -> Any:
        """Return the items of one run of a stage.

        maxsize: how many of its items may wait for the caller; 0 for a bound in bytes.
        return_index: whether the items are `Element(index, value)`.
        """
        return self.items("to_iterable", stage, maxsize, return_index, Items)

    @overload
    def ordered(self, stage: Iterable[T], maxsize: int = ...) -> Stage[T]: ...
    @overload
    def ordered(self, *, maxsize: int = ...) -> Partial[Stage[Any]]: ...
    def ordered(self, stage: Iterable[Any] = LEFT_OUT, maxsize: int = 0) -> Any:
        """Put the items into the order of their indexes, which is the order in which the source has made them.

        Behind a chain of stages, the stages keep their order, and nothing is collected. Behind `concat`, all items are
        collected and sorted.
        """
        return self.in_order(stage, maxsize)

    def concat(self, stages: Iterable[Iterable[T]], maxsize: int = 0) -> Stage[T]:
        """Join the items of several stages or iterables, as they come; in the module `sync`, one of each in turn."""
        joined: Stage[T] = self.joined(stages, maxsize)
        return joined

"""The public functions of the module `task`: those of all modules, for async functions and async iterables, too."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, ClassVar, Literal, TypeVar, overload

from .async_iteration import AsyncStage, async_items
from .async_works import AsyncApply, AsyncRead
from .iteration import Items, Stage
from .making import LEFT_OUT, Making
from .stages import Partial, Work
from .works import FILTER, FLAT_MAP, MAP, Apply

__all__ = ["AsyncOperators"]

T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")


class AsyncOperators(Making):
    """The functions of the module `task`. See `Operators`: their functions and their iterables may be async."""

    stage_class: ClassVar[type[Stage[Any]]] = AsyncStage
    apply_class: ClassVar[type[Apply]] = AsyncApply

    @overload
    def map(
        self,
        f: Callable[..., Awaitable[B]],
        stage: Iterable[Any] | AsyncIterable[Any],
        workers: int = ...,
        maxsize: int = ...,
        timeout: float = ...,
        on_start: Callable[..., Any] | None = ...,
        on_done: Callable[..., Any] | None = ...,
    ) -> AsyncStage[B]: ...
    @overload
    def map(
        self,
        f: Callable[..., Awaitable[B]],
        *,
        workers: int = ...,
        maxsize: int = ...,
        timeout: float = ...,
        on_start: Callable[..., Any] | None = ...,
        on_done: Callable[..., Any] | None = ...,
    ) -> Partial[AsyncStage[B]]: ...
    @overload
    def map(
        self,
        f: Callable[..., B],
        stage: Iterable[Any] | AsyncIterable[Any],
        workers: int = ...,
        maxsize: int = ...,
        timeout: float = ...,
        on_start: Callable[..., Any] | None = ...,
        on_done: Callable[..., Any] | None = ...,
    ) -> AsyncStage[B]: ...
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
    ) -> Partial[AsyncStage[B]]: ...
    def map(
        self,
        f: Callable[..., Any],
        stage: Any = LEFT_OUT,
        workers: int = 1,
        maxsize: int = 0,
        timeout: float = 0,
        on_start: Callable[..., Any] | None = None,
        on_done: Callable[..., Any] | None = None,
    ) -> Any:
        """Call a function for each item; its result, which may be awaited, replaces the item."""
        return self.applied(MAP, f, stage, workers, maxsize, timeout, on_start, on_done)

    @overload
    def filter(
        self,
        f: Callable[..., Any],
        stage: Iterable[A] | AsyncIterable[A],
        workers: int = ...,
        maxsize: int = ...,
        timeout: float = ...,
        on_start: Callable[..., Any] | None = ...,
        on_done: Callable[..., Any] | None = ...,
    ) -> AsyncStage[A]: ...
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
    ) -> Partial[AsyncStage[Any]]: ...
    def filter(
        self,
        f: Callable[..., Any],
        stage: Any = LEFT_OUT,
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
        f: Callable[..., AsyncIterable[B] | Awaitable[Iterable[B]]],
        stage: Iterable[Any] | AsyncIterable[Any],
        workers: int = ...,
        maxsize: int = ...,
        timeout: float = ...,
        on_start: Callable[..., Any] | None = ...,
        on_done: Callable[..., Any] | None = ...,
    ) -> AsyncStage[B]: ...
    @overload
    def flat_map(
        self,
        f: Callable[..., AsyncIterable[B] | Awaitable[Iterable[B]]],
        *,
        workers: int = ...,
        maxsize: int = ...,
        timeout: float = ...,
        on_start: Callable[..., Any] | None = ...,
        on_done: Callable[..., Any] | None = ...,
    ) -> Partial[AsyncStage[B]]: ...
    @overload
    def flat_map(
        self,
        f: Callable[..., Iterable[B]],
        stage: Iterable[Any] | AsyncIterable[Any],
        workers: int = ...,
        maxsize: int = ...,
        timeout: float = ...,
        on_start: Callable[..., Any] | None = ...,
        on_done: Callable[..., Any] | None = ...,
    ) -> AsyncStage[B]: ...
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
    ) -> Partial[AsyncStage[B]]: ...
    def flat_map(
        self,
        f: Callable[..., Any],
        stage: Any = LEFT_OUT,
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
        stage: Iterable[Any] | AsyncIterable[Any],
        workers: int = ...,
        maxsize: int = ...,
        timeout: float = ...,
        on_start: Callable[..., Any] | None = ...,
        on_done: Callable[..., Any] | None = ...,
        run: Literal[False] = ...,
    ) -> AsyncStage[Any]: ...
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
    ) -> Partial[AsyncStage[Any]]: ...
    @overload
    def each(
        self,
        f: Callable[..., Any],
        stage: Iterable[Any] | AsyncIterable[Any],
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
        run: Literal[True],
    ) -> Partial[None]: ...
    def each(
        self,
        f: Callable[..., Any],
        stage: Any = LEFT_OUT,
        workers: int = 1,
        maxsize: int = 0,
        timeout: float = 0,
        on_start: Callable[..., Any] | None = None,
        on_done: Callable[..., Any] | None = None,
        run: bool = False,
    ) -> Any:
        """Call a function for each item; the stage has no items. run: run it now, and block the thread."""
        return self.done_each(run, stage, f, workers, maxsize, timeout, on_start, on_done)

    def read(self, given: Any, label: str, use_thread: bool = True) -> Work:
        """Return the work of reading an iterable or an async iterable. Raises StageTypeError if it is neither."""
        return AsyncRead(given) if isinstance(given, AsyncIterable) else super().read(given, label, use_thread)

    @overload
    def from_iterable(
        self, iterable: Iterable[T] | AsyncIterable[T], use_thread: bool = ..., maxsize: int = ...
    ) -> AsyncStage[T]: ...
    @overload
    def from_iterable(self, *, use_thread: bool = ..., maxsize: int = ...) -> Partial[AsyncStage[Any]]: ...
    def from_iterable(self, iterable: Any = LEFT_OUT, use_thread: bool = True, maxsize: int = 0) -> Any:
        """Make a stage of an iterable or an async iterable. use_thread: has no effect."""
        return self.of_iterable(iterable, use_thread, maxsize)

    @overload
    def to_async_iterable(
        self, stage: Iterable[T] | AsyncIterable[T], maxsize: int = ..., return_index: Literal[False] = ...
    ) -> AsyncIterator[T]: ...
    @overload
    def to_async_iterable(
        self, stage: Iterable[Any] | AsyncIterable[Any], maxsize: int = ..., *, return_index: bool
    ) -> AsyncIterator[Any]: ...
    @overload
    def to_async_iterable(self, *, maxsize: int = ..., return_index: bool = ...) -> Partial[AsyncIterator[Any]]: ...
    def to_async_iterable(self, stage: Any = LEFT_OUT, maxsize: int = 0, return_index: bool = False) -> Any:
        """Return the items of one run of a stage, for `async for`. The options are those of `to_iterable`."""
        return self.items("to_async_iterable", stage, maxsize, return_index, async_items)

    @overload
    def to_iterable(
        self, stage: Iterable[T] | AsyncIterable[T], maxsize: int = ..., return_index: Literal[False] = ...
    ) -> Items[T]: ...
    @overload
    def to_iterable(
        self, stage: Iterable[Any] | AsyncIterable[Any], maxsize: int = ..., *, return_index: bool
    ) -> Items[Any]: ...
    @overload
    def to_iterable(self, *, maxsize: int = ..., return_index: bool = ...) -> Partial[Items[Any]]: ...
    def to_iterable(self, stage: Any = LEFT_OUT, maxsize: int = 0, return_index: bool = False) -> Any:
        """Return the items of one run of a stage, for a thread without an event loop."""
        return self.items("to_iterable", stage, maxsize, return_index, Items)

    @overload
    def ordered(self, stage: Iterable[T] | AsyncIterable[T], maxsize: int = ...) -> AsyncStage[T]: ...
    @overload
    def ordered(self, *, maxsize: int = ...) -> Partial[AsyncStage[Any]]: ...
    def ordered(self, stage: Any = LEFT_OUT, maxsize: int = 0) -> Any:
        """Put the items into the order of their indexes."""
        return self.in_order(stage, maxsize)

    def concat(self, stages: Iterable[Iterable[T] | AsyncIterable[T]], maxsize: int = 0) -> AsyncStage[T]:
        """Join the items of several stages or iterables, as they come."""
        joined: AsyncStage[T] = self.joined(stages, maxsize)
        return joined

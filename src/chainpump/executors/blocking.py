"""Async functions that run without an event loop: each call starts an event loop of its own."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Coroutine, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import update_wrapper
from typing import Any, TypeAlias

from ..hints.objects import is_a
from ..lazy_dataclass import replace
from ..plan.per_worker import PerWorker

__all__ = ["blocking", "next_item"]


# Runs a coroutine in an event loop. Any: its result.
Run: TypeAlias = Callable[[Coroutine[Any, Any, Any]], Any]


def blocking(function: Callable[..., Any] | PerWorker[Any]) -> Callable[..., Any] | PerWorker[Any]:
    """Convert an async function, or an async generator function, into a plain function. No event loop is needed.

    The functions of a factory run in one event loop with the factory, since what it has made may belong to that loop.
    """
    if is_a(function, PerWorker):
        return replace(function, function=_BlockingFactory(function))
    return _Blocking(function)


class _Blocking:
    """A function that runs each call of an async function in a new event loop, or in the given one."""

    def __init__(self, function: Callable[..., Any], run: Run | None = None) -> None:
        update_wrapper(self, function)
        self._run = run

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        import asyncio

        result = self.__wrapped__(*args, **kwargs)  # type: ignore[attr-defined]  # `update_wrapper` sets it
        if isinstance(result, AsyncIterable):
            return _iterate(result) if self._run is None else _items(result, self._run)
        return (self._run or asyncio.run)(_awaited_result(result))


class _BlockingFactory:
    """A factory that may be async, as one that needs no event loop."""

    def __init__(self, factory: PerWorker[Any]) -> None:
        update_wrapper(self, factory.function)
        self._factory = factory

    def __call__(self, *_: Any, **__: Any) -> AbstractContextManager[_Blocking]:
        return _in_loop(self._factory)


@contextmanager
def _in_loop(factory: PerWorker[Any]) -> Generator[_Blocking]:
    import asyncio

    # A program that only builds pipelines does not need the code of workers.
    from ..worker.set_up import entered_async

    manager = entered_async(factory)
    with asyncio.Runner() as runner:
        function = runner.run(manager.__aenter__())
        try:
            yield _Blocking(function, runner.run)
        except BaseException as error:
            runner.run(manager.__aexit__(type(error), error, error.__traceback__))
            raise
        else:
            runner.run(manager.__aexit__(None, None, None))


def _iterate(result: AsyncIterable[Any]) -> Iterator[Any]:
    import asyncio

    with asyncio.Runner() as runner:
        yield from _items(result, runner.run)


def _items(result: AsyncIterable[Any], run: Run) -> Iterator[Any]:
    items = aiter(result)
    while True:
        try:
            yield run(next_item(items))
        except StopAsyncIteration:
            return


async def _awaited_result(result: Awaitable[Any]) -> Any:
    return await result


async def next_item(items: Any) -> Any:
    """Return the next item of an async iterator. Its type is Any, because it is the user's item."""
    return await anext(items)

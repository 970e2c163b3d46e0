"""Functions of one item that may be async or plain, as async functions; they run in the event loop of the caller.

A stage of tasks runs in an event loop of its own, in a thread. If the caller awaits the stage, what belongs to the
program runs in the loop of the caller: it may use objects that belong to that loop, such as an HTTP session.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterable, AsyncIterator, Callable
from types import TracebackType
from typing import Any

from .calls import WORKER_INFO, Calls, Function, WorkerInfo, checked_values, finished, injected
from .elements import Element

__all__ = ["ASYNC_ADAPTERS", "OneLoop", "read_async"]

Loop = asyncio.AbstractEventLoop


async def _awaited(result: Any) -> Any:
    return await result if inspect.isawaitable(result) else result


async def _called_in(loop: Loop | None, function: Function, *args: Any, **kwargs: Any) -> Any:
    """Call a function and await its result. loop: where; None for this loop."""

    async def call() -> Any:
        return await _awaited(function(*args, **kwargs))

    if loop is None:
        return await call()
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(call(), loop))


async def _items_of(loop: Loop | None, items: AsyncIterable[Any]) -> AsyncIterator[Any]:
    """Yield the items of an async iterable. Each is awaited in the loop."""
    iterator = aiter(items)

    async def following() -> Any:
        # A future cannot raise StopAsyncIteration.
        return [item async for item in _first(iterator)]

    while found := await _called_in(loop, following):
        yield found[0]
        del found


async def _first(iterator: AsyncIterator[Any]) -> AsyncIterator[Any]:
    try:
        yield await anext(iterator)
    except StopAsyncIteration:
        return


def _mapped(call: Function, loop: Loop | None) -> Function:
    async def mapped(item: Any) -> Any:
        return await _called_in(loop, call, item)

    return mapped


def _mapped_pair(call: Function, loop: Loop | None) -> Function:
    async def mapped(pair: Any) -> Any:
        return pair[0], await _called_in(loop, call, pair)

    return mapped


def _dropped(call: Function, loop: Loop | None) -> Function:
    async def dropped(item: Any) -> bool:
        await _called_in(loop, call, item)
        return False

    return dropped


def _flat(call: Function, loop: Loop | None) -> Function:
    async def flat(item: Any) -> AsyncIterator[Any]:
        results = await _called_in(loop, call, item)
        if isinstance(results, AsyncIterable):
            async for result in _items_of(loop, results):
                yield result
        else:
            for result in results:
                yield result

    return flat


def _flat_pair(call: Function, loop: Loop | None) -> Function:
    flat = _flat(call, loop)

    async def flat_pair(pair: Any) -> AsyncIterator[Any]:
        number = 0
        async for result in flat(pair):
            yield (*pair[0], number), result
            number += 1

    return flat_pair


# The adapters for values, and for pairs of an index and a value, by the name of the verb.
ASYNC_ADAPTERS: dict[str, tuple[Callable[..., Function], Callable[..., Function]]] = {
    "map": (_mapped, _mapped_pair),
    "filter": (_mapped, _mapped),
    "flat_map": (_flat, _flat_pair),
    "each": (_dropped, _dropped),
}


class OneLoop:
    """The one worker of a stage of tasks; see `OneWorker`. `on_start` and `on_done` may be async, too."""

    def __init__(self, calls: Calls, loop: Loop | None) -> None:
        self._calls = calls
        self._loop = loop
        self._values: dict[str, Any] = {}

    async def __aenter__(self) -> Function:
        values: dict[str, Any] = {WORKER_INFO: WorkerInfo(0)}
        on_start = self._calls.on_start
        if on_start is not None:
            made = await _called_in(self._loop, on_start, **injected(on_start, values))
            values |= checked_values(made, on_start)
        self._values = values
        return self._calls.bound(values)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            await _called_in(self._loop, finished, self._calls, self._values)


async def read_async(items: AsyncIterable[Any], indexed: bool, loop: Loop | None) -> AsyncIterator[Any]:
    """Read an async iterable. It is the function of a source."""
    number = 0
    async for item in _items_of(loop, items):
        index, value = (item.index, item.value) if type(item) is Element else ((number,), item)
        yield (index, value) if indexed else value
        number += 1
        del item, value

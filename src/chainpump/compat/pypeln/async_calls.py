"""Functions of one item that may be async or plain, as async functions."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterable, AsyncIterator, Callable
from types import TracebackType
from typing import Any

from .calls import WORKER_INFO, Calls, Function, WorkerInfo, checked_values, finished, injected
from .elements import Element
from .reading import Sources

__all__ = ["ASYNC_ADAPTERS", "OneLoop", "read_async"]


async def _awaited(result: Any) -> Any:
    return await result if inspect.isawaitable(result) else result


def _mapped(call: Function) -> Function:
    async def mapped(item: Any) -> Any:
        return await _awaited(call(item))

    return mapped


def _mapped_pair(call: Function) -> Function:
    async def mapped(pair: Any) -> Any:
        return pair[0], await _awaited(call(pair))

    return mapped


def _dropped(call: Function) -> Function:
    async def dropped(item: Any) -> bool:
        await _awaited(call(item))
        return False

    return dropped


def _flat(call: Function) -> Function:
    async def flat(item: Any) -> AsyncIterator[Any]:
        results = await _awaited(call(item))
        if isinstance(results, AsyncIterable):
            async for result in results:
                yield result
        else:
            for result in results:
                yield result

    return flat


def _flat_pair(call: Function) -> Function:
    flat = _flat(call)

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

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._values: dict[str, Any] = {}

    async def __aenter__(self) -> Function:
        values: dict[str, Any] = {WORKER_INFO: WorkerInfo(0)}
        on_start = self._calls.on_start
        if on_start is not None:
            made = await _awaited(on_start(**injected(on_start, values)))
            values |= checked_values(made, on_start)
        self._values = values
        return self._calls.bound(values)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            await _awaited(finished(self._calls, self._values))


async def read_async(items: AsyncIterable[Any], indexed: bool, sources: Sources) -> AsyncIterator[Any]:
    """Read an async iterable. It is the function of a source."""
    number = 0
    async for item in items:
        if type(item) is Element:
            sources.gave_elements = True
            index, value = item.index, item.value
        else:
            index, value = (number,), item
        yield (index, value) if indexed else value
        number += 1
        del item, value

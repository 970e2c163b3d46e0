"""Stages of tasks: they can also be awaited, and iterated in an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Generator
from typing import Any, TypeVar

from ...engine.asyncio_bridge import Taking, running
from ...errors import StageError
from .graph import Graph
from .iteration import Stage, giving, original
from .stages import Node

__all__ = ["AsyncStage", "async_items"]

T_co = TypeVar("T_co", covariant=True)


class AsyncStage(Stage[T_co]):
    """A stage of tasks. `await stage` returns the list of its items, and `async for` iterates it."""

    def to_async_iterable(self, maxsize: int = 0, return_index: bool = False) -> AsyncIterator[Any]:
        """Return the items of one run; see the function `to_async_iterable`."""
        return async_items(self, maxsize, return_index)

    def __aiter__(self) -> AsyncIterator[T_co]:
        return self.to_async_iterable(self.maxsize)

    def __await__(self) -> Generator[Any, None, list[T_co]]:
        return _all(self).__await__()


async def _all(stage: AsyncIterable[T_co]) -> list[T_co]:
    return [item async for item in stage]


async def async_items(stage: Node, maxsize: int, return_index: bool) -> AsyncGenerator[Any]:
    """Yield the items of one run. What belongs to the program runs in this event loop."""
    graph = Graph(stage, maxsize, return_index, asyncio.get_running_loop())
    given = giving(return_index, graph.indexed)
    failure: StageError | None = None
    try:
        # Not `async for item in pipeline`: at its end a loop closes all async generators at once, inner ones, too.
        async with running(graph.checked()) as (run, within):
            taking = Taking(run, within)
            while found := await taking.more():
                for item in found:
                    yield item if given is None else given(item)
    except StageError as error:
        failure = error
    if failure is not None:
        raise original(failure)

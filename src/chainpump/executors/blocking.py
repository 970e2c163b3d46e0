"""Async functions where there is no event loop: each call runs one of its own."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Iterator
from functools import update_wrapper
from typing import Any

__all__ = ["blocking", "next_item"]


def blocking(function: Callable[..., Any]) -> Callable[..., Any]:
    """An async function, or async generator function, as a plain one, for where there is no event loop."""
    return _Blocking(function)


class _Blocking:
    """Runs each call in an event loop of its own."""

    def __init__(self, function: Callable[..., Any]) -> None:
        update_wrapper(self, function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        import asyncio

        result = self.__wrapped__(*args, **kwargs)  # type: ignore[attr-defined]  # update_wrapper has set it
        return _iterate(result) if isinstance(result, AsyncIterable) else asyncio.run(_awaited_result(result))


def _iterate(result: AsyncIterable[Any]) -> Iterator[Any]:
    import asyncio

    with asyncio.Runner() as runner:
        items = aiter(result)
        while True:
            try:
                yield runner.run(next_item(items))
            except StopAsyncIteration:
                return


async def _awaited_result(result: Awaitable[Any]) -> Any:
    return await result


async def next_item(items: Any) -> Any:
    """What an async iterator gives next. Any: an item."""
    return await anext(items)

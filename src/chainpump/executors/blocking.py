"""Async functions that run without an event loop: each call starts an event loop of its own."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Iterator
from functools import update_wrapper
from typing import Any

__all__ = ["blocking", "next_item"]


def blocking(function: Callable[..., Any]) -> Callable[..., Any]:
    """Convert an async function, or an async generator function, into a plain function. No event loop is needed."""
    return _Blocking(function)


class _Blocking:
    """A function that runs each call of an async function in a new event loop."""

    def __init__(self, function: Callable[..., Any]) -> None:
        update_wrapper(self, function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        import asyncio

        result = self.__wrapped__(*args, **kwargs)  # type: ignore[attr-defined]  # `update_wrapper` sets it
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
    """Return the next item of an async iterator. Its type is Any, because it is the user's item."""
    return await anext(items)

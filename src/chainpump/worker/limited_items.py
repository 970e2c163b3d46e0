"""The items that a stage numbers, up to a limit that moves: between two looks at it they pass at the speed of C."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from itertools import islice
from types import AsyncGeneratorType
from typing import Any

from .entries import ending, given, in_parts

__all__ = ["limited"]

END = object()


def limited(items: Any, beyond: Callable[[int], int]) -> Any:
    """The same items. Any: they may be asynchronous.

    >>> limits = []
    >>> list(limited("abcde", lambda number: limits.append(number) or number + 2)), limits
    (['a', 'b', 'c', 'd', 'e'], [0, 2, 4])

    beyond: waits until the item of this number may be given, counted from 0. Returns the number below which all may be.
    """
    if isinstance(items, AsyncIterable):
        return _async_limited(items, beyond)
    return in_parts(items, _parts(ending(items), beyond))


def _parts(items: Iterator[Any], beyond: Callable[[int], int]) -> Iterator[Iterable[Any]]:
    """Iterables of the items."""
    number = 0
    # The end needs no room.
    while (item := next(items, END)) is not END:
        stop = beyond(number)
        box = [item]
        # A source that waits must not keep its previous item alive.
        del item
        yield given(box)
        yield islice(items, stop - number - 1)
        number = stop


async def _async_limited(items: AsyncIterable[Any], beyond: Callable[[int], int]) -> AsyncIterator[Any]:
    import asyncio

    number = stop = 0
    try:
        async for item in items:
            if number == stop:
                # The loop may be that of the program.
                stop = await asyncio.to_thread(beyond, number)
            yield item
            del item
            number += 1
    finally:
        if isinstance(items, AsyncGeneratorType):
            await items.aclose()

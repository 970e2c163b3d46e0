"""A source that goes on: the items that are done are dropped before any stage sees them."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from itertools import chain, islice
from types import AsyncGeneratorType
from typing import Any

from ..durable.ranges import Ranges
from .stage_run import StageRun

__all__ = ["ResumedSource", "without"]


class ResumedSource(StageRun):
    """A running source of which some items are done. The worker numbers the others, from 0 on."""

    def start(self) -> Any:
        """Call the function. Returns its items without those that are done."""
        return without(super().start(), self.assignment.done)


def without(items: Any, done: Ranges) -> Any:
    """The items whose numbers are not done. Any: they may be asynchronous.

    >>> list(without("abcdef", Ranges([(0, 2), (3, 4)])))
    ['c', 'e', 'f']
    """
    if isinstance(items, AsyncIterable):
        return _async_without(items, done)
    return chain.from_iterable(_parts(iter(items), done))


def _parts(items: Iterator[Any], done: Ranges) -> Iterator[Iterable[Any]]:
    """Iterables of what is not done. `chain` runs them, and `islice` the drops, at the speed of C."""
    number = 0
    for start, stop in done:
        if start > number:
            yield islice(items, start - number)
        # Without a result, `islice` consumes all that is before its start.
        next(islice(items, stop - start, stop - start), None)
        number = stop
    yield items


async def _async_without(items: AsyncIterable[Any], done: Ranges) -> AsyncIterator[Any]:
    number = 0
    try:
        async for item in items:
            if number not in done:
                yield item
            number += 1
    finally:
        if isinstance(items, AsyncGeneratorType):
            await items.aclose()

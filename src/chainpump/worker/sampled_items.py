"""The items of a source, of which some are looked at: between them they pass at the speed of C."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from itertools import islice
from types import AsyncGeneratorType
from typing import Any

from ..durable.samples import Sampler
from .entries import ending, given, in_parts

__all__ = ["sampled"]

END = object()


def sampled(items: Any, sampler: Sampler, first: int = 0) -> Any:
    """The same items. first: the number of the first one. Any: they may be asynchronous.

    Iterating raises JournalError where the sampler does.
    """
    if isinstance(items, AsyncIterable):
        return _async_sampled(items, sampler, first)
    return in_parts(items, _parts(ending(items), sampler, first))


def _parts(items: Iterator[Any], sampler: Sampler, number: int) -> Iterator[Iterable[Any]]:
    """Iterables of the items."""
    while True:
        at = sampler.following(number)
        yield islice(items, at - number)
        item = next(items, END)
        if item is END:
            sampler.end(at)
            return
        sampler.look(at, item)
        box = [item]
        # A source that waits must not keep its previous item alive.
        del item
        yield given(box)
        number = at + 1


async def _async_sampled(items: AsyncIterable[Any], sampler: Sampler, number: int) -> AsyncIterator[Any]:
    at = sampler.following(number)
    try:
        async for item in items:
            if number == at:
                sampler.look(number, item)
                at = sampler.following(number + 1)
            yield item
            del item
            number += 1
        sampler.end(number)
    finally:
        if isinstance(items, AsyncGeneratorType):
            await items.aclose()

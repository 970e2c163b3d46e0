"""A queue of an event loop that is the source of a stage while a program fills it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Generic, TypeVar

from ...building.checks import check_count
from .queues import Mark

__all__ = ["AsyncQueue"]

T = TypeVar("T")


class AsyncQueue(asyncio.Queue[Any], Generic[T]):
    """A queue of an event loop, as a source: its items arrive while a stage is awaited. `async for` reads it, too.

    The options are those of `ThreadQueue`, and so are the methods, of which those that may wait are coroutines.
    """

    def __init__(self, maxsize: int = 0, total_sources: int = 1) -> None:
        self._left = check_count(total_sources, "IterableQueue", "total_sources")
        super().__init__(check_count(maxsize, "IterableQueue", "maxsize", least=0))

    async def __aiter__(self) -> AsyncIterator[T]:
        while True:
            try:
                yield await self.get()
            except asyncio.QueueEmpty:
                return

    async def get(self) -> T:
        """Return the next item. Raises asyncio.QueueEmpty if there are no more."""
        while True:
            found = self.get_nowait() if self.is_done() else await super().get()
            if not isinstance(found, Mark):
                item: T = found
                return item
            if found.error is not None:
                raise found.error
            self._left = 0 if found.stops else self._left - 1

    def is_done(self) -> bool:
        """Whether the end of every source has been read."""
        return self._left <= 0

    async def worker_done(self) -> None:
        """Say that one source puts no more items. The items end when all sources have said so."""
        await self.put(Mark())

    def worker_done_nowait(self) -> None:
        """Do the same. Raises asyncio.QueueFull if there is no room."""
        self.put_nowait(Mark())

    async def stop(self) -> None:
        """End the items now, and drop those that nobody has read."""
        self.stop_nowait()

    def stop_nowait(self) -> None:
        """Do the same."""
        self._left = 0
        with suppress(asyncio.QueueEmpty):
            while True:
                self.get_nowait()
        # It wakes a reader that waits.
        self.put_nowait(Mark(stops=True))

    kill = stop
    kill_nowait = stop_nowait

    async def raise_exception(self, exception: BaseException) -> None:
        """Let the reader raise an exception, behind the items that were put before."""
        await self.put(Mark(exception))

    def raise_exception_nowait(self, exception: BaseException) -> None:
        """Do the same. Raises asyncio.QueueFull if there is no room."""
        self.put_nowait(Mark(exception))

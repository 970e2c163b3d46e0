"""The items of an async generator in an event loop of the program, which makes them ahead of the worker's thread.

A call of the loop from another thread, and back, takes longer than a hundred items. So the loop makes items without a
pause, as many as it may, and the thread takes all of them at once. A lone item is taken at once. Items that follow it
within a millisecond are taken together, unless the loop has made all that it may.
"""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterable
from inspect import isasyncgen
from typing import TYPE_CHECKING, Any

from ..ipc.wakeups import Wakeup
from ..pickling.sizes import SCALARS, STRINGS, Weigher
from ..transport.flow import FRAME_BYTES

if TYPE_CHECKING:
    import asyncio

__all__ = ["LoopSource"]

# Nanoseconds for which the thread lets items gather after it has taken some.
GATHER_NS = 1_000_000


class LoopSource:
    """Items that an event loop makes while the thread of a worker sends others.

    loop: runs `make`. shares_items: whether the next stage gets the items themselves. Otherwise an item that may change
    later is copied by the thread, and the generator goes on only afterwards.
    """

    def __init__(self, items: AsyncIterable[Any], loop: asyncio.AbstractEventLoop, *, shares_items: bool) -> None:
        self._items = items
        self._loop = loop
        self._shares_items = shares_items
        self._weigher = Weigher()
        # This lock guards the next attributes.
        self._lock = threading.Lock()
        self._made: list[Any] = []
        self._nbytes = 0
        self._allowed = 0
        # Whether the loop must not go on before the thread has taken the items and asks for more.
        self._is_full = False
        self._is_paused = False
        self._has_ended = False
        # Set for the thread, which waits for an item, or for all that the loop may make.
        self._wakeup = Wakeup()
        self._waits_for_all = False
        self._taken_ns = 0

    async def make(self) -> None:
        """Make all items. It runs in the loop."""
        import asyncio

        self._resumed = asyncio.Event()
        await self._until_allowed()
        items = aiter(self._items)
        thrown: asyncio.CancelledError | None = None
        while True:
            try:
                item = await (anext(items) if thrown is None else items.athrow(thrown))  # type: ignore[attr-defined]
            except StopAsyncIteration:
                return
            thrown = None
            must_pause = self._add(item)
            del item
            if must_pause:
                try:
                    await self._until_allowed()
                except asyncio.CancelledError as error:
                    # `asyncio.timeout` around a `yield` cancels this task, too: the generator decides what it means. It
                    # may make one more item then. To wait for a credit first could delay the end of the program.
                    if not isasyncgen(items):
                        raise
                    thrown = error

    def _add(self, item: Any) -> bool:
        kind = type(item)
        is_simple = kind in SCALARS or kind in STRINGS
        nbytes = self._weigher.weigh(item)
        with self._lock:
            self._made.append(item)
            self._nbytes += nbytes
            self._allowed -= 1
            self._is_full = not (self._shares_items or is_simple) or self._nbytes >= FRAME_BYTES
            must_pause = self._is_full or not self._allowed
            if must_pause or not self._waits_for_all:
                self._wakeup.set()
        return must_pause

    async def _until_allowed(self) -> None:
        while True:
            self._resumed.clear()
            with self._lock:
                self._is_paused = self._is_full or not self._allowed
                if not self._is_paused:
                    return
            await self._resumed.wait()

    def end(self) -> None:
        """The loop makes no more items. Any thread may call it."""
        with self._lock:
            self._has_ended = True
            self._wakeup.set()

    @property
    def allowed(self) -> int:
        """The number of items that the loop may still make."""
        return self._allowed

    @property
    def is_ready(self) -> bool:
        """Whether `take` does not wait."""
        return bool(self._made) or self._has_ended

    def allow(self, more: int) -> None:
        """Let the loop make so many more items. Those that it has made have been sent, or copied."""
        with self._lock:
            self._allowed += more
            self._is_full = self._is_full and bool(self._made)
            is_due = self._is_paused and self._allowed and not self._is_full
            if is_due:
                self._is_paused = False
        if is_due:
            self._loop.call_soon_threadsafe(self._resumed.set)

    def take(self) -> list[Any]:
        """Wait for items, and remove those that the loop has made. None are left at the end."""
        if not self._wait_for_one():
            return []
        self._gather()
        with self._lock:
            found, self._made = self._made, []
            self._nbytes = 0
        self._taken_ns = time.monotonic_ns()
        return found

    def _wait_for_one(self) -> bool:
        while not self._made and not self._has_ended:
            self._wakeup.wait()
        return bool(self._made)

    def _gather(self) -> None:
        """Let items gather, if the previous ones were taken just now."""
        while (left := self._taken_ns + GATHER_NS - time.monotonic_ns()) > 0:
            with self._lock:
                self._waits_for_all = not (self._is_full or not self._allowed or self._has_ended)
            if not self._waits_for_all:
                return
            self._wakeup.wait(left / 1e9)
            self._waits_for_all = False

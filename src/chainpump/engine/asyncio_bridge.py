"""A run inside the event loop of a program. One thread makes its blocking calls, and it ends with the task."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from typing import Any, Generic, TypeVar

from ..errors import Cancelled, RunError
from ..messages import failure_texts
from .execution import Execution
from .opening import Opening
from .run import Run

__all__ = ["Taking", "running"]

T = TypeVar("T")
RunT = TypeVar("RunT", bound=Execution)


# A class, and no async generator: at its end an event loop closes all async generators at once. It would close this one
# while the one that uses it, and that is being closed, too, waits for it.
class running(Generic[RunT]):  # noqa: N801  # used like a function
    """Start a run. Gives it, and an async function that calls another function in the run's thread.

    If the task is cancelled, the run is cancelled, too, and its end is awaited.
    """

    def __init__(self, start: Callable[[], RunT]) -> None:
        self._begin = start
        self._opening = Opening()
        self._run: RunT
        # All calls share one context, so that a context variable that a stage has set stays set.
        self._context = copy_context()
        self._pool = ThreadPoolExecutor(1, "chainpump async")

    def _within(self, function: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        call = partial(self._context.run, function, *args)
        return asyncio.get_running_loop().run_in_executor(self._pool, call)

    def _open(self) -> RunT:
        with self._opening:
            return self._begin()

    async def __aenter__(self) -> tuple[RunT, Callable[..., Awaitable[Any]]]:
        try:
            try:
                starting = self._within(self._open)
            except RuntimeError as error:
                # The system refuses a thread.
                raise RunError(failure_texts.no_run(error)) from error
            try:
                self._run = await asyncio.shield(starting)
            except asyncio.CancelledError:
                self._opening.cancel()
                with suppress(Cancelled):
                    self._run = await starting
                    # Not in this thread: a worker may need its event loop to end.
                    await self.__aexit__()
                raise
        except BaseException:
            self._pool.shutdown()
            raise
        return self._run, self._within

    async def __aexit__(self, *_: object) -> None:
        try:
            # This wakes the thread if it still waits. After the end, it does nothing.
            self._run.cancel()
            closing = self._within(self._run.close)
            try:
                await asyncio.shield(closing)
            except asyncio.CancelledError:
                # One more cancellation. `shutdown` would block the loop, which a worker may need to end.
                await asyncio.wait((closing,))
                raise
        finally:
            self._pool.shutdown()


class Taking(Generic[T]):
    """Takes the items of a run in its thread: all that are ready by one call.

    The call takes longer than a loop over many items. So the run gets the time of the loop, and sends as many items
    together as are good for that.
    """

    def __init__(self, run: Run[T], within: Callable[..., Awaitable[Any]]) -> None:
        self._run = run
        self._within = within
        self._items = iter(run)
        # When the thread has given items last, and the caller's work on them began.
        self._taken_ns: int | None = None

    async def more(self) -> list[T]:
        """The next items; none at the end. The caller has done its work on the previous ones."""
        if self._run.is_ready():
            # With a bound, each request gives one item of a frame. The thread is needed for the next frame only.
            return self._run.take_ready(self._items)
        spent_ns = None if self._taken_ns is None else time.monotonic_ns() - self._taken_ns
        found: list[T] = await self._within(self._run.take_ready, self._items, spent_ns)
        self._taken_ns = time.monotonic_ns()
        return found

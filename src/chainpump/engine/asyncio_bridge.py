"""A run inside the event loop of a program. One thread makes its blocking calls, and it ends with the task."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any, Generic, TypeVar

from ..errors import RunError
from ..messages import failure_texts
from .execution import Execution

__all__ = ["running"]

RunT = TypeVar("RunT", bound=Execution)


# A class, and no async generator: at its end an event loop closes all async generators at once. It would close this one
# while the one that uses it, and that is being closed, too, waits for it.
class running(Generic[RunT]):  # noqa: N801  # used like a function
    """Start a run. Gives it, and an async function that calls another function in the run's thread.

    If the task is cancelled, the run is cancelled, too, and its end is awaited.
    """

    def __init__(self, start: Callable[[], RunT]) -> None:
        self._begin = start
        self._run: RunT
        # All calls share one context, so that a context variable that a stage has set stays set.
        self._context = copy_context()
        self._pool = ThreadPoolExecutor(1, "chainpump async")

    def _within(self, function: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        call = partial(self._context.run, function, *args)
        return asyncio.get_running_loop().run_in_executor(self._pool, call)

    async def __aenter__(self) -> tuple[RunT, Callable[..., Awaitable[Any]]]:
        try:
            try:
                starting = self._within(self._begin)
            except RuntimeError as error:
                # The system refuses a thread.
                raise RunError(failure_texts.no_run(error)) from error
            try:
                self._run = await asyncio.shield(starting)
            except asyncio.CancelledError:
                (await starting).close()
                raise
        except BaseException:
            self._pool.shutdown()
            raise
        return self._run, self._within

    async def __aexit__(self, *_: object) -> None:
        try:
            # This wakes the thread if it still waits. After the end, it does nothing.
            self._run.cancel()
            await asyncio.shield(self._within(self._run.close))
        finally:
            self._pool.shutdown()

"""A run inside the event loop of a program. One thread makes its blocking calls, and it ends with the task."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from contextvars import copy_context
from functools import partial
from typing import Any, TypeVar

from ..errors import RunError
from ..messages import failure_texts
from .execution import Execution

__all__ = ["running"]

RunT = TypeVar("RunT", bound=Execution)


@asynccontextmanager
async def running(start: Callable[[], RunT]) -> AsyncIterator[tuple[RunT, Callable[..., Any]]]:
    """Start a run. Yields it, and an async function that calls another function in the run's thread.

    If the task is cancelled, the run is cancelled, too, and its end is awaited.
    """
    loop = asyncio.get_running_loop()
    # All calls share one context, so that a context variable that a stage has set stays set.
    context = copy_context()
    with ThreadPoolExecutor(1, "chainpump async") as pool:

        async def within(function: Callable[..., Any], *args: Any) -> Any:
            return await loop.run_in_executor(pool, partial(context.run, function), *args)

        try:
            starting = loop.run_in_executor(pool, context.run, start)
        except RuntimeError as error:
            # The system refuses a thread.
            raise RunError(failure_texts.no_run(error)) from error
        try:
            run = await asyncio.shield(starting)
        except asyncio.CancelledError:
            (await starting).close()
            raise
        try:
            yield run, within
        finally:
            # This wakes the thread if it still waits. After the end, it does nothing.
            run.cancel()
            await asyncio.shield(loop.run_in_executor(pool, run.close))

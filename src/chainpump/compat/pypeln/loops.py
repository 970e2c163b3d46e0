"""Coroutines of a program without an event loop: `pypeln.task` runs them in a loop of a thread of its own."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from functools import cache, wraps
from typing import Any, ParamSpec, TypeVar

from .namespaces import AsyncNamespace as Namespace

__all__ = ["Namespace", "get_running_loop", "run_coroutine_in_loop", "run_function_in_loop", "run_test_async"]

T = TypeVar("T")
P = ParamSpec("P")


def get_running_loop() -> asyncio.AbstractEventLoop:
    """Return the event loop that runs in this thread, or one that runs in a thread of this module until the end."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        # A forked process has no thread of its parent.
        return background_loop(os.getpid())


@cache
def background_loop(_process: int) -> asyncio.AbstractEventLoop:
    """Return the event loop of this module in a process, which is this one."""
    loop = asyncio.new_event_loop()

    def run() -> None:
        loop.run_forever()
        loop.close()

    threading.Thread(target=run, name="chainpump event loop", daemon=True).start()
    return loop


def run_coroutine_in_loop(
    f_coro: Callable[[], Awaitable[T]], loop: asyncio.AbstractEventLoop | None = None
) -> Future[T]:
    """Run the coroutine that a function returns in an event loop. `.result()` of what is returned waits for it."""

    async def run() -> T:
        return await f_coro()

    return asyncio.run_coroutine_threadsafe(run(), loop or get_running_loop())


def run_function_in_loop(f: Callable[[], Any], loop: asyncio.AbstractEventLoop | None = None) -> asyncio.Handle:
    """Call a function in an event loop, soon."""
    return (loop or get_running_loop()).call_soon_threadsafe(f)


def run_test_async(f: Callable[P, Awaitable[T]]) -> Callable[P, T]:
    """Make a plain function of an async one, which waits for its result. Tests of async code are written so."""

    @wraps(f)
    def waiting(*args: P.args, **kwargs: P.kwargs) -> T:
        return run_coroutine_in_loop(lambda: f(*args, **kwargs)).result()

    return waiting

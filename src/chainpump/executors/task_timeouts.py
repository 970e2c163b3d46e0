"""The time limit of tasks. It holds even for tasks that ignore their cancellation or block the event loop."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Coroutine
from functools import partial
from inspect import isasyncgen
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import TYPE_CHECKING, Any, TypeAlias

from .thread_handle import line_of, stack_of

if TYPE_CHECKING:
    import asyncio

__all__ = ["CallTimeout", "TaskLimits", "task_stack"]

# The origin and number of an item, and the item.
CurrentItem: TypeAlias = tuple[int, int, Any]

# Seconds for the clean-up of a call that was cancelled at its time limit.
ENDS_WITHIN = 1.0
# Seconds, after that, in which an event loop that is not blocked has handled the call.
COMES_BACK_WITHIN = 1.0
# The type of the object that waits for an async generator. Only the garbage collector can find the generator from it.
ASEND_TYPE = "async_generator_asend"
# For each type: the attribute with its frame, and the attribute with the object that it waits for.
FRAME_AND_AWAITED = {
    CoroutineType: ("cr_frame", "cr_await"),
    GeneratorType: ("gi_frame", "gi_yieldfrom"),
    AsyncGeneratorType: ("ag_frame", "ag_await"),
}


class CallTimeout(Exception):
    """A call exceeded its time limit. stack: the stack of the call."""

    def __init__(self, stack: str) -> None:
        super().__init__(stack)
        self.stack = stack


class TaskLimits:
    """The time limit of the calls of one stage, in one event loop. There are four cases.

    1. A call is cancelled at its limit, and ends: it exceeded the limit.
    2. A call does not end within a second of its cancellation: it is left behind, because nothing can end it.
    3. A call blocks the event loop, and returns: it exceeded the limit, whatever it returns.
    4. A call blocks the event loop, and does not return: a thread detects that, and calls `on_blocked`. It is None for
       a loop that other code may block, too: then this is not detected.

    is_cancelled: whether the run is cancelled. Then the supervisor deals with calls that do not end.
    `_calls` is shared with the thread. The event loop's thread writes it, and the other thread copies it atomically.
    """

    def __init__(
        self, timeout: float, is_cancelled: Callable[[], bool], on_blocked: Callable[[CurrentItem, str], object] | None
    ) -> None:
        import asyncio

        self._timeout = timeout
        self._is_cancelled = is_cancelled
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        # Start times are in seconds of the monotonic clock.
        self._calls: dict[asyncio.Task[Any], tuple[float, CurrentItem]] = {}
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        if on_blocked is not None:
            watch = partial(self._watch, on_blocked)
            self._thread = threading.Thread(target=watch, name="chainpump limits", daemon=True)
            self._thread.start()

    async def within(self, work: Coroutine[Any, Any, Any], current: CurrentItem) -> Any:
        """Return the result of a call. Raises CallTimeout, and what the call raises."""
        import asyncio

        started = time.monotonic()
        call = self._loop.create_task(work)
        self._calls[call] = started, current
        try:
            await asyncio.wait((call,), timeout=self._timeout)
            if call.done() and time.monotonic() - started <= self._timeout:
                return call.result()
            stack = task_stack(call)
            await self._cancel(call, ENDS_WITHIN)
            raise CallTimeout(stack)
        except asyncio.CancelledError:
            await self._cancel(call, None if self._is_cancelled() else ENDS_WITHIN)
            raise
        finally:
            del self._calls[call]

    async def _cancel(self, call: asyncio.Task[Any], within: float | None) -> None:
        """Cancel a call, and wait for its clean-up."""
        import asyncio

        call.cancel()
        await asyncio.wait((call,), timeout=within)
        if not call.done():
            _leave_behind(call)
        elif not call.cancelled():
            # The exception is read here, because asyncio prints exceptions that were never read.
            call.exception()

    def _watch(self, on_blocked: Callable[[CurrentItem, str], object]) -> None:
        """Check whether the oldest call is still running after its limit and the time for its end."""
        patience = self._timeout + ENDS_WITHIN + COMES_BACK_WITHIN
        due = time.monotonic() + patience
        while not self._closed.wait(max(0.0, due - time.monotonic())):
            calls = self._calls.copy()
            due = min((started for started, _ in calls.values()), default=time.monotonic()) + patience
            if due <= time.monotonic():
                on_blocked(*self._blocking_call(calls))
                return

    def _blocking_call(self, calls: dict[asyncio.Task[Any], tuple[float, CurrentItem]]) -> tuple[CurrentItem, str]:
        """The call that blocks the event loop, and its stack."""
        import asyncio

        running = asyncio.current_task(self._loop)
        _, current = calls.get(running) or min(calls.values(), key=lambda call: call[0])  # type: ignore[arg-type]
        return current, stack_of(self._loop_thread)

    def close(self) -> None:
        """End the thread."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join()


def _leave_behind(call: asyncio.Task[Any]) -> None:
    """Remove a task from its event loop: `asyncio.Runner` would otherwise wait for it for ever."""
    import asyncio

    asyncio.tasks._unregister_task(call)  # noqa: SLF001
    call._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001


def task_stack(task: asyncio.Task[Any]) -> str:
    """The stack of a waiting task, the innermost call first."""
    return _stack_of(task.get_coro())


def _stack_of(awaited: Any) -> str:
    """The stack of a waiting coroutine, the innermost call first."""
    lines: list[str] = []
    while awaited is not None:
        if type(awaited).__name__ == ASEND_TYPE:
            awaited = next(filter(isasyncgen, gc.get_referents(awaited)), None)
        frame, inner = FRAME_AND_AWAITED.get(type(awaited), ("", ""))
        # The object is a future, or the coroutine has just ended.
        if (at := getattr(awaited, frame, None)) is None:
            break
        lines.append(line_of(at))
        awaited = getattr(awaited, inner)
    return "\n".join(reversed(lines))

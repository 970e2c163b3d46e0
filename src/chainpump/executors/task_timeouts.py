"""How long a task may take over an item, whatever it does: ignore its cancellation, or block the event loop."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Coroutine
from inspect import isasyncgen
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import TYPE_CHECKING, Any, TypeAlias

from .thread_handle import line_of, stack_of

if TYPE_CHECKING:
    import asyncio

__all__ = ["CallTimeout", "TaskLimits", "task_stack"]

# Origin and number of an item, and the item.
CurrentItem: TypeAlias = tuple[int, int, Any]

# Seconds that a call that was cancelled, since it took too long, has to clean up.
ENDS_WITHIN = 1.0
# Seconds, after that, in which an event loop that nothing blocks has dealt with it.
COMES_BACK_WITHIN = 1.0
# The type of what waits for an async generator; which, only the collector knows.
ASEND_TYPE = "async_generator_asend"
# Where each kind is, and what it awaits.
FRAME_AND_AWAITED = {
    CoroutineType: ("cr_frame", "cr_await"),
    GeneratorType: ("gi_frame", "gi_yieldfrom"),
    AsyncGeneratorType: ("ag_frame", "ag_await"),
}


class CallTimeout(Exception):
    """A call took too long. stack: where it was."""

    def __init__(self, stack: str) -> None:
        super().__init__(stack)
        self.stack = stack


class TaskLimits:
    """The time limit of the calls of one stage, in one event loop.

    1. A call that is cancelled at its limit, and ends: it was late.
    2. One that does not end within a second: it is left behind, since nothing ends it.
    3. One that blocks the event loop, and returns: it was late, whatever it returns.
    4. One that blocks the event loop, and does not return: a thread sees that, and says so by `blocked`.

    is_cancelled: whether the run is; then the supervisor looks after those that do not end.
    Shared with that thread: `_calls`, which the loop's thread writes, and which is copied at once.
    """

    def __init__(
        self, timeout: float, is_cancelled: Callable[[], bool], on_blocked: Callable[[CurrentItem, str], object]
    ) -> None:
        import asyncio

        self._timeout = timeout
        self._is_cancelled = is_cancelled
        self._on_blocked = on_blocked
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        # Since when, in s of the monotonic clock.
        self._calls: dict[asyncio.Task[Any], tuple[float, CurrentItem]] = {}
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="chainpump limits", daemon=True)
        self._thread.start()

    async def within(self, work: Coroutine[Any, Any, Any], current: CurrentItem) -> Any:
        """The result of a call. Raises Late, and what the call raises."""
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
            # Nobody asks for it: else asyncio would print it.
            call.exception()

    def _watch(self) -> None:
        """Look when the call that has been under way for longest would have had to be dealt with."""
        patience = self._timeout + ENDS_WITHIN + COMES_BACK_WITHIN
        due = time.monotonic() + patience
        while not self._closed.wait(max(0.0, due - time.monotonic())):
            calls = self._calls.copy()
            due = min((started for started, _ in calls.values()), default=time.monotonic()) + patience
            if due <= time.monotonic():
                self._report_blocked_loop(calls)
                return

    def _report_blocked_loop(self, calls: dict[asyncio.Task[Any], tuple[float, CurrentItem]]) -> None:
        import asyncio

        running = asyncio.current_task(self._loop)
        _, current = calls.get(running) or min(calls.values(), key=lambda call: call[0])  # type: ignore[arg-type]
        self._on_blocked(current, stack_of(self._loop_thread))

    def close(self) -> None:
        """End the thread."""
        self._closed.set()
        self._thread.join()


def _leave_behind(call: asyncio.Task[Any]) -> None:
    """Have the event loop end without it: `asyncio.Runner` would wait for it for ever."""
    import asyncio

    asyncio.tasks._unregister_task(call)  # noqa: SLF001
    call._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001


def task_stack(task: asyncio.Task[Any]) -> str:
    """Where a task waits: the calls that it is in, the innermost first."""
    return _stack_of(task.get_coro())


def _stack_of(awaited: Any) -> str:
    """Where a coroutine waits: the calls that it is in, the innermost first."""
    lines: list[str] = []
    while awaited is not None:
        if type(awaited).__name__ == ASEND_TYPE:
            awaited = next(filter(isasyncgen, gc.get_referents(awaited)), None)
        frame, inner = FRAME_AND_AWAITED.get(type(awaited), ("", ""))
        # A future, or it has just ended.
        if (at := getattr(awaited, frame, None)) is None:
            break
        lines.append(line_of(at))
        awaited = getattr(awaited, inner)
    return "\n".join(reversed(lines))

"""An event loop of the program, in which the thread of a worker runs coroutines."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterable, Callable, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..errors import Cancelled
from ..worker.async_output import AsyncOutput
from .loop_source import LoopSource

if TYPE_CHECKING:
    import asyncio
    from concurrent.futures import Future

__all__ = ["ProgramLoop"]


class _Call:
    """A coroutine that runs in the loop, once that has begun it, and its result."""

    def __init__(self, work: Coroutine[Any, Any, Any], is_last: bool) -> None:
        # The import is late for the reason given in `tasks_handle`.
        from concurrent.futures import Future

        self.work = work
        # Whether it is a clean-up, which is not cancelled with the run.
        self.is_last = is_last
        self.has_begun = False
        # Whether the thread of the worker has failed meanwhile, and needs no result.
        self.is_given_up = False
        self.task: asyncio.Task[Any] | None = None
        self.result: Future[Any] = Future()


class ProgramLoop:
    """An event loop that runs in another thread than its worker. Any thread may call `cancel` and `wake` at any time.

    The loop may be busy, or end while the run goes on: then it cancels the coroutine, or never goes on with it.
    on_end: is called in the loop when the program, and not the run, has cancelled the coroutine.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, on_end: Callable[[], object]) -> None:
        self._loop = loop
        self._on_end = on_end
        # This lock guards the other attributes, and the first two steps of a call.
        self._lock = threading.Lock()
        self._call: _Call | None = None
        self._is_cancelled = False
        self._is_left = False

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine, which `cancel` cancels."""
        return self._run_until_cancelled(_Call(work, is_last=False))

    def send(self, items: AsyncIterable[Any], output: AsyncOutput) -> None:
        """Send all items of an async iterable. The loop makes them meanwhile, and never waits for the channel."""
        made = LoopSource(items, self._loop, shares_items=output.shares_items)
        call = _Call(made.make(), is_last=False)
        call.result.add_done_callback(lambda _: made.end())
        self._run_until_cancelled(call, lambda: output.pump_ahead(made))

    def _run_until_cancelled(self, call: _Call, meanwhile: Callable[[], object] | None = None) -> Any:
        import asyncio

        try:
            return self._run(call, meanwhile)
        except asyncio.CancelledError:
            # The function itself raised this cancellation.
            if not self._is_cancelled:
                raise
            raise Cancelled("the run was cancelled") from None

    def run_last(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a clean-up to its end, also after a cancellation. Only `wake` ends it."""
        return self._run(_Call(work, is_last=True))

    def _run(self, call: _Call, meanwhile: Callable[[], object] | None = None) -> Any:
        with self._lock:
            if self._is_left:
                call.work.close()
                raise Cancelled("the run was cancelled")
            self._call = call
        try:
            try:
                # The coroutine gets a copy of the context of this thread.
                self._loop.call_soon_threadsafe(self._begin, call)
            except RuntimeError:
                # The loop is closed.
                call.work.close()
                raise
            if meanwhile is not None:
                self._do(meanwhile, call)
            return call.result.result()
        finally:
            with self._lock:
                self._call = None
            # The traceback of its exception holds this frame.
            del call

    def _do(self, meanwhile: Callable[[], object], call: _Call) -> None:
        """Do something in this thread while the coroutine runs. If it fails, the coroutine is cancelled, and ends."""
        try:
            meanwhile()
        except BaseException:
            with self._lock:
                call.is_given_up = True
                if not call.has_begun:
                    self._leave(call)
                elif not self._is_cancelled:
                    # Otherwise `cancel` has done so, and a second cancellation would interrupt the clean-up.
                    self._cancel(call)
            call.result.exception()
            raise

    def _begin(self, call: _Call) -> None:
        with self._lock:
            if call.result.done():
                return
            call.has_begun = True
        # Not under the lock: the task factory of the program may run the coroutine at once.
        task = self._loop.create_task(call.work)
        with self._lock:
            call.task = task
            if self._is_left or call.is_given_up or (self._is_cancelled and not call.is_last):
                task.cancel()
        task.add_done_callback(lambda ended: self._end(call, ended))

    def _end(self, call: _Call, task: asyncio.Task[Any]) -> None:
        """Give the result to the thread of the worker, if it still waits."""
        import asyncio

        if task.cancelled() and task.cancelling() and not (call.is_last or call.is_given_up):
            with self._lock:
                was_cancelled, self._is_cancelled = self._is_cancelled, True
            if not was_cancelled:
                self._on_end()
        # A task whose exception nobody has read prints it.
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        with self._lock:
            if call.result.done():
                return
            if error is not None:
                call.result.set_exception(error)
            else:
                call.result.set_result(task.result())

    def close(self) -> None:
        """The loop belongs to the program, which closes it."""

    def cancel(self) -> None:
        """Cancel the current or the next coroutine, unless it is a clean-up.

        It is done once, because a second cancellation would interrupt the clean-up.
        """
        with self._lock:
            is_first, self._is_cancelled = not self._is_cancelled, True
            call = self._call
            if call is None:
                return
            if self._loop.is_closed():
                self._leave(call)
            elif is_first and not (call.is_last or call.is_given_up):
                self._cancel(call)

    def wake(self) -> None:
        """Wake the thread of the worker, which is killed, from its wait. Its coroutine is cancelled once more."""
        with self._lock:
            self._is_left = True
            if self._call is not None:
                self._cancel(self._call)
                self._leave(self._call)

    def _cancel(self, call: _Call) -> None:
        if call.task is not None:
            # A closed loop runs nothing.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(call.task.cancel)

    def _leave(self, call: _Call) -> None:
        if not call.result.done():
            call.result.set_exception(Cancelled("the run was cancelled"))
            if not call.has_begun:
                call.work.close()

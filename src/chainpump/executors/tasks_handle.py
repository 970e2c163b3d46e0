"""The event loop of a worker: one thread of the main process that processes many items at once.

`asyncio` is imported when a worker starts, so that a program without async stages does not import it.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterable, Coroutine, Generator, Sequence
from contextlib import closing
from inspect import isasyncgen
from typing import TYPE_CHECKING, Any

from ..errors import Cancelled
from ..worker.operator_run import OperatorRun
from ..worker.outcome import Outcome
from ..worker.stage_run import StageRun
from ..worker.worker import Worker
from .blocking import next_item
from .task_per_item import Fatal, Flow
from .thread_handle import ThreadHandle

if TYPE_CHECKING:
    import asyncio

__all__ = ["TasksHandle"]


class TasksHandle(ThreadHandle):
    """The thread of an event loop. It is interrupted by cancelling its main task."""

    def __init__(self, worker: Worker, max_tasks: int) -> None:
        self._driver = _Driver(worker, max_tasks)
        super().__init__(worker)

    def _work(self) -> Outcome:
        return self._worker.run(self._report, self._driver.drive)

    def _finish(self) -> None:
        self._driver.join()

    def read_tasks(self) -> Sequence[tuple[str, str]]:
        """The items that are being processed, and where each of them waits."""
        return self._driver.tasks()

    def interrupt(self) -> None:
        """Cancel the main task, and so all others."""
        super().interrupt()
        self._driver.cancel()

    def kill(self) -> None:
        """Kill the thread like a plain worker thread. A clean-up that it waits for is cancelled, too."""
        super().kill()
        self._driver.wake()


class _Driver:
    """Runs one stage in an event loop of its own. Any thread may call `cancel` at any time."""

    def __init__(self, worker: Worker, max_tasks: int) -> None:
        self._worker = worker
        self._max_tasks = max_tasks
        # This lock guards the next three attributes.
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main_task: asyncio.Task[Any] | None = None
        self._is_cancelled = False
        self._flow: Flow | None = None
        # Made in the thread of the worker.
        self._runner: asyncio.Runner

    def drive(self, last: StageRun) -> Any:
        """Run the last stage in an event loop, instead of the worker's own loop."""
        import asyncio

        self._runner = asyncio.Runner()
        # The worker closes the loop, after its tear-down.
        self._worker.set_ups.loop = self
        self._worker.set_up()
        if isinstance(last, OperatorRun):
            self._flow = Flow(self._worker, last, self._max_tasks)
            self.run(self._flow.run())
            return None
        results = last.start()
        assert self._worker.output is not None
        # The stream is closed before the event loop is, because it needs the loop to close the generator.
        with closing(self._stream(results)) as items:
            self._worker.output.pump(items)
        return None

    def _stream(self, results: AsyncIterable[Any]) -> Generator[Any, None, None]:
        """Yield the items of an async generator. The event loop runs only while the next item is being produced."""
        items = aiter(results)
        try:
            while True:
                try:
                    yield self.run(next_item(items))
                except StopAsyncIteration:
                    return
        finally:
            if isasyncgen(results):
                self.run_last(results.aclose())

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine, which `cancel` cancels."""
        import asyncio

        loop = self._runner.get_loop()
        task = loop.create_task(work)
        with self._lock:
            self._loop, self._main_task = loop, task
            if self._is_cancelled:
                task.cancel()
        try:
            return loop.run_until_complete(task)
        except asyncio.CancelledError:
            # The function itself raised this cancellation.
            if not self._is_cancelled:
                raise
            raise Cancelled("the run was cancelled") from None
        except Cancelled:
            # `kill` raised this. Tasks that ignored their cancellation may end now, and their errors are not printed.
            loop.set_exception_handler(lambda *_: None)
            raise
        except Fatal as fatal:
            raise fatal.error from None
        finally:
            with self._lock:
                self._main_task = None

    def run_last(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a clean-up to its end, also after a cancellation. Only `kill` ends it."""
        try:
            return self._runner.run(work)
        except Cancelled:
            self._runner.get_loop().set_exception_handler(lambda *_: None)
            raise

    def close(self) -> None:
        """Close the event loop. Tasks that still run are cancelled."""
        self._runner.close()

    def cancel(self) -> None:
        """Cancel the current or the next task.

        It is done once, because a second cancellation would interrupt the clean-up.
        """
        with self._lock:
            # The flag is set first: the task may be cancelled, and the loop may end, before the call below returns.
            is_first, self._is_cancelled = not self._is_cancelled, True
            if is_first and self._loop is not None and self._main_task is not None:
                self._loop.call_soon_threadsafe(self._main_task.cancel)

    def tasks(self) -> Sequence[tuple[str, str]]:
        """The items that are being processed, and where each of them waits. It is empty for a source."""
        return tuple(self._flow.tasks()) if self._flow is not None else ()

    def join(self) -> None:
        """Wait for the threads of the tasks, after the outcome was reported.

        They may wait for a channel until the run is cancelled.
        """
        if self._flow is not None:
            self._flow.join()

    def wake(self) -> None:
        """Wake the event loop's thread from its wait."""
        with self._lock:
            if self._loop is not None and not self._loop.is_closed():
                # Any function does, because the call itself wakes the loop.
                self._loop.call_soon_threadsafe(int)

"""The event loop of a worker: one thread of the main process, many items at once.

`asyncio` is imported as a worker starts, since only programs that use it should pay for it.
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
    """The thread of an event loop, which is interrupted by cancelling what it is in."""

    def __init__(self, worker: Worker, max_tasks: int) -> None:
        self._driver = _Driver(worker, max_tasks)
        super().__init__(worker)

    def _work(self) -> Outcome:
        return self._worker.run(self._report, self._driver.drive)

    def _finish(self) -> None:
        self._driver.join()

    def read_tasks(self) -> Sequence[tuple[str, str]]:
        """The items in hand, and where each of them waits."""
        return self._driver.tasks()

    def interrupt(self) -> None:
        """Cancel its tasks."""
        super().interrupt()
        self._driver.cancel()

    def kill(self) -> None:
        """As for every thread; the clean-up that it is waiting for is cancelled, too."""
        super().kill()
        self._driver.wake()


class _Driver:
    """Runs one stage in an event loop of its own. `cancel` may come from any thread, at any time."""

    def __init__(self, worker: Worker, max_tasks: int) -> None:
        self._worker = worker
        self._max_tasks = max_tasks
        # Guards the three below.
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main_task: asyncio.Task[Any] | None = None
        self._is_cancelled = False
        self._flow: Flow | None = None

    def drive(self, last: StageRun) -> Any:
        """In place of the worker's own loop."""
        import asyncio

        with asyncio.Runner() as runner:
            if isinstance(last, OperatorRun):
                self._flow = Flow(self._worker, last, self._max_tasks)
                self._run(runner, self._flow.run())
                return None
            results = last.start()
            assert self._worker.outlet is not None
            # Now, while there is an event loop.
            with closing(self._stream(runner, results)) as items:
                self._worker.outlet.pump(items)
        return None

    def _stream(self, runner: asyncio.Runner, results: AsyncIterable[Any]) -> Generator[Any, None, None]:
        """What an async generator yields; the loop runs while the next item is asked for."""
        items = aiter(results)
        try:
            while True:
                try:
                    yield self._run(runner, next_item(items))
                except StopAsyncIteration:
                    return
        finally:
            if isasyncgen(results):
                runner.run(results.aclose())

    def _run(self, runner: asyncio.Runner, work: Coroutine[Any, Any, Any]) -> Any:
        import asyncio

        loop = runner.get_loop()
        task = loop.create_task(work)
        with self._lock:
            self._loop, self._main_task = loop, task
            if self._is_cancelled:
                task.cancel()
        try:
            return loop.run_until_complete(task)
        except asyncio.CancelledError:
            # The function's own.
            if not self._is_cancelled:
                raise
            raise Cancelled("the run was cancelled") from None
        except Cancelled:
            # By `kill`: tasks that have ignored theirs may end now, and nobody asks how.
            loop.set_exception_handler(lambda *_: None)
            raise
        except Fatal as fatal:
            raise fatal.error from None
        finally:
            with self._lock:
                self._main_task = None

    def cancel(self) -> None:
        """Cancel what it is in, or is about to begin: once, since a second time would break into its clean-up."""
        with self._lock:
            # First: the loop may have been cancelled, and have ended, before the call below returns.
            is_first, self._is_cancelled = not self._is_cancelled, True
            if is_first and self._loop is not None and self._main_task is not None:
                self._loop.call_soon_threadsafe(self._main_task.cancel)

    def tasks(self) -> Sequence[tuple[str, str]]:
        """The items in hand, and where each of them waits; none of a source."""
        return tuple(self._flow.tasks()) if self._flow is not None else ()

    def join(self) -> None:
        """Wait for its threads, which may be in a channel until the run is cancelled; it has said why."""
        if self._flow is not None:
            self._flow.join()

    def wake(self) -> None:
        """Have the event loop's thread come back from its wait."""
        with self._lock:
            if self._loop is not None and not self._loop.is_closed():
                # Anything.
                self._loop.call_soon_threadsafe(int)

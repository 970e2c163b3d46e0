"""A worker of async functions, as the supervisor sees it: its event loop processes many items at once.

`asyncio` is imported when a worker starts, so that a program without async stages does not import it.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Sequence
from inspect import isasyncgen
from typing import Any

from ..worker.async_output import AsyncOutput
from ..worker.operator_run import OperatorRun
from ..worker.outcome import Outcome
from ..worker.stage_run import StageRun
from ..worker.worker import Worker
from .own_loop import OwnLoop
from .program_loop import ProgramLoop
from .task_flow import Fatal, Flow
from .thread_handle import ThreadHandle

__all__ = ["TasksHandle"]


class TasksHandle(ThreadHandle):
    """The thread of a worker with an event loop. It is interrupted by cancelling its main task.

    loop: the event loop in which the functions run: in this thread, or in the program, while this thread waits.
    """

    def __init__(self, worker: Worker, max_tasks: int, loop: OwnLoop | ProgramLoop) -> None:
        self._driver = _Driver(worker, max_tasks, loop)
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
        self._driver.loop.cancel()

    def kill(self) -> None:
        """Kill the thread like a plain worker thread. A clean-up that it waits for is cancelled, too."""
        super().kill()
        self._driver.loop.wake()


class _Driver:
    """Runs one stage in an event loop."""

    def __init__(self, worker: Worker, max_tasks: int, loop: OwnLoop | ProgramLoop) -> None:
        self._worker = worker
        self._max_tasks = max_tasks
        self.loop = loop
        self._flow: Flow | None = None

    def drive(self, last: StageRun) -> Any:
        """Run the last stage in the event loop, instead of the worker's own loop."""
        # The worker closes the loop, after its tear-down.
        self._worker.set_ups.loop = self.loop
        self._worker.set_up()
        if isinstance(last, OperatorRun):
            self._flow = Flow(self._worker, last, self._max_tasks, has_own_loop=isinstance(self.loop, OwnLoop))
            try:
                self.loop.run(self._flow.run())
            except Fatal as fatal:
                raise fatal.error from fatal.error.__cause__
            return None
        self._send(last.start())
        return None

    def _send(self, results: AsyncIterable[Any]) -> None:
        """Send the items of an async generator, which runs in one task of the event loop."""
        assert isinstance(self._worker.output, AsyncOutput)
        try:
            self.loop.send(results, self._worker.output)
        finally:
            # The generator is closed before the event loop is, because it needs the loop for that.
            if isasyncgen(results):
                self.loop.run_last(results.aclose())

    def tasks(self) -> Sequence[tuple[str, str]]:
        """The items that are being processed, and where each of them waits. It is empty for a source."""
        return tuple(self._flow.tasks()) if self._flow is not None else ()

    def join(self) -> None:
        """Wait for the threads of the tasks, after the outcome was reported.

        They may wait for a channel until the run is cancelled.
        """
        if self._flow is not None:
            self._flow.join()

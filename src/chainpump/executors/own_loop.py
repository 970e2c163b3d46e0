"""An event loop in the thread of a worker."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterable, Callable, Coroutine
from typing import TYPE_CHECKING, Any

from ..errors import Cancelled
from ..worker.async_output import AsyncOutput

if TYPE_CHECKING:
    import asyncio

__all__ = ["OwnLoop"]


class OwnLoop:
    """An event loop that runs in the thread of its worker. Any thread may call `cancel` and `wake` at any time.

    make: makes the event loop. None if asyncio does so itself.
    """

    def __init__(self, make: Callable[[], asyncio.AbstractEventLoop] | None = None) -> None:
        import asyncio

        # It makes its loop when it is used, in the thread of the worker.
        self._runner = asyncio.Runner(loop_factory=make)
        # This lock guards the next three attributes.
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main_task: asyncio.Task[Any] | None = None
        self._is_cancelled = False

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

    def send(self, items: AsyncIterable[Any], output: AsyncOutput) -> None:
        """Send all items of an async iterable. While the channel is full, the loop waits."""
        self.run(output.pump_async(items))

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

    def wake(self) -> None:
        """Wake the thread of the worker, which is killed, from its wait in the event loop."""
        with self._lock:
            if self._loop is not None and not self._loop.is_closed():
                # Any function does, because the call itself wakes the loop.
                self._loop.call_soon_threadsafe(int)

"""A thread that makes blocking calls for an event loop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["BlockingThread"]


class BlockingThread:
    """A thread that makes blocking calls for an event loop, one at a time.

    A ThreadPoolExecutor is not used. At exit, the interpreter waits for its threads before `atexit` cancels a run that
    is still open. The threads wait for that run, so the program would never end.
    """

    def __init__(self, name: str) -> None:
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        # It runs user code, too: that of items which are unpickled or pickled.
        context = copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._run,), name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            future, function = call
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(function())
                except BaseException as error:
                    # The caller receives the exception.
                    future.set_exception(error)
            # The thread keeps no references while it waits.
            del call, future, function

    def begin(self, function: Callable[..., Any], *args: Any) -> Future[Any]:
        """Make a call in the thread, and do not wait for it."""
        from concurrent.futures import Future

        future: Future[Any] = Future()
        self._calls.put((future, partial(function, *args)))
        return future

    def end(self) -> None:
        """End the thread after its current call."""
        self._calls.put(None)

    def join(self) -> None:
        """Wait until the thread has ended."""
        self._thread.join()

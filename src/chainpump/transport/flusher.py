"""The thread that sends frames which have waited long enough. It sleeps while no frame is pending."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from contextvars import copy_context

from ..ipc.wakeups import Event, Wakeup
from .flow import FLUSH_NS

__all__ = ["Flusher"]


class Flusher:
    """A thread that sends frames which have waited for some time. It sleeps while no frame is pending.

    after_ns: this time, in nanoseconds. send_old: sends old frames and returns the ns until the next call, or 0.
    on_error: receives an exception of `send_old` at once, in this thread. `raise_error` raises it again in the worker's
    thread, but that may happen much later.
    """

    def __init__(
        self,
        send_old: Callable[[], int],
        on_error: Callable[[BaseException], object] | None = None,
        name: str = "chainpump flusher",
        after_ns: int = FLUSH_NS,
    ) -> None:
        self._send_old: Callable[[], int] | None = send_old
        self._on_error = on_error
        self._name = name
        self._after_ns = after_ns
        self._armed = Wakeup()
        self._stopped = Event()
        self._thread: threading.Thread | None = None
        # The thread writes it once, and the worker reads it.
        self.error: BaseException | None = None

    def arm(self) -> None:
        """A frame is pending. Raises OSError if the system refuses the thread."""
        if self._thread is None:
            # It pickles items, which runs user code.
            context = copy_context()
            self._thread = threading.Thread(target=context.run, args=(self._run,), name=self._name, daemon=True)
            try:
                self._thread.start()
            except RuntimeError as error:
                raise OSError(errno.EAGAIN, str(error)) from error
        self._armed.set()

    def _run(self) -> None:
        while True:
            self._armed.wait()
            left = self._after_ns
            while left and not self._stopped.wait(left / 1e9):
                try:
                    left = self._send_old() if self._send_old is not None else 0
                except BaseException as error:
                    # `raise_error` raises it again in the worker's own thread.
                    self.error = error
                    if self._on_error is not None:
                        self._on_error(error)
                    return
            if self._stopped.is_set:
                return

    def raise_error(self) -> None:
        """Raise the exception that ended the flusher, in the worker's thread."""
        if self.error is not None:
            raise self.error

    def stop(self) -> None:
        """End the thread. If it is sending a frame, it completes that first, or a hang-up of the channel wakes it."""
        self._stopped.set()
        self._armed.set()
        # The thread is not alive if Cancelled interrupted its start.
        if self._thread is not None and self._thread.is_alive():
            self._thread.join()
        # The callbacks refer to an unused `Output`. Without this reference cycle, the board can be unmapped.
        self._send_old = self._on_error = None

"""The thread that sends frames which have waited long enough; it sleeps while nothing is pending."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable

from ..ipc.wakeups import Event, Wakeup
from .flow import FLUSH_NS

__all__ = ["Flusher"]


class Flusher:
    """A thread that sends frames which have waited for 2 ms; it sleeps while nothing is pending.

    look: sends what is old; says in how many ns to look again, or 0. failed: is given what `look` has raised, at once,
    in this thread: the worker, where it is raised again, may not look for long.
    """

    def __init__(
        self,
        look: Callable[[], int],
        failed: Callable[[BaseException], object] | None = None,
        name: str = "chainpump flusher",
    ) -> None:
        self._look: Callable[[], int] | None = look
        self._failed = failed
        self._name = name
        self._armed = Wakeup()
        self._stopped = Event()
        self._thread: threading.Thread | None = None
        # Written by the thread once, read by the worker.
        self.error: BaseException | None = None

    def arm(self) -> None:
        """Something is pending. Raises OSError if the system refuses the thread."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            try:
                self._thread.start()
            except RuntimeError as error:
                raise OSError(errno.EAGAIN, str(error)) from error
        self._armed.set()

    def _run(self) -> None:
        while True:
            self._armed.wait()
            left = FLUSH_NS
            while left and not self._stopped.wait(left / 1e9):
                try:
                    left = self._look() if self._look is not None else 0
                except BaseException as error:
                    # Raised again in the worker's own thread.
                    self.error = error
                    if self._failed is not None:
                        self._failed(error)
                    return
            if self._stopped.is_set:
                return

    def raise_error(self) -> None:
        """Raise in the worker's thread what ended the flusher."""
        if self.error is not None:
            raise self.error

    def stop(self) -> None:
        """End the thread; a send that it is in ends first, or is woken by the channel's hang-up."""
        self._stopped.set()
        self._armed.set()
        # It is not, if Cancelled broke into its start.
        if self._thread is not None and self._thread.is_alive():
            self._thread.join()
        # They belong to the output, which belongs to nobody now: no cycle keeps the board mapped.
        self._look = self._failed = None

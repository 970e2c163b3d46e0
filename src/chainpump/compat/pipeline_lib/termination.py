"""SIGTERM and Ctrl-C end the workers of a run before they end the program, or reach a handler of it.

Without this the kernel ends the workers when the program has died. Then nobody may be left to reap them.
"""

from __future__ import annotations

import os
import signal
import threading
from types import TracebackType
from typing import Any, Protocol, Self

from ...errors import RunCancelledError

__all__ = ["EndingSignals"]

SIGNALS = (signal.SIGTERM, signal.SIGINT)
# An ignored signal stays ignored, Python itself raises KeyboardInterrupt, and handlers of C cannot be called from here.
UNTOUCHED = (signal.SIG_IGN, signal.default_int_handler, None)


class Cancellable(Protocol):
    """A run."""

    def cancel(self) -> None:
        """End it early. A signal handler may call it."""
        ...


class EndingSignals:
    """Lets a signal cancel a run. When the block has ended, the signal does what the program wants it to do.

    If a handler of the program returns, the block ends as if nothing had happened. This works only in the main thread,
    where Python handles signals. No exception is raised from a handler: it might get lost while workers are started.
    """

    def __init__(self) -> None:
        self._process = os.getpid()
        self._received: int | None = None
        self._run: Cancellable | None = None
        is_main = threading.current_thread() is threading.main_thread()
        handlers = {int(number): signal.getsignal(number) for number in SIGNALS if is_main}
        self._before: dict[int, Any] = {number: each for number, each in handlers.items() if each not in UNTOUCHED}

    def __enter__(self) -> Self:
        for number in self._before:
            signal.signal(number, self._handle)
        return self

    def cancel(self, run: Cancellable) -> None:
        """Cancel this run at a signal, or now if one has arrived."""
        self._run = run
        if self._received is not None:
            run.cancel()

    def _handle(self, number: int, _: object) -> None:
        if os.getpid() != self._process:
            # A forked process that has not set up its own handler yet.
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
            return
        # From now on a second signal does at once what the program wants.
        signal.signal(number, self._before[number])
        self._received = number
        if self._run is not None:
            self._run.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self._received is None:
            return False
        signal.raise_signal(self._received)
        return isinstance(error, RunCancelledError)

"""SIGTERM ends the workers of a run before it ends the program, as Ctrl-C does.

Without this the kernel ends them when the program has died. Then nobody may be left to reap them.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager

__all__ = ["ended_by_sigterm"]


class _Terminated(KeyboardInterrupt):
    """SIGTERM has arrived. A run that waits handles it as it handles Ctrl-C."""


@contextmanager
def ended_by_sigterm() -> Generator[None, None, None]:
    """Let SIGTERM leave the block by an exception, and then end the program.

    Only in the main thread, where Python handles signals, and only if the program has no handler of its own.
    """
    is_ours = (
        threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    )
    if not is_ours:
        yield
        return
    program = os.getpid()

    def end(*_: object) -> None:
        # From now on a second signal ends the program at once.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if os.getpid() == program:
            raise _Terminated
        # A forked process that has not set up its own handler yet.
        signal.raise_signal(signal.SIGTERM)

    signal.signal(signal.SIGTERM, end)
    try:
        yield
    except _Terminated:
        signal.raise_signal(signal.SIGTERM)
        raise
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

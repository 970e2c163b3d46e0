"""Ctrl-C while workers are started: it waits in the main process, and new workers do not hear it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

__all__ = ["ctrl_c_waits", "turn_deaf"]


@contextmanager
def ctrl_c_waits() -> Generator[None, None, None]:
    """Put Ctrl-C off until the end of the block.

    Raised inside a fork, KeyboardInterrupt would get lost in the callbacks that run there, or leave a process that
    nobody knows of. Both means are needed: the handler, because the kernel may give the signal to any thread; the
    mask, because it is what a new interpreter inherits. Only the main thread is ever interrupted.
    """
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) is None:
        yield
        return
    came: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        came.append(number)

    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    handler = signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, handler)
        if came:
            signal.raise_signal(signal.SIGINT)


def turn_deaf() -> None:
    """In a worker: Ctrl-C is for the main process. Not SIG_IGN, which the processes that it starts would inherit."""
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})

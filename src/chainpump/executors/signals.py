"""The two signals of a run: Ctrl-C, which is for the main process, and SIGTERM, which interrupts a worker."""

from __future__ import annotations

import os
import signal
import threading
import weakref
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType

__all__ = ["ctrl_c_waits", "on_sigterm", "turn_deaf"]

AGAIN = 0.005  # seconds until SIGTERM is sent once more to a worker that was in a finalizer; those are short


@contextmanager
def ctrl_c_waits() -> Generator[None, None, None]:
    """Put Ctrl-C off until the end of the block.

    Raised inside a fork, KeyboardInterrupt would get lost in the callbacks that run there, or leave a process that
    nobody knows of. Both means are needed: the handler, because the kernel may give the signal to any thread; the
    mask, because it is what a new interpreter inherits. Only the main thread is ever interrupted.
    """
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or handler is None:
        yield
        return
    came: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        came.append(number)

    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:  # from here on: the call that blocks the signal may raise what has come just before
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        signal.signal(signal.SIGINT, note)
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


def on_sigterm(interrupt: Callable[[], None]) -> None:
    """In a worker: have SIGTERM call `interrupt`, which may raise, in the main thread.

    What is raised in a finalizer is printed and lost: there, the signal is put off.
    """

    def handle(_: int, frame: FrameType | None) -> None:
        if _is_finalizing(frame):
            later = threading.Timer(AGAIN, os.kill, (os.getpid(), signal.SIGTERM))
            later.daemon = True
            later.start()
        else:
            interrupt()

    signal.signal(signal.SIGTERM, handle)


def _is_finalizing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code is weakref.finalize.__call__.__code__ or frame.f_code.co_name == "__del__":
            return True
        if frame.f_code.co_name == "cb" and frame.f_code.co_filename.startswith("<frozen importlib"):
            return True  # which drops the lock of a module that has been imported
        frame = frame.f_back
    return False

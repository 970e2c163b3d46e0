"""The two signals of a run: Ctrl-C, which is for the main process, and SIGTERM, which interrupts a worker."""

from __future__ import annotations

import os
import signal
import threading
import weakref
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType

from .swallowed_cancellations import Swallowed

__all__ = ["ctrl_c_waits", "is_deaf", "on_sigterm", "restore_in_forks", "turn_deaf"]


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
    # From here on: the call that blocks the signal may raise what has come just before.
    try:
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
    signal.signal(signal.SIGINT, _hear_nothing)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def is_deaf() -> bool:
    """Whether this process is a worker that has done so."""
    return signal.getsignal(signal.SIGINT) is _hear_nothing


def _hear_nothing(_: int, __: FrameType | None) -> None:
    pass


def on_sigterm(interrupt: Callable[[], None], take_back: Callable[[BaseException | None], bool]) -> None:
    """In a worker: have SIGTERM call `interrupt`, which may raise, in the main thread.

    take_back: is asked of an exception that Python has swallowed whether it is the one that `interrupt` has raised;
    if so, SIGTERM is sent again.
    """
    signal.signal(signal.SIGTERM, _Interrupting(interrupt, take_back))


class _Interrupting:
    """A handler of SIGTERM. A finalizer runs to its end: there, the signal is put off."""

    def __init__(self, interrupt: Callable[[], None], take_back: Callable[[BaseException | None], bool]) -> None:
        self._interrupt = interrupt
        self._swallowed = Swallowed(take_back, self._resend).install()

    def __call__(self, _: int, frame: FrameType | None) -> None:
        if _is_finalizing(frame):
            self._swallowed.resend_later()
        else:
            self._interrupt()

    @staticmethod
    def _resend() -> None:
        os.kill(os.getpid(), signal.SIGTERM)


def restore_in_forks() -> None:
    """In a worker: processes that it forks, such as those of a pool, are no workers, and take signals as any program.

    Handlers that the worker's own code has set stay.
    """
    os.register_at_fork(after_in_child=_restore)


def _restore() -> None:
    if is_deaf():
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if isinstance(signal.getsignal(signal.SIGTERM), _Interrupting):
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _is_finalizing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code is weakref.finalize.__call__.__code__ or frame.f_code.co_name == "__del__":
            return True
        if Swallowed.is_running(frame):
            return True
        frame = frame.f_back
    return False

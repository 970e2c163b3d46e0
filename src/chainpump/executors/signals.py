"""The two signals of a run: Ctrl-C, which is for the main process, and SIGTERM, which interrupts a worker."""

from __future__ import annotations

import os
import signal
import threading
import weakref
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType

from .swallowed_cancellations import UnraisableHook

__all__ = ["defer_ctrl_c", "ignore_ctrl_c", "ignores_ctrl_c", "on_sigterm", "restore_signals_in_forks"]


@contextmanager
def defer_ctrl_c() -> Generator[None, None, None]:
    """Put Ctrl-C off until the end of the block.

    Raised inside a fork, KeyboardInterrupt would get lost in the callbacks that run there, or leave a process that
    nobody knows of. Both means are needed: the handler, because the kernel may give the signal to any thread; the
    mask, because it is what a new interpreter inherits. Only the main thread is ever interrupted.
    """
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or handler is None:
        yield
        return
    received: list[int] = []

    def record(number: int, _: FrameType | None) -> None:
        received.append(number)

    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    # From here on: the call that blocks the signal may raise what has come just before.
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        signal.signal(signal.SIGINT, record)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, handler)
        if received:
            signal.raise_signal(signal.SIGINT)


def ignore_ctrl_c() -> None:
    """In a worker: Ctrl-C is for the main process. Not SIG_IGN, which the processes that it starts would inherit."""
    signal.signal(signal.SIGINT, _do_nothing)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def ignores_ctrl_c() -> bool:
    """Whether this process is a worker that has done so."""
    return signal.getsignal(signal.SIGINT) is _do_nothing


def _do_nothing(_: int, __: FrameType | None) -> None:
    pass


def on_sigterm(interrupt: Callable[[], None], take_back: Callable[[BaseException | None], bool]) -> None:
    """In a worker: have SIGTERM call `interrupt`, which may raise, in the main thread.

    take_back: is asked of an exception that Python has swallowed whether it is the one that `interrupt` has raised;
    if so, SIGTERM is sent again.
    """
    signal.signal(signal.SIGTERM, _SigtermHandler(interrupt, take_back))


class _SigtermHandler:
    """A handler of SIGTERM. A finalizer runs to its end: there, the signal is put off."""

    def __init__(self, interrupt: Callable[[], None], take_back: Callable[[BaseException | None], bool]) -> None:
        self._interrupt = interrupt
        self._unraisable_hook = UnraisableHook(take_back, self._resend).install()

    def __call__(self, _: int, frame: FrameType | None) -> None:
        if _is_finalizing(frame):
            self._unraisable_hook.resend_later()
        else:
            self._interrupt()

    @staticmethod
    def _resend() -> None:
        os.kill(os.getpid(), signal.SIGTERM)


def restore_signals_in_forks() -> None:
    """In a worker: processes that it forks, such as those of a pool, are no workers, and take signals as any program.

    Handlers that the worker's own code has set stay.
    """
    os.register_at_fork(after_in_child=_restore)


def _restore() -> None:
    if ignores_ctrl_c():
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if isinstance(signal.getsignal(signal.SIGTERM), _SigtermHandler):
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _is_finalizing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code is weakref.finalize.__call__.__code__ or frame.f_code.co_name == "__del__":
            return True
        if UnraisableHook.is_running(frame):
            return True
        frame = frame.f_back
    return False

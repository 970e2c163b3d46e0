"""The two signals of a run: Ctrl-C, which the main process handles, and SIGTERM, which interrupts a worker."""

from __future__ import annotations

import os
import signal
import threading
import weakref
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from .swallowed_cancellations import UnraisableHook

__all__ = ["SigtermHandler", "defer_ctrl_c", "ignore_ctrl_c", "ignores_ctrl_c", "restore_signals_in_forks"]


@contextmanager
def defer_ctrl_c() -> Generator[None, None, None]:
    """Defer Ctrl-C until the end of the block.

    During a fork, a KeyboardInterrupt could get lost in a callback, or the new process could be lost. Two measures are
    needed. The handler is needed because the kernel may deliver the signal to any thread. The mask is needed because a
    new interpreter inherits it. Only the main thread is ever interrupted.
    """
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or handler is None:
        yield
        return
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    deferring = _Deferring(handler, mask)
    # The `try` starts here, because the call that blocks the signal may raise for one that arrived just before.
    try:
        deferring.begin()
        yield
    finally:
        deferring.end()


@contextmanager
def undeferred_ctrl_c() -> Generator[None, None, None]:
    """Let Ctrl-C through inside this block, for a long wait in a block that defers it. It does nothing elsewhere."""
    deferring = signal.getsignal(signal.SIGINT)
    # In another thread, the main thread may defer it for another run.
    if threading.current_thread() is not threading.main_thread() or not isinstance(deferring, _Deferring):
        yield
        return
    try:
        deferring.end()
        yield
    finally:
        deferring.begin()


class _Deferring:
    """The handler that records Ctrl-C. handler, mask: those of the program."""

    # Any: a handler is a function or one of two numbers.
    def __init__(self, handler: Any, mask: set[signal.Signals | int]) -> None:
        self._handler = handler
        self._mask = mask
        self._has_received = False

    def __call__(self, number: int, _: FrameType | None) -> None:
        self._has_received = True

    def begin(self) -> None:
        """Defer from now on."""
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        signal.signal(signal.SIGINT, self)

    def end(self) -> None:
        """Defer no longer. Raises what the handler of the program raises for a signal that was deferred."""
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        signal.signal(signal.SIGINT, self._handler)
        if self._has_received:
            self._has_received = False
            signal.raise_signal(signal.SIGINT)


def ignore_ctrl_c() -> None:
    """Ignore Ctrl-C in a worker, by a handler. Processes that the worker starts would inherit SIG_IGN."""
    signal.signal(signal.SIGINT, _do_nothing)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def ignores_ctrl_c() -> bool:
    """Whether this process is a worker that ignores Ctrl-C."""
    return signal.getsignal(signal.SIGINT) is _do_nothing


def _do_nothing(_: int, __: FrameType | None) -> None:
    pass


class SigtermHandler:
    """Calls `interrupt` in the main thread of a worker when SIGTERM arrives. `interrupt` may raise.

    It defers the signal while a finalizer runs.
    take_back: decides whether an exception that Python has swallowed is the one that `interrupt` raised. If it is,
    SIGTERM is sent again.
    """

    def __init__(self, interrupt: Callable[[], None], take_back: Callable[[BaseException | None], bool]) -> None:
        self._interrupt = interrupt
        self._unraisable_hook = UnraisableHook(take_back, self._resend)

    def install(self) -> None:
        """Handle the signal from now on."""
        self._unraisable_hook.install()
        signal.signal(signal.SIGTERM, self)

    def remove(self) -> None:
        """Let another handler of SIGTERM take its place."""
        self._unraisable_hook.remove()

    def __call__(self, _: int, frame: FrameType | None) -> None:
        """Handle the signal."""
        if _is_finalizing(frame):
            self._unraisable_hook.resend_later()
        else:
            self._interrupt()

    @staticmethod
    def _resend() -> None:
        os.kill(os.getpid(), signal.SIGTERM)


def restore_signals_in_forks() -> None:
    """Restore the usual signal handlers in processes that a worker forks, such as those of a pool.

    They are not workers. Handlers that the worker's own code has set are kept.
    """
    os.register_at_fork(after_in_child=_restore)


def _restore() -> None:
    if ignores_ctrl_c():
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if isinstance(signal.getsignal(signal.SIGTERM), SigtermHandler):
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _is_finalizing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code is weakref.finalize.__call__.__code__ or frame.f_code.co_name == "__del__":
            return True
        if UnraisableHook.is_running(frame):
            return True
        frame = frame.f_back
    return False

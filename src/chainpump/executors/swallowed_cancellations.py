"""Cancellations that Python swallows: an exception that reaches the end of a finalizer or a weakref callback is printed
and lost, and so is one in the clean-up of a generator that nobody holds any more.

`sys.unraisablehook` is called with each of them. So a cancellation that is lost there is noticed, and sent again.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Self

__all__ = ["RESEND_DELAY", "UnraisableHook"]

# Seconds until a cancellation is sent again that came in a finalizer; those are short.
RESEND_DELAY = 0.005

# Guards `sys.unraisablehook`; held for a few instructions, takes no other lock.
_INSTALL_LOCK = threading.Lock()


class UnraisableHook:
    """A `sys.unraisablehook` from `install` to `remove`; hands on to the hook before it what is not its own.

    is_ours: whether the exception is a cancellation that has been lost, in the current thread. resend: sends it again;
    called by another thread, since what is raised in this hook is lost as well.
    """

    def __init__(
        self, is_lost_cancellation: Callable[[BaseException | None], bool], resend: Callable[[], object]
    ) -> None:
        self._is_lost_cancellation = is_lost_cancellation
        self._resend = resend
        self.previous = sys.unraisablehook
        self.is_installed = False

    def __call__(self, unraisable: sys.UnraisableHookArgs, /) -> None:
        """Send a lost cancellation again, without a word."""
        if self.is_installed and self._is_lost_cancellation(unraisable.exc_value):
            self.resend_later()
        else:
            self.previous(unraisable)

    def resend_later(self) -> None:
        """Send the cancellation again once the finalizer may be over."""
        later = threading.Timer(RESEND_DELAY, self._resend)
        later.daemon = True
        later.start()

    def install(self) -> Self:
        """Begin. Once."""
        with _INSTALL_LOCK:
            self.is_installed = True
            self.previous, sys.unraisablehook = sys.unraisablehook, self
        return self

    def remove(self) -> None:
        """Stop. Where a hook was installed on top of it meanwhile, this one stays below, and only hands on."""
        with _INSTALL_LOCK:
            self.is_installed = False
            while isinstance(hook := sys.unraisablehook, UnraisableHook) and not hook.is_installed:
                sys.unraisablehook = hook.previous

    @classmethod
    def is_running(cls, frame: FrameType) -> bool:
        """Whether this frame is the hook's own."""
        return frame.f_code is cls.__call__.__code__

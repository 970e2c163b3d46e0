"""Cancellations that Python swallows, and that are sent again.

Python prints and drops an exception that leaves a finalizer or a weakref callback. It does the same in the clean-up of
a generator that has no references any more. Python calls `sys.unraisablehook` with each of these exceptions. So a lost
cancellation is noticed there.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Self

__all__ = ["RESEND_DELAY", "UnraisableHook"]

# Seconds until a cancellation is sent again. Finalizers are usually shorter than this.
RESEND_DELAY = 0.005

# This lock guards `sys.unraisablehook`. It is held for a few instructions, and its holder takes no other lock.
_INSTALL_LOCK = threading.Lock()


class UnraisableHook:
    """A `sys.unraisablehook` that sends lost cancellations again. Other exceptions go to the previous hook.

    is_lost_cancellation: whether the exception is a cancellation that was lost in the current thread. resend: sends the
    cancellation again. Another thread calls it, because an exception raised within this hook is lost, too.
    """

    def __init__(
        self, is_lost_cancellation: Callable[[BaseException | None], bool], resend: Callable[[], object]
    ) -> None:
        self._is_lost_cancellation = is_lost_cancellation
        self._resend = resend
        self.previous = sys.unraisablehook
        self.is_installed = False

    def __call__(self, unraisable: sys.UnraisableHookArgs, /) -> None:
        """Send a lost cancellation again, and print nothing."""
        if self.is_installed and self._is_lost_cancellation(unraisable.exc_value):
            self.resend_later()
        else:
            self.previous(unraisable)

    def resend_later(self) -> None:
        """Send the cancellation again after a short time, when the finalizer has probably ended."""
        later = threading.Timer(RESEND_DELAY, self._resend)
        later.daemon = True
        later.start()

    def install(self) -> Self:
        """Install the hook. It is installed only once."""
        with _INSTALL_LOCK:
            self.is_installed = True
            self.previous, sys.unraisablehook = sys.unraisablehook, self
        return self

    def remove(self) -> None:
        """Remove the hook. If another hook was installed after it, it stays and only calls the previous hook."""
        with _INSTALL_LOCK:
            self.is_installed = False
            while isinstance(hook := sys.unraisablehook, UnraisableHook) and not hook.is_installed:
                sys.unraisablehook = hook.previous

    @classmethod
    def is_running(cls, frame: FrameType) -> bool:
        """Whether this frame runs the code of this hook."""
        return frame.f_code is cls.__call__.__code__

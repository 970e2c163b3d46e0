"""What a thread may use although it is broken into at any moment, by Cancelled or by Ctrl-C.

`threading.Event` keeps a lock, which it takes in Python code: whoever is broken into there keeps that lock for good,
and a signal handler that calls `set` waits for the very code that it has interrupted. A bare lock is taken and released
by the interpreter in one step.
"""

from __future__ import annotations

import threading
from contextlib import suppress

__all__ = ["Event", "Wakeup"]


class Wakeup:
    """Wakes the one thread that waits for it; rung several times before, it wakes that once."""

    def __init__(self) -> None:
        self._silent = threading.Lock()
        self._silent.acquire()

    def set(self) -> None:
        """Any thread may call it, and any signal handler, whatever it has interrupted."""
        if self._silent.locked():
            # Somebody else has just rung it.
            with suppress(RuntimeError):
                self._silent.release()

    def wait(self, seconds: float = -1) -> bool:
        """Wait until it is rung, for so many seconds at most if that is no less than 0; returns whether it was."""
        return self._silent.acquire(timeout=seconds)


class Event:
    """An event that happens once."""

    def __init__(self) -> None:
        self.is_set = False
        self._wakeup = Wakeup()

    def set(self) -> None:
        """It has happened. As `Wakeup.set`."""
        self.is_set = True
        self._wakeup.set()

    def wait(self, seconds: float) -> bool:
        """For one thread: wait until it has happened, for so many seconds at most; returns whether it has."""
        return self.is_set or self._wakeup.wait(seconds)

"""Wake-ups for threads that may be interrupted at any moment, by Cancelled or by Ctrl-C.

`threading.Event` holds a lock that it takes in Python code. A thread that is interrupted there keeps this lock for
ever, and a signal handler that calls `set` may wait for the code that it has interrupted. The interpreter takes or
releases a bare lock in one step.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

__all__ = ["Event", "LoopWakeup", "SharedEvent", "Wakeup"]


class Wakeup:
    """Wakes the one thread that waits for it. Several calls of `set` before the wait wake the thread once."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def set(self) -> None:
        """Wake the thread. Any thread and any signal handler may call it, whatever code it has interrupted."""
        if self._lock.locked():
            # `suppress` would cost more, and channels between threads call this for each wait.
            try:
                self._lock.release()
            except RuntimeError:
                # Another thread has released the lock since the line before.
                pass

    def wait(self, seconds: float = -1) -> bool:
        """Wait until `set` is called; returns whether it was. seconds: the limit; a negative number is none."""
        return self._lock.acquire(timeout=seconds)


class LoopWakeup:
    """Calls a function in an event loop, as a `Wakeup` wakes a thread. call_soon_threadsafe: the loop's method."""

    __slots__ = ("_call_soon_threadsafe", "_function")

    def __init__(self, call_soon_threadsafe: Callable[..., object], function: Callable[[], object]) -> None:
        self._call_soon_threadsafe = call_soon_threadsafe
        self._function = function

    def set(self) -> None:
        """Have the function called. It may be called like `Wakeup.set`."""
        # The loop may be closed: its program has ended it during the run.
        with suppress(RuntimeError):
            self._call_soon_threadsafe(self._function)


class Event:
    """An event that happens once."""

    def __init__(self) -> None:
        self.is_set = False
        self._wakeup = Wakeup()

    def set(self) -> None:
        """Record that the event has happened. It may be called like `Wakeup.set`."""
        self.is_set = True
        self._wakeup.set()

    def wait(self, seconds: float) -> bool:
        """Wait until the event has happened, or for so many seconds; returns whether it has. One thread may wait."""
        return self.is_set or self._wakeup.wait(seconds)


class SharedEvent:
    """An event that happens once. Any number of threads may wait for it. `set` may be called like `Wakeup.set`."""

    def __init__(self) -> None:
        self.is_set = False
        # Each thread that waits has its own lock, so that one that is interrupted in its wait delays no other.
        self._waiting: list[Wakeup] = []

    def set(self) -> None:
        """Record that the event has happened, and wake all threads that wait."""
        self.is_set = True
        for wakeup in tuple(self._waiting):
            wakeup.set()

    def wait(self, seconds: float = -1) -> bool:
        """Wait like `Wakeup.wait`; returns whether the event has happened."""
        wakeup = Wakeup()
        # `set` changes the flag before it reads the list, so the event is seen here or there.
        self._waiting.append(wakeup)
        try:
            return self.is_set or wakeup.wait(seconds)
        finally:
            self._waiting.remove(wakeup)

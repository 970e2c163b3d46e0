"""A limit on the time of a call in a thread, which nothing but an exception can end.

The exception arrives between two steps of the interpreter. A call of C code, such as `time.sleep`, goes on to its end,
and then its result is dropped.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from typing import Any

__all__ = ["Expired", "called_within"]


class Expired(TimeoutError):
    """A call took longer than its `timeout=`. The item is dropped."""


class _Interrupt(BaseException):
    """Ends a call. It is no Exception, so that a function does not handle it by mistake."""


def called_within(seconds: float, function: Callable[[Any], Any], item: Any) -> Any:
    """Call a function in this thread. Raises Expired if it takes longer than so many seconds."""
    limit = _Limit(seconds)
    result: Any = None
    try:
        try:
            limit.start()
            result = function(item)
        finally:
            limit.end()
    except _Interrupt:
        pass
    if limit.has_expired:
        raise Expired(f"the function took longer than timeout={seconds:g} s")
    return result


class _Limit:
    """Interrupts the thread that has made it. `_lock` guards the two flags; nothing else waits while it is held."""

    def __init__(self, seconds: float) -> None:
        self.has_expired = False
        self._has_ended = False
        self._lock = threading.Lock()
        self._thread = ctypes.c_ulong(threading.get_ident())
        self._timer = threading.Timer(seconds, self._expire)
        self._timer.daemon = True

    def start(self) -> None:
        self._timer.start()

    def _expire(self) -> None:
        with self._lock:
            if not self._has_ended:
                self.has_expired = True
                ctypes.pythonapi.PyThreadState_SetAsyncExc(self._thread, ctypes.py_object(_Interrupt))

    def end(self) -> None:
        """End the limit. The interruption may arrive in this method, and not behind it."""
        with self._lock:
            self._has_ended = True
        self._timer.cancel()
        # It takes back an interruption that has not arrived yet.
        ctypes.pythonapi.PyThreadState_SetAsyncExc(self._thread, None)

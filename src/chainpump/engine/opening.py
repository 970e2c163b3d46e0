"""The opening of a run, which may wait for other machines: there is no run yet that could be cancelled.

thread that opens the run        with opening: start(...) ──► wait_to_open(...)
another thread, or a handler     opening.cancel() ──────────► ends that wait
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Self

from ..errors import Cancelled
from ..executors.signals import undeferred_ctrl_c
from ..ipc.wakeups import Wakeup

__all__ = ["Opening", "wait_to_open"]


class Opening:
    """Ends the waits of a run that a thread opens inside this block. Any thread and any signal handler may cancel it.

    It is found by the context, because an executor waits far below what opens the run.
    """

    def __init__(self) -> None:
        self.is_cancelled = False
        self.wakeup = Wakeup()
        self._token: Token[Opening | None] | None = None

    def cancel(self) -> None:
        """Make the opening raise Cancelled if it waits, now or later. Does nothing to a run that is open."""
        self.is_cancelled = True
        self.wakeup.set()

    def __enter__(self) -> Self:
        self._token = _current.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._token is not None
        _current.reset(self._token)


_current: ContextVar[Opening | None] = ContextVar("chainpump opening", default=None)


def wait_to_open(promise: Callable[[Callable[[], object]], object], seconds: float) -> bool:
    """Wait for something without which a run cannot open; returns whether it has happened within so many seconds.

    promise: gets a function that is to be called when it happens, in any thread. Raises Cancelled if the opening is
    cancelled. Ctrl-C ends the wait.
    """
    opening = _current.get() or Opening()
    happened: list[bool] = []

    def happen() -> None:
        happened.append(True)
        opening.wakeup.set()

    promise(happen)
    until = time.monotonic() + seconds
    with undeferred_ctrl_c():
        while not (happened or opening.is_cancelled) and (left := until - time.monotonic()) > 0:
            opening.wakeup.wait(left)
    if opening.is_cancelled:
        raise Cancelled("the run was cancelled while it was opened")
    return bool(happened)

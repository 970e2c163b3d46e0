"""When Cancelled may be raised in the thread of a worker: once, and only where it ends the worker cleanly."""

from __future__ import annotations

import weakref
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from ..errors import Cancelled
from .stage_run import StageRun

__all__ = ["Interruption"]


class Interruption:
    """Only the thread of the worker uses it, also from a signal handler, at any point.

    stages: those of the worker. If the input of one has raised Cancelled, the worker is ending already.
    is_winding_up: the worker is ending. No interruption reaches its tear-down.
    """

    def __init__(self, stages: Sequence[StageRun]) -> None:
        self._stages = stages
        self.is_winding_up = False
        self._is_delayed = self._is_pending = False
        # The exception of `interrupt`. The reference is weak because the traceback keeps items alive.
        self._raised: weakref.ref[Cancelled] | None = None

    def interrupt(self) -> None:
        """Raise Cancelled, unless the worker is ending already. If interruptions are delayed, `resume` raises it."""
        if self._is_delayed:
            self._is_pending = True
        elif not (self.is_winding_up or any(stage.cancelled for stage in self._stages)):
            self.is_winding_up = True
            cancelled = Cancelled("the run was cancelled")
            self._raised = weakref.ref(cancelled)
            raise cancelled

    def take_back(self, lost: BaseException | None) -> bool:
        """Whether `interrupt` raised this exception. Then a finalizer lost it, and the next call raises again."""
        is_ours = lost is not None and self._raised is not None and self._raised() is lost
        if is_ours:
            self.is_winding_up = False
        return is_ours

    def delay(self) -> None:
        """Delay interruptions until `resume`."""
        self._is_delayed = True

    def resume(self) -> None:
        """Raise Cancelled if an interruption was delayed. Later ones are not delayed."""
        self._is_delayed = False
        if self._is_pending:
            self.interrupt()

    @contextmanager
    def delayed(self) -> Generator[None, None, None]:
        """Delay interruptions until the end of the block. An exception of the block is raised instead of them."""
        self.delay()
        try:
            yield
        finally:
            self._is_delayed = False
        self.resume()

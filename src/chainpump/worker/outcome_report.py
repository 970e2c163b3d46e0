"""The report of a worker's outcome: sent once, by the first thread that has one."""

from __future__ import annotations

import threading
from collections.abc import Callable

from .outcome import Outcome

__all__ = ["OutcomeReport"]


class OutcomeReport:
    """Reports the outcome of a worker once. Any thread may report; the first one wins.

    to: receives the outcome; None for a worker whose outcome is returned only.
    """

    def __init__(self) -> None:
        self.to: Callable[[Outcome], object] | None = None
        # The thread that reports takes it and never releases it.
        self._lock = threading.Lock()

    def once(self, outcome: Outcome) -> None:
        """Report the outcome, unless one was reported before."""
        if self.to is not None and self._lock.acquire(blocking=False):
            self.to(outcome)

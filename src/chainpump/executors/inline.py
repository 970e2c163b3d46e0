"""No workers at all: neighbouring stages share one thread, the last of them the caller's own."""

from __future__ import annotations

from dataclasses import dataclass

from ..plan.plan import Reach
from ..worker import Worker
from .threads import ThreadHandle

__all__ = ["Inline"]


@dataclass(frozen=True, slots=True)
class Inline:
    """Run a stage where its neighbours run: plain generators that pull from each other.

    At the end of a pipeline that is the caller's own thread, so that a debugger works; before a stage with workers
    of its own it is one thread of the main process, which feeds them.

    >>> Inline().workers
    1
    """

    @property
    def workers(self) -> int:
        """Always one."""
        return 1

    @property
    def reach(self) -> Reach:
        """In the main process."""
        return Reach.THREAD

    @property
    def pickles(self) -> bool:
        """Functions are used as they are."""
        return False

    @property
    def joins(self) -> bool:
        """Neighbours share one worker."""
        return True

    def start(self, worker: Worker) -> ThreadHandle:
        """Start the thread that feeds the next stage."""
        return ThreadHandle(worker)

"""Threads of the main process: for waiting, and for code that releases the interpreter's lock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy_dataclass import dataclass
from ..plan.placement import Capabilities, Workers, check_workers

if TYPE_CHECKING:
    from ..worker.worker import Worker
    from .thread_handle import ThreadHandle

__all__ = ["Threads"]


@dataclass(frozen=True, slots=True)
class Threads:
    """Run a stage on threads of the main process.

    >>> Threads(16)
    Threads(workers=16)

    Items pass by reference: between threads, a stage must not change an object that it has yielded, unless the next
    one has `in_flight=1`, which makes them take turns. (Between processes an item is what it was at the `yield`.)
    A thread cannot be killed: one that is blocked in a call which never returns is left behind, as a daemon thread,
    when its run is cancelled.
    workers: "auto" begins with one, and gives it others while that makes the run faster: see docs/auto.md.
    Raises StageOptionError if workers < 1.
    """

    workers: Workers = 1

    def __post_init__(self) -> None:
        check_workers(self, self.workers, or_auto=True)

    @property
    def capabilities(self) -> Capabilities:
        """Those of a thread."""
        return Capabilities()

    def start(self, worker: Worker) -> ThreadHandle:
        """Start one thread."""
        # With all that a worker needs: building a pipeline starts none.
        from .thread_handle import ThreadHandle

        return ThreadHandle(worker)

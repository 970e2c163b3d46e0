"""The executor for threads of the main process. Use it for code that waits or releases the GIL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy_dataclass import dataclass
from ..messages.user_call import user_call
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

    Items pass by reference. A stage must not change an object after it has yielded it, unless the next stage has
    `in_flight=1`, so that the two stages run in turn. (Between processes, an item has the state that it had at the
    `yield`.)
    A thread cannot be killed. When a run is cancelled, a thread that is blocked in a call which never returns is left
    behind as a daemon thread.
    workers: "auto" starts with one worker, and adds workers while that makes the run faster: see docs/auto.md.
    Raises StageOptionError if workers < 1.
    """

    __init_decorator__ = staticmethod(user_call)
    workers: Workers = 1

    def __post_init__(self) -> None:
        check_workers(self, self.workers, or_auto=True)

    @property
    def capabilities(self) -> Capabilities:
        """The capabilities of a thread."""
        return Capabilities()

    def start(self, worker: Worker) -> ThreadHandle:
        """Start one thread."""
        # The module imports all that a worker needs. A program that only builds pipelines does not need it.
        from .thread_handle import ThreadHandle

        return ThreadHandle(worker)

"""No workers at all: neighbouring stages share one thread, the last of them the caller's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy_dataclass import dataclass, field
from ..plan.placement import Capabilities

if TYPE_CHECKING:
    from ..worker.worker import Worker
    from .thread_handle import ThreadHandle

__all__ = ["Inline"]


@dataclass(frozen=True, slots=True)
class Inline:
    """Run a stage where its neighbours run: plain generators that pull from each other.

    At the end of a pipeline that is the caller's own thread, so that a debugger works; before a stage with workers
    of its own it is one thread of the main process, which feeds them.

    >>> Inline().workers
    1
    """

    workers: int = field(default=1, init=False, repr=False)

    @property
    def capabilities(self) -> Capabilities:
        """It has no worker of its own."""
        return Capabilities(shares_thread=True)

    def start(self, worker: Worker) -> ThreadHandle:
        """Start the thread that feeds the next stage."""
        # As in `Threads.start`.
        from .thread_handle import ThreadHandle

        return ThreadHandle(worker)

"""The executor without workers: neighbouring stages share one thread, the last of them in the caller's thread."""

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
    """Run a stage in the thread of its neighbours, as generators that read from each other.

    At the end of a pipeline this is the caller's own thread, so a debugger works. Before a stage with workers of its
    own it is one thread of the main process.

    >>> Inline().workers
    1
    """

    workers: int = field(default=1, init=False, repr=False)

    @property
    def capabilities(self) -> Capabilities:
        """The stage shares its thread with its neighbours."""
        return Capabilities(shares_thread=True)

    def start(self, worker: Worker) -> ThreadHandle:
        """Start the thread that sends items to the next stage."""
        # This import is late for the reason given in `Threads.start`.
        from .thread_handle import ThreadHandle

        return ThreadHandle(worker)

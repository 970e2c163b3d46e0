"""No workers at all: neighbouring stages share one thread, the last of them the caller's own."""

from __future__ import annotations

from ..lazy_dataclass import dataclass, field
from ..plan.placement import Reach
from ..worker.worker import Worker
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

    workers: int = field(default=1, init=False, repr=False)
    copies: int = field(default=1, init=False, repr=False)
    reach: Reach = field(default=Reach.THREAD, init=False, repr=False)
    pickles: bool = field(default=False, init=False, repr=False)
    joins: bool = field(default=True, init=False, repr=False)
    imports_main: bool = field(default=False, init=False, repr=False)
    restarts: int = field(default=0, init=False, repr=False)
    awaits: bool = field(default=False, init=False, repr=False)

    def start(self, worker: Worker) -> ThreadHandle:
        """Start the thread that feeds the next stage."""
        return ThreadHandle(worker)

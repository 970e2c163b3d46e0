"""The executor for processes of this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from ..errors import StageOptionError
from ..lazy_dataclass import dataclass, field
from ..plan.placement import Capabilities, StartMethod, Workers, check_whole, check_workers

if TYPE_CHECKING:
    from ..worker.worker import Worker
    from .process_handle import ProcessHandle

__all__ = ["Processes"]


@dataclass(frozen=True, slots=True, repr=False)
class Processes:
    """Run a stage on processes of this machine.

    >>> Processes(8)
    Processes(workers=8, start_method='forkserver')

    workers: "auto" starts with one worker, and adds workers while that makes the run faster: see docs/auto.md.
    start_method: "forkserver" (the default: clean and fast), "spawn", or "fork". A forked worker shares the memory of
    the main process, and has a copy of every lock that a thread holds at that moment: it waits for ever if it takes one
    of them.
    restarts: how often each worker of an element-wise stage (such as `map`) is replaced when its process dies. The
    replacement continues with the items that the worker had not finished. An item may be processed more than once, but
    its result is sent once. A worker of `flat_map` then holds all results of an item until the item is finished.
    Raises StageOptionError if workers < 1, restarts < 0 or the start method is unknown.
    """

    workers: Workers = 1
    start_method: StartMethod = field(default="forkserver", kw_only=True)
    restarts: int = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        check_workers(self, self.workers, or_auto=True)
        check_whole(self.restarts, "Processes: restarts", least=0)
        methods = get_args(StartMethod)
        if self.start_method not in methods:
            raise StageOptionError(
                f"Processes: start_method must be one of {', '.join(methods)} but got: {self.start_method!r}."
            )

    def __repr__(self) -> str:
        restarts = f", restarts={self.restarts}" if self.restarts else ""
        return f"Processes(workers={self.workers!r}, start_method={self.start_method!r}{restarts})"

    @property
    def capabilities(self) -> Capabilities:
        """Functions are pickled, except for a forked process, which inherits them."""
        pickles = self.start_method != "fork"
        return Capabilities(own_process=True, pickles_functions=pickles, restarts=self.restarts)

    def start(self, worker: Worker) -> ProcessHandle:
        """Start one process."""
        # These modules import `multiprocessing`, which a program that only builds pipelines does not need.
        from .process_handle import ProcessHandle
        from .start_methods import METHODS

        return ProcessHandle(worker, METHODS[self.start_method].start)

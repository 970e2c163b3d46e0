"""Processes of this machine, as the place where a stage runs."""

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

    workers: "auto" begins with one, and gives it others while that makes the run faster: see docs/auto.md.
    start_method: "forkserver" (the default: clean and fast), "spawn", or "fork" (shares the memory of the main
    process, and whatever locks its threads hold at that moment: a worker that takes one of them waits for ever).
    restarts: how often each worker of an element-wise stage (`map` and the like) is replaced when its process dies. Its
    successor goes on with the items that it had in hand: each may be dealt with more than once, but goes on once. A
    worker of `flat_map` then holds all results of one item until it is done with that.
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
        """Only a fork inherits functions as they are."""
        pickles = self.start_method != "fork"
        return Capabilities(own_process=True, pickles_functions=pickles, restarts=self.restarts)

    def start(self, worker: Worker) -> ProcessHandle:
        """Start one process."""
        # With `multiprocessing`: a program that builds pipelines starts none.
        from .process_handle import ProcessHandle
        from .start_methods import METHODS

        return ProcessHandle(worker, METHODS[self.start_method].start)

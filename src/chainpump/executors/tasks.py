"""The executor for asyncio tasks: one event loop processes many items at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy_dataclass import dataclass
from ..plan.placement import Capabilities, check_workers

if TYPE_CHECKING:
    from ..worker.worker import Worker
    from .tasks_handle import TasksHandle

__all__ = ["Tasks"]


@dataclass(frozen=True, slots=True)
class Tasks:
    """Run async functions as asyncio tasks in one event loop. At most `workers` items are processed at once.

    >>> from chainpump import Pipeline
    >>> async def doubled(number: int) -> int:
    ...     return 2 * number
    >>> list(Pipeline(range(3)).map(doubled, on=Tasks(100)))
    [0, 2, 4]

    It takes `async def` functions in `map`, `filter`, `flat_map`, `tap` and `each`, and an async generator as a source.
    When the run is cancelled, every task is cancelled, and the run waits for their clean-up. Items pass by reference,
    as between threads.
    Raises StageOptionError if workers < 1.
    """

    workers: int = 1

    def __post_init__(self) -> None:
        check_workers(self, self.workers)

    @property
    def capabilities(self) -> Capabilities:
        """The workers run async functions."""
        return Capabilities(runs_async=True)

    def start(self, worker: Worker) -> TasksHandle:
        """Start the thread of the event loop."""
        # This import is late for the reason given in `Threads.start`.
        from .tasks_handle import TasksHandle

        return TasksHandle(worker, self.workers)

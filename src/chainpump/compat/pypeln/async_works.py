"""The works of stages of tasks, whose functions and iterables may be async."""

from __future__ import annotations

from typing import Any

from ...executors.base import Executor
from ...executors.tasks import LoopTasks, Tasks
from ...lazy_dataclass import dataclass
from ...pipeline import Pipeline
from ...plan.bound import source
from ...plan.per_worker import per_worker
from .async_calls import ASYNC_ADAPTERS, OneLoop, read_async
from .stages import Chains, Node
from .works import Apply, Read

__all__ = ["AsyncApply", "AsyncRead"]


def _tasks(graph: Chains, workers: int) -> Executor:
    """Where async functions run: in the event loop of the caller, if there is one."""
    return Tasks(workers) if graph.loop is None else LoopTasks(workers, graph.loop)


@dataclass(frozen=True, slots=True)
class AsyncApply(Apply):
    """Call a function for each item, as many at once as there are workers, and await its result."""

    def executor(self, graph: Chains, of: Node) -> Executor:
        """Where the function runs."""
        return _tasks(graph, of.workers)

    def keeps_order(self, graph: Chains, of: Node) -> bool:
        """Whether the results keep their order. Tasks without order begin items ahead of the bound behind them.

        One worker keeps it: results that are sent as they come would be sorted by their numbers, which several have.
        """
        return bool(graph.limit_behind(of)) or of.workers == 1

    def limit(self, graph: Chains, of: Node) -> int:
        """How many items may wait before the stage. Behind a source, a bound behind the stage counts them, too."""
        (before,) = of.sources
        is_counted = 0 < graph.limit_behind(of) <= of.maxsize and graph.is_source(before)
        return 0 if is_counted else of.maxsize

    def item_function(self, graph: Chains, of: Node) -> Any:
        """Return the function of an item of the pipeline, or a factory that makes it."""
        adapt = ASYNC_ADAPTERS[self.verb.name][graph.indexed]
        # One event loop runs all calls, so it is the only worker that starts and ends.
        calls = self.calls(graph, 1, adapt, None)
        return calls.bound({}) if calls.is_plain else per_worker(OneLoop, calls)


@dataclass(frozen=True, slots=True)
class AsyncRead(Read):
    """Read an async iterable."""

    @property
    def gives_elements(self) -> bool | None:
        """Whether its items have an index: its first item shows it."""
        return None

    def added(self, graph: Chains, of: Node, ordered: bool) -> Pipeline[Any]:
        """Return a pipeline that reads it."""
        bound = source(read_async, self.iterable, graph.indexed, graph.read_sources)
        return Pipeline(bound, on=_tasks(graph, 1), name=self.name)

"""The works of stages of tasks, whose functions and iterables may be async."""

from __future__ import annotations

from collections.abc import AsyncIterable
from functools import partial
from typing import Any

from ...executors.tasks import Tasks
from ...lazy_dataclass import dataclass
from ...pipeline import Pipeline
from ...plan.bound import source
from ...plan.per_worker import per_worker
from .async_calls import ASYNC_ADAPTERS, OneLoop, read_async
from .stages import Chains, Node
from .works import Apply, Read

__all__ = ["AsyncApply", "AsyncRead"]


@dataclass(frozen=True, slots=True)
class AsyncApply(Apply):
    """Call a function for each item, as many at once as there are workers, and await its result."""

    def keeps_order(self, graph: Chains, of: Node) -> bool:
        """Whether the results keep their order. Tasks without order begin items ahead of the bound behind them."""
        return bool(graph.limit_behind(of))

    def limit(self, graph: Chains, of: Node) -> int:
        """How many items may wait before the stage. If order is kept, a bound behind it counts them, too."""
        behind = graph.limit_behind(of)
        return 0 if behind and behind <= of.maxsize else of.maxsize

    def item_function(self, graph: Chains, of: Node) -> Any:
        """Return the function of an item of the pipeline, or a factory that makes it."""
        adapt = partial(ASYNC_ADAPTERS[self.verb.name][graph.indexed], loop=graph.loop)
        # One event loop runs all calls, so it is the only worker that starts and ends.
        calls = self.calls(graph, 1, adapt, None)
        return calls.bound({}) if calls.is_plain else per_worker(OneLoop, calls, graph.loop)


@dataclass(frozen=True, slots=True)
class AsyncRead:
    """Read an async iterable."""

    iterable: AsyncIterable[Any]
    name = Read.name
    takes_index = False

    def added(self, graph: Chains, of: Node, ordered: bool) -> Pipeline[Any]:
        """Return a pipeline that reads it."""
        return Pipeline(source(read_async, self.iterable, graph.indexed, graph.loop), on=Tasks(), name=self.name)

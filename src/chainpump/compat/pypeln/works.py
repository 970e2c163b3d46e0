"""What a stage does, and the step of a pipeline that it becomes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from operator import itemgetter
from typing import Any

from ...errors import ItemTimeoutError
from ...executors.base import Executor
from ...executors.inline import Inline
from ...hints.objects import name_of
from ...lazy_dataclass import dataclass
from ...pipeline import Pipeline
from ...plan.bound import source, stage
from ...plan.per_worker import per_worker
from ...policies import Raise, Skip
from .calls import Adapter, Calls, Dropping, Function, Indexed, IndexedEach, OneWorker, Whole, takes_index, takes_status
from .deadlines import Expired
from .namespaces import SharedNamespace
from .reading import Sources, gives_elements, read
from .stages import Chains, Node

__all__ = ["Apply", "Join", "Order", "Read", "Verb"]


def _passed(items: Iterable[Any]) -> Iterator[Any]:
    for item in items:
        yield item
        del item


@dataclass(frozen=True, slots=True)
class Read:
    """Read an iterable. use_thread: in a thread of the main process; otherwise in a process of its own."""

    iterable: Any
    use_thread: bool = True
    name = "from_iterable"
    takes_index = False

    @property
    def gives_elements(self) -> bool | None:
        """Whether its items have an index; None if its first item shows it while it is read in this process."""
        known = gives_elements(self.iterable)
        return True if known is None and not self.use_thread else known

    def is_replaced(self, graph: Chains, of: Node) -> bool:
        """Whether its worker may be replaced: it may not."""
        return False

    def added(self, graph: Chains, of: Node, ordered: bool) -> Pipeline[Any]:
        """Return a pipeline that reads it."""
        on = Inline() if self.use_thread else of.kind.executor(1)
        return Pipeline(source(read, self.iterable, graph.indexed, graph.read_sources), on=on, name=self.name)


@dataclass(frozen=True, slots=True)
class Verb:
    """How the results of a function replace an item. method: the one of `Pipeline`.

    plain, indexed: the adapter of the function for values, and for pairs of an index and a value.
    """

    name: str
    method: Callable[..., Pipeline[Any]]
    plain: Adapter | None = None
    indexed: Adapter | None = None
    # A generator function returns at once; its time is the time in which the results are made.
    is_lazy: bool = False

    def adapter(self, is_indexed: bool, has_limit: bool) -> Adapter:
        """Return the adapter of a function."""
        adapt = (self.indexed if is_indexed else self.plain) or _same
        return _Whole(adapt) if self.is_lazy and has_limit else adapt


def _same(function: Function) -> Function:
    return function


@dataclass(frozen=True, slots=True)
class _Whole:
    adapt: Adapter

    def __call__(self, function: Function) -> Function:
        return Whole(self.adapt(function))


MAP = Verb("map", Pipeline.map, indexed=Indexed)
FILTER = Verb("filter", Pipeline.filter)
FLAT_MAP = Verb("flat_map", Pipeline.flat_map, indexed=IndexedEach, is_lazy=True)
EACH = Verb("each", Pipeline.filter, plain=Dropping, indexed=Dropping)


@dataclass(frozen=True, slots=True)
class Apply:
    """Call a function for each item. timeout: seconds for one call, or None."""

    verb: Verb
    function: Function
    timeout: float | None = None
    on_start: Function | None = None
    on_done: Function | None = None

    @property
    def name(self) -> str:
        """The name of the function that makes such a stage."""
        return self.verb.name

    @property
    def takes_index(self) -> bool:
        """Whether the function has a parameter for the index."""
        return takes_index(self.function)

    def added(self, graph: Chains, of: Node, ordered: bool) -> Pipeline[Any]:
        """Return the pipeline before this stage with one more stage."""
        (before,) = of.sources
        stops_calls = of.kind.stops_calls
        options: dict[str, Any] = {} if self.verb.method is Pipeline.filter else {"returns": Any}
        pipeline = graph.pipeline(before, ordered)
        maxsize = self.limit(graph, of)
        in_flight = graph.in_flight(maxsize, before, of.workers)
        if graph.restores_order(before) or (in_flight is not None and graph.is_replaced(before)):
            # One worker takes all items here. So the order of those before it is restored for the stage, which may have
            # several workers, or not keep the order of its own results. And it counts the items that wait, because a
            # worker that is replaced must hold no credit; the stage counts those in hand.
            pipeline = pipeline.then(_passed, on=Inline(), in_flight=graph.in_flight(maxsize, before, 1))
            in_flight = of.workers if maxsize else None
        return self.verb.method(
            pipeline,
            self.item_function(graph, of),
            on=self.executor(graph, of),
            ordered=ordered or self.keeps_order(graph, of),
            on_error=Raise() if self.timeout is None else Skip(ItemTimeoutError, Expired),
            timeout=self.timeout if stops_calls else None,
            in_flight=in_flight,
            name=name_of(self.function),
            **options,
        )

    def executor(self, graph: Chains, of: Node) -> Executor:  # for tasks
        """Where the function runs."""
        return of.kind.executor(of.workers)

    def is_replaced(self, graph: Chains, of: Node) -> bool:
        """Whether its workers may be replaced, or those before it, if it does not count its items."""
        (before,) = of.sources
        own = of.kind.own_process and self.timeout is not None
        return own or (not self.limit(graph, of) and graph.is_replaced(before))

    def keeps_order(self, graph: Chains, of: Node) -> bool:  # for tasks
        """Whether the results keep their order. One worker keeps it in any case, unless it is replaced."""
        return of.workers == 1 and self.timeout is not None

    def limit(self, graph: Chains, of: Node) -> int:  # for tasks
        """How many items may wait before the stage; 0 for a bound in bytes."""
        return of.maxsize

    def item_function(self, graph: Chains, of: Node) -> Any:
        """Return the function of an item of the pipeline, or a factory that makes it for each worker."""
        limit = None if of.kind.stops_calls else self.timeout
        calls = self.calls(graph, of.workers, self.verb.adapter(graph.indexed, limit is not None), limit)
        return calls.bound({}) if calls.is_plain else per_worker(OneWorker, calls)

    def calls(self, graph: Chains, workers: int, adapt: Adapter, limit: float | None) -> Calls:
        """Return what the workers call."""
        status = SharedNamespace(active_workers=workers) if takes_status(self.on_done) else None
        return Calls(self.function, adapt, graph.indexed, self.on_start, self.on_done, limit, status)


@dataclass(frozen=True, slots=True)
class Order:
    """Put the items into the order of their indexes."""

    name = "ordered"
    takes_index = False

    def is_replaced(self, graph: Chains, of: Node) -> bool:
        """Whether its worker may be replaced: it may not. One worker takes all its items, before a stage or a loop."""
        return False

    def added(self, graph: Chains, of: Node, ordered: bool) -> Pipeline[Any]:
        """Return the pipeline before this stage, which keeps the order; behind a join, it is sorted."""
        (before,) = of.sources
        if graph.must_sort(of):
            return graph.pipeline(before, ordered).then(stage(_sorted), on=Inline(), name=self.name)
        pipeline = graph.pipeline(before, True)
        if graph.may_sort(of):
            pipeline = pipeline.then(stage(_in_order, graph.read_sources), on=Inline(), name=self.name)
        return pipeline


def _sorted(pairs: Iterable[Any]) -> Iterator[Any]:
    yield from sorted(pairs, key=itemgetter(0))


def _in_order(pairs: Iterable[Any], sources: Sources) -> Iterator[Any]:
    """Yield pairs in the order of their source, which is that of their indexes, unless it has given the indexes."""
    for pair in pairs:
        if sources.gave_elements:
            yield from _sorted(chain((pair,), pairs))
            return
        yield pair
        del pair


@dataclass(frozen=True, slots=True)
class Join:
    """Join the items of several stages, as they come, or one of each in turn."""

    name = "concat"
    takes_index = False

    def is_replaced(self, graph: Chains, of: Node) -> bool:
        """Whether its worker may be replaced: it may not."""
        return False

    def added(self, graph: Chains, of: Node, ordered: bool) -> Pipeline[Any]:
        """Return a pipeline whose source runs those of the stages."""
        if of.kind.is_sync:
            return Pipeline.interleave(*(graph.apart(each) for each in of.sources), name=self.name)
        parts = [graph.pipeline(each, False) for each in of.sources]
        # Each worker of a part has made one more, of which one for each part is counted here.
        in_flight = of.maxsize + 1 + len(parts) if of.maxsize else None
        return Pipeline.merge(*parts, in_flight=in_flight, name=self.name)

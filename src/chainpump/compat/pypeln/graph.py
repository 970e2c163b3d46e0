"""The pipeline of a stage and of all stages before it.

Stages form a graph, and a pipeline is a chain:

* a chain of stages is a pipeline;
* stages that are joined are the nested source of a pipeline;
* a stage with two consumers is a shared run: each consumer reads all its items.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from ...engine.shared_run import SharedRun
from ...executors.inline import Inline
from ...pipeline import Pipeline
from ...plan.bound import source
from ...start import RunOptions, check_place, start
from .reading import Sources
from .stages import Node
from .works import Join, Order, Read

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from ...engine.run import Run

__all__ = ["Graph"]


class Graph:
    """The stages of one run.

    maxsize: how many items of the last stage may wait. indexed: whether pairs of an index and a value move through it,
    and not only values. loop: the event loop in which the caller awaits the run, if it does so.
    """

    def __init__(self, root: Node, maxsize: int, indexed: bool, loop: AbstractEventLoop | None = None) -> None:
        self._root = root
        self._maxsize = maxsize
        self.loop = loop
        # How often each stage is a source, in the whole graph, and in the part of it that runs as one.
        self._all: Counter[Node] = Counter()
        self._consumers: Counter[Node] = Counter()
        # The least maxsize of the consumers of each stage that have one.
        self._limits: dict[Node, int] = {}
        self._count_all(root)
        self._count(root, maxsize)
        self._shared: dict[Node, SharedRun] = {}
        self.read_sources = Sources()
        self.indexed = indexed or any(stage.work.takes_index or self.may_sort(stage) for stage in self._all)

    def _count_all(self, stage: Node) -> None:
        self._all[stage] += 1
        if self._all[stage] == 1:
            for each in stage.sources:
                self._count_all(each)

    def _count(self, stage: Node, maxsize: int) -> None:
        self._consumers[stage] += 1
        if maxsize:
            self._limits[stage] = min(maxsize, self._limits.get(stage, maxsize))
        runs_apart = stage.kind.is_sync and isinstance(stage.work, Join)
        if not runs_apart and (self._consumers[stage] == 1 or stage.kind.is_sync):
            for each in stage.sources:
                self._count(each, stage.maxsize)

    def must_sort(self, stage: Node) -> bool:
        """Whether the items of an `ordered` stage must be sorted: the stages before it cannot keep their order."""
        return self._sorts(stage) is True

    def may_sort(self, stage: Node) -> bool:
        """Whether the items of an `ordered` stage may have to be sorted: its source shows it when it is read."""
        return self._sorts(stage) is not False

    def _sorts(self, stage: Node) -> bool | None:
        if not isinstance(stage.work, Order):
            return False
        while stage.sources:
            stage = stage.sources[0]
            if isinstance(stage.work, Join) or self._all[stage] > 1:
                return True
        return stage.work.gives_elements if isinstance(stage.work, Read) else False

    @property
    def is_sync(self) -> bool:
        """Whether all of it runs in the thread that iterates."""
        return all(stage.kind.is_sync for stage in self._all)

    def whole(self) -> Pipeline[Any]:
        """Return the pipeline of the last stage."""
        pipeline = self.pipeline(self._root, False)
        return pipeline.inline() if self.is_sync else pipeline

    def checked(self) -> Callable[[], Run[Any]]:
        """Return what starts a run of all stages. Raises StageOptionError if a run must not start here.

        This is called in the caller's thread, whose stack shows whether a main file is being imported.
        """
        plan = self.whole().plan()
        check_place(plan.stages)
        in_flight = self.in_flight(self._maxsize, self._root, 1)
        return partial(start, plan, RunOptions(), iterated=True, in_flight=in_flight)

    def pipeline(self, stage: Node, ordered: bool) -> Pipeline[Any]:
        """Return the pipeline of a stage for one of its consumers."""
        if not self._is_shared(stage):
            return stage.work.added(self, stage, ordered)
        limit, shared = self.limit_behind(stage), self._shared.get(stage)
        if shared is None:
            own = stage.work.added(self, stage, ordered)
            in_flight = stage.workers if limit else None
            # With `apart`, an iterable that blocks for ever can be left behind.
            begin = partial(start, own.plan(), RunOptions(), iterated=True, apart=True, in_flight=in_flight)
            shared = SharedRun(begin)
            self._shared[stage] = shared
        # With a bound, one item is between the shared run and its reader.
        return Pipeline(source(shared.reader(1 if limit else None)), on=Inline(), name=stage.work.name)

    def apart(self, stage: Node) -> Pipeline[Any]:
        """Return the pipeline of a stage that shares nothing with the others."""
        return Graph(stage, 0, self.indexed, self.loop).whole()

    def in_flight(self, maxsize: int, before: Node, takers: int) -> int | None:
        """Return the bound of the items between two stages, of which `maxsize` may wait; None for a bound in bytes.

        Each worker before has made one more, and each worker behind has one in hand.
        """
        if not maxsize:
            return None
        return maxsize + (1 if self.is_source(before) else before.workers) + takers

    def is_source(self, stage: Node) -> bool:
        """Whether a stage is read by the source of a pipeline, and is no part of a chain."""
        return self._is_shared(stage) or isinstance(stage.work, Join) or not stage.sources

    def is_replaced(self, stage: Node) -> bool:
        """Whether a worker that has items of this stage in hand may be replaced before they are counted again."""
        return not self._is_shared(stage) and stage.work.is_replaced(self, stage)

    def restores_order(self, stage: Node) -> bool:
        """Whether the stage behind this one has to restore the order: it is `ordered`, and has no worker of its own."""
        return isinstance(stage.work, Order) and not self.may_sort(stage) and not self.is_source(stage)

    def limit_behind(self, stage: Node) -> int:
        """Return how many items of a stage may wait for a consumer; 0 for a bound in bytes."""
        return self._limits.get(stage, 0)

    def _is_shared(self, stage: Node) -> bool:
        return self._consumers[stage] > 1 and not stage.kind.is_sync

"""`Pipeline` and `Runnable`: immutable values that describe a run and start nothing until they are used."""

from __future__ import annotations

import os
from collections.abc import (
    AsyncIterator,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar, overload

# Annotations reach the types of the engine through the package, which imports them on first access.
import chainpump

from .building import checks
from .building.checked_function import CheckedFunction
from .building.elsewhere_checks import check_elsewhere
from .building.forgotten_results import warn_of_none
from .building.generator_operators import GeneratorOperators
from .building.item_operators import ItemOperators
from .building.misuses import AWAIT_A_PIPELINE, AWAIT_A_RUNNABLE, OF_A_PIPELINE, OF_A_RUNNABLE, Misuses
from .building.problems import Problems
from .building.recycling_checks import check_recycling
from .building.restart_checks import check_restarts
from .building.stage_builder import (
    DEFAULT,
    bounded,
    check_amount,
    check_known,
    check_synchronous,
    inlined,
    known_executor,
    named,
    names,
    placed,
    planned,
    planned_iterable,
    planned_operator,
    planned_source,
    resized,
    yielding,
)
from .engine.items import items_of
from .errors import StageOptionError, StageTypeError
from .executors.base import Executor
from .executors.inline import Inline
from .hints.annotations import Hint, is_unknown
from .hints.classes import UNKNOWN, union_of
from .hints.objects import is_a
from .hints.ownership import is_own
from .lazy_dataclass import replace
from .messages.names import Role
from .messages.user_call import user_call
from .plan.bound import Bound, Sink, Source, Stage
from .plan.lengths import length_of
from .plan.nested_source import NestedSource
from .plan.operators import Each, Operator
from .plan.placement import Workers
from .plan.plan import Plan
from .plan.planned_stage import PlannedStage
from .start import EVERY, GRACE, RunOptions, check_place
from .start import start as start_run

__all__ = ["Pipeline", "Runnable", "opened", "with_workers"]

T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
T_co = TypeVar("T_co", covariant=True)
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
ChainT = TypeVar("ChainT", bound="_Chain")


class _Chain(Misuses):
    """The common base of pipelines and runnables: an immutable chain of checked stages."""

    __slots__ = ("_stages", "_strict")

    _stages: tuple[PlannedStage, ...]
    _strict: bool

    @user_call
    def plan(self, *, on: Executor | None = None) -> Plan:
        """Return the checked plan; `print(pipeline.plan())` shows it as a table."""
        if on is None:
            return Plan(self._stages)
        stages = tuple(placed(stage, on) for stage in self._stages)
        for stage in stages:
            check_recycling(stage)
        check_restarts(stages)
        check_elsewhere(stages)
        return Plan(stages)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({names(self._stages)})"

    def _repr_html_(self) -> str:
        """Return a picture of the plan, for a notebook."""
        return self.plan().svg()

    def _with(self, stage: PlannedStage, problems: Problems) -> tuple[PlannedStage, ...]:
        """Return these stages and one more. Raises one error with all problems of the new stage."""
        stages = (*self._stages, stage)
        with problems:
            if stage.on.capabilities.pickles_functions:
                checks.check_travels(stage.call, stage.name)
        with problems:
            check_amount(stage)
        with problems:
            check_recycling(stage)
        with problems:
            check_restarts(stages)
        with problems:
            check_elsewhere(stages)
        problems.tell()
        if self._stages and stage.operator is None and is_own(stage.call.function):
            warn_of_none(self._stages[-1], stage.name, self._stages[-1].yields)
        return stages

    def _made(self, kind: type[ChainT], stages: tuple[PlannedStage, ...]) -> ChainT:
        """Make a pipeline or runnable like this one from stages that are already checked."""
        return _made(kind, stages, self._strict)

    def _inlined(self) -> tuple[PlannedStage, ...]:
        return tuple(map(inlined, self._stages))

    def _resized(self, workers: Mapping[str, Workers]) -> tuple[PlannedStage, ...]:
        stages = tuple(resized(stage, workers) for stage in self._stages)
        check_restarts(stages)
        return stages


class Pipeline(_Chain, ItemOperators[T_co], GeneratorOperators[T_co]):
    """A chain of a source and stages that yields items when it is iterated. It is immutable and can run again.

    >>> list(Pipeline(range(3)))
    [0, 1, 2]

    `Pipeline(source(fn, ...), on=...)` starts with a source function, which has its own worker. `Pipeline(iterable)`
    reads an iterable in the main process, lazily. Nothing runs until the pipeline is iterated, opened or run.
    strict: whether every stage must have a known item type, even a lambda.
    each_worker: a source has one worker; with this it may have several, and each of them runs all of it. Such a source
    takes its share by `current_worker().number`, or from a queue that all workers read. Its items have no order.
    Raises StageTypeError or StageOptionError if the source does not fit.
    """

    __slots__ = ()
    _instead = OF_A_PIPELINE
    _to_await = AWAIT_A_PIPELINE

    @overload
    def __init__(
        self,
        items: Source[T_co],
        *,
        on: Executor = ...,
        name: str | None = ...,
        strict: bool = ...,
        each_worker: bool = ...,
    ) -> None: ...
    @overload
    def __init__(self, items: Iterable[T_co], *, name: str | None = ..., strict: bool = ...) -> None: ...
    @user_call
    def __init__(
        self,
        items: Source[T_co] | Iterable[T_co],
        *,
        on: Executor | None = None,
        name: str | None = None,
        strict: bool = False,
        each_worker: bool = False,
    ) -> None:
        problems = Problems()
        self._stages = ()
        self._strict = strict
        with problems:
            checks.check_flag(strict, "strict")
        with problems:
            checks.check_flag(each_worker, "each_worker")
        if isinstance(items, Source):
            on, name = DEFAULT if on is None else on, named(name, items.name, problems)
            self._stages = self._with(planned_source(items, on, name, strict, each_worker, problems), problems)
            return
        with problems:
            if on is not None:
                raise StageOptionError(
                    f"Pipeline(iterable, on={on!r}): an iterable is read in the main process and has no executor.\n"
                    "  To read it elsewhere, write Pipeline(source(fn, ...), on=...)."
                )
        with problems:
            if each_worker:
                raise StageOptionError(
                    "Pipeline(iterable, each_worker=True): an iterable is read once, in the main process.\n"
                    "  A source function may run on several workers: Pipeline(source(fn, ...), each_worker=True)."
                )
        with problems:
            if isinstance(items, Runnable):
                raise StageTypeError(
                    f"Pipeline(...) must be given an iterable but got: {items!r}.\n"
                    "  Its sink is its end, and it has no items: add stages before the sink."
                )
        name = named(name, type(items).__name__, problems)
        self._stages = self._with(planned_iterable(items, name, strict, problems), problems)

    @overload
    @staticmethod
    def concat(a: Pipeline[A], b: Pipeline[B], /, *, name: str | None = ...) -> Pipeline[A | B]: ...
    @overload
    @staticmethod
    def concat(a: Pipeline[A], b: Pipeline[B], c: Pipeline[C], /, *, name: str | None = ...) -> Pipeline[A | B | C]: ...
    @overload
    @staticmethod
    def concat(first: Pipeline[T], /, *more: Pipeline[T], name: str | None = ...) -> Pipeline[T]: ...
    @staticmethod
    @user_call
    def concat(*pipelines: Pipeline[Any], name: str | None = None) -> Pipeline[Any]:
        """Yield the items of one pipeline after the other: each starts when the one before it has ended.

        >>> list(Pipeline.concat(Pipeline(range(2)), Pipeline("a b".split())))
        [0, 1, 'a', 'b']

        Each part is a separate run with its own workers, and it ends with the outer run. A failure in a part is a
        failure of the outer run, with the same error. The parts use `on=`, `grace=` and the dead letters of the outer
        run.
        Raises StageTypeError if an argument is not a pipeline.
        """
        # Few programs use nested pipelines, and this module imports the engine.
        from .engine.nested import Concat

        return _nested("concat", Concat, Concat, pipelines, name)

    @overload
    @staticmethod
    def interleave(a: Pipeline[A], b: Pipeline[B], /, *, name: str | None = ...) -> Pipeline[A | B]: ...
    @overload
    @staticmethod
    def interleave(
        a: Pipeline[A], b: Pipeline[B], c: Pipeline[C], /, *, name: str | None = ...
    ) -> Pipeline[A | B | C]: ...
    @overload
    @staticmethod
    def interleave(first: Pipeline[T], /, *more: Pipeline[T], name: str | None = ...) -> Pipeline[T]: ...
    @staticmethod
    @user_call
    def interleave(*pipelines: Pipeline[Any], name: str | None = None) -> Pipeline[Any]:
        """Yield one item of each pipeline in turn. A pipeline that has ended is left out.

        >>> list(Pipeline.interleave(Pipeline(range(3)), Pipeline([10])))
        [0, 10, 1, 2]

        Otherwise it works like `concat`, but all parts run at the same time. It waits for the part whose turn it is.
        """
        # The reason is the same as in `concat`.
        from .engine.nested import InTurn

        return _nested("interleave", InTurn, InTurn, pipelines, name)

    @overload
    @staticmethod
    def merge(
        a: Pipeline[A], b: Pipeline[B], /, *, in_flight: int | None = ..., name: str | None = ...
    ) -> Pipeline[A | B]: ...
    @overload
    @staticmethod
    def merge(
        a: Pipeline[A], b: Pipeline[B], c: Pipeline[C], /, *, in_flight: int | None = ..., name: str | None = ...
    ) -> Pipeline[A | B | C]: ...
    @overload
    @staticmethod
    def merge(
        first: Pipeline[T], /, *more: Pipeline[T], in_flight: int | None = ..., name: str | None = ...
    ) -> Pipeline[T]: ...
    @staticmethod
    @user_call
    def merge(*pipelines: Pipeline[Any], in_flight: int | None = None, name: str | None = None) -> Pipeline[Any]:
        """Yield the items of several pipelines as they arrive; the items of each pipeline keep their order.

        >>> sorted(Pipeline.merge(Pipeline(range(3)), Pipeline([10, 20])))
        [0, 1, 2, 10, 20]

        Otherwise it works like `concat`; the first failure ends all parts. `.inline()` takes one item of each part in
        turn.
        in_flight: how many items may be taken from the parts and not be finished; the default is a bound in bytes. It
        has no effect in `.inline()`.
        """
        # The reason is the same as in `concat`.
        from .engine.nested import InTurn, Merge

        if in_flight is not None:
            in_flight = checks.check_count(in_flight, name or "merge", "in_flight")
        return _nested("merge", partial(Merge, in_flight=in_flight), InTurn, pipelines, name)

    @user_call
    def then(
        self,
        stage: Stage[T_co, T] | Callable[[Iterator[T_co]], Iterable[T]],
        *,
        on: Executor = DEFAULT,
        in_flight: int | None = None,
        may_stop: bool = False,
        name: str | None = None,
    ) -> Pipeline[T]:
        """Add a generator stage `Iterable[A] -> Iterator[B]`, with any number of results. Returns a new pipeline.

        >>> from collections.abc import Iterable, Iterator
        >>> def doubled(values: Iterable[int]) -> Iterator[int]:
        ...     for value in values:
        ...         yield 2 * value
        >>> list(Pipeline([1, 2]).then(doubled, on=Inline()))
        [2, 4]

        on: where the workers of the stage run; the default is Processes(1). One worker keeps the order of items.
        in_flight: how many items the stage may have accepted and not finished; the default is a bound in bytes.
        may_stop: whether the stage may return before its input has ended; otherwise this ends the run with an error.
        Raises StageTypeError or StageOptionError here, before anything starts.
        """
        problems = Problems()
        bound: Bound = stage if is_a(stage, Bound) else Stage(stage)
        name = named(name, bound.name, problems)
        last = self._stages[-1]
        with problems:
            checks.check_flag(may_stop, f"stage {name!r}: may_stop")
        yields = checks.check_stage(bound, name, last.yields, last.name, last.call.where, problems)
        if self._strict:
            check_known(problems, CheckedFunction(bound, name, "stage", last.yields), yields)
        on = _synchronous(on, name, problems)
        made = bounded(planned(Role.STAGE, name, bound, on, yields, may_stop), in_flight, problems)
        return self._made(Pipeline, self._with(made, problems))

    @user_call
    def into(
        self,
        sink: Sink[T_co, R] | Callable[[Iterator[T_co]], R],
        *,
        on: Executor = DEFAULT,
        in_flight: int | None = None,
        may_stop: bool = False,
        name: str | None = None,
    ) -> Runnable[R]:
        """End the pipeline with a sink `Iterable[A] -> R`, whose result becomes the value of the report.

        >>> Pipeline(range(4)).into(sum, on=Inline()).run().value
        6

        The options are those of `then`. With several workers the value is the list of their results.
        """
        problems = Problems()
        bound: Bound = sink if is_a(sink, Bound) else Sink(sink)
        name = named(name, bound.name, problems)
        last = self._stages[-1]
        with problems:
            checks.check_flag(may_stop, f"stage {name!r}: may_stop")
        returns = checks.check_sink(bound, name, last.yields, last.name, last.call.where, problems)
        on = _synchronous(on, name, problems)
        made = bounded(planned(Role.SINK, name, bound, on, returns, may_stop), in_flight, problems)
        return self._made(Runnable, self._with(made, problems))

    def _yielding(self, hint: Hint) -> Pipeline[Any]:
        *before, last = self._stages
        return self._made(Pipeline, (*before, yielding(last, hint)))

    def _and(
        self, operator: Operator[Any, Any], on: Executor, in_flight: int | None, name: str | None, returns: Any = None
    ) -> Pipeline[Any]:
        return self._made(Pipeline, self._and_one(operator, on, in_flight, name, returns))

    def _ending_in(self, operator: Each[Any], on: Executor, in_flight: int | None, name: str | None) -> Runnable[None]:
        return self._made(Runnable, self._and_one(operator, on, in_flight, name))

    def _and_one(
        self, operator: Operator[Any, Any], on: Executor, in_flight: int | None, name: str | None, returns: Any = None
    ) -> tuple[PlannedStage, ...]:
        problems = Problems()
        last = self._stages[-1]
        made = planned_operator(operator, last, on, name, problems, strict=self._strict, returns=returns)
        return self._with(bounded(made, in_flight, problems), problems)

    @user_call
    def open(
        self,
        *,
        grace: float = GRACE,
        on: Executor | None = None,
        stall_timeout: float | None = None,
        check_items: bool = False,
        progress: bool = False,
        observe: Callable[[chainpump.Progress], object] | None = None,
        seed: int | None = None,
        journal: str | os.PathLike[str] | chainpump.Journal | None = None,
        journal_every: float = EVERY,
        start: str | None = None,
    ) -> chainpump.Run[T_co]:
        """Start a run that is used in a `with` statement; leaving it cancels every worker.

        >>> with Pipeline(range(10)).open() as run:
        ...     next(iter(run))
        0

        grace: seconds that a cancelled worker has for its clean-up before it is killed.
        on: the executor of the stages without one; a source gets one worker of it, and so does a stage like `take`,
        whose work several workers cannot share.
        stall_timeout, check_items, progress, observe, seed, journal_every: as for `Runnable.run`. The report of a stall
        may also name the caller's loop.
        journal: as for `Runnable.run`. An item is done when the loop asks for the next one. From the first
        `run.commit()` on, only the items before a commit are.
        start: a `run.position` of an earlier run, behind which this one goes on; "" at first. See docs/durable.md.
        """
        options = RunOptions(
            grace, on, stall_timeout, check_items, progress, observe, seed, journal, journal_every, start
        )
        return start_run(self.plan(on=on), options, iterated=True)

    async def __aiter__(self) -> AsyncIterator[T_co]:
        """Run the pipeline inside an event loop: `async for item in pipeline`."""
        # This module imports asyncio, so it is only imported where asyncio is in use.
        from .engine.asyncio_bridge import Taking, running

        # The check is made here because the thread that starts the run does not have the caller's stack.
        check_place(self.plan().stages)
        async with running(self.open) as (run, within):
            taking = Taking(run, within)
            while found := await taking.more():
                for item in found:
                    yield item

    @user_call
    def __iter__(self) -> Iterator[T_co]:
        """Run the pipeline with the caller's loop as the sink; leaving the loop cancels every worker."""
        return items_of(self.open, owned=True)

    def __len__(self) -> int:
        """Return how many items it yields, without a run.

        >>> len(Pipeline(range(10)).map(str).batch(4))
        3

        Raises TypeError if a stage does not say how many results it makes, and names it. The source must have a length;
        `filter`, `flat_map`, `unbatch`, `then` and others may make any number.
        """
        return length_of(self._stages)

    def __bool__(self) -> bool:
        """Return True: a pipeline without items, or without a length, is a pipeline."""
        return True

    @user_call
    def inline(self) -> Pipeline[T_co]:
        """Return the same pipeline in the caller's thread, as plain generators, for breakpoints and profilers."""
        return self._made(Pipeline, self._inlined())


class Runnable(_Chain, Generic[R_co]):
    """A pipeline that ends in a sink, made by `Pipeline.into`. It is immutable and can run again."""

    __slots__ = ()
    _instead = OF_A_RUNNABLE
    _to_await = AWAIT_A_RUNNABLE
    _other = Pipeline

    @user_call
    def run(
        self,
        *,
        grace: float = GRACE,
        on: Executor | None = None,
        stall_timeout: float | None = None,
        check_items: bool = False,
        progress: bool = False,
        observe: Callable[[chainpump.Progress], object] | None = None,
        seed: int | None = None,
        journal: str | os.PathLike[str] | chainpump.Journal | None = None,
        journal_every: float = EVERY,
    ) -> chainpump.Report[R_co]:
        """Run it to the end, and return the report.

        grace: seconds that a cancelled worker has for its clean-up before it is killed.
        on: the executor of the stages without one; a source gets one worker of it, and so does a stage like `take`,
        whose work several workers cannot share.
        stall_timeout: seconds without any progress after which the run ends with a StallError, which lists the status
        of every worker. While a worker starts, the limit is at least 60 seconds. Each item then costs about half a
        microsecond more per stage. A stage in the caller's own thread cannot be interrupted: its error comes when the
        call has ended.
        check_items: for development, whether to check that every item has the declared type of its stage, down to the
        last element. The first wrong item ends the run with an ItemTypeError. The check takes microseconds per item and
        needs the extra `chainpump[check]`.
        progress: whether to show the progress on standard error. On a terminal it is a table, which needs the extra
        `chainpump[progress]`; otherwise it is a line every 10 s.
        observe: a function that is called with a `Progress` once a second, and once more at the end, in its own thread.
        If it raises, a warning reports the exception, and the run continues without it.
        seed: an integer from which each worker process gets a seed for `random` and for the global generators of NumPy
        and torch. The same seed gives the same random numbers again. The default is a different seed for each run.
        journal: the file of a durable run. It says which items are done: those that `each` has finished, or for which a
        sink of all items has called `commit()`. If the program ends in any way, the same run with the same file goes on
        there: it does not give these items to a stage again. See docs/durable.md.
        journal_every: seconds between two writes of the journal. After a crash, the items of this time are done again.
        Raises the sink's own exception unchanged, JournalError for the journal, and RunError for every other failure.
        These but JournalError have the `Report` of the run as their attribute `report`.
        """
        options = RunOptions(grace, on, stall_timeout, check_items, progress, observe, seed, journal, journal_every)
        with self._start(options) as run:
            return run.result()

    @user_call
    def retry(self, journal: str | os.PathLike[str] | chainpump.Journal) -> chainpump.Report[R_co]:
        """Do the items again whose dead letters are in the journal of an earlier run, and no others.

        It is `run(journal=Journal(path, retry=True))`, which takes the other options of a run, too, and raises the same
        errors. The letter of an item that is done now is removed. See docs/durable.md.
        """
        # Only durable runs need this module.
        from .durable.journal import as_journal

        return self.run(journal=replace(as_journal(journal), retry=True))

    @user_call
    def open(
        self,
        *,
        grace: float = GRACE,
        on: Executor | None = None,
        stall_timeout: float | None = None,
        check_items: bool = False,
        progress: bool = False,
        observe: Callable[[chainpump.Progress], object] | None = None,
        seed: int | None = None,
        journal: str | os.PathLike[str] | chainpump.Journal | None = None,
        journal_every: float = EVERY,
    ) -> chainpump.SinkRun[R_co]:
        """Start a run, which goes on while the caller does other things. Leaving its `with` block cancels every worker.

        >>> with Pipeline(range(4)).into(sum, on=Inline()).open() as run:
        ...     report = run.result()
        >>> report.value
        6

        `run.progress()` shows it, `run.wait(timeout)` and `run.result()` wait for its end, and `run.cancel()` ends it.
        The options are those of `run`. A sink on `Inline` runs in a thread of the main process, and not in the caller's
        thread, where `run` would call it.
        """
        options = RunOptions(grace, on, stall_timeout, check_items, progress, observe, seed, journal, journal_every)
        return self._start(options, apart=True)

    def _start(self, options: RunOptions, *, apart: bool = False) -> chainpump.SinkRun[R_co]:
        return start_run(self.plan(on=options.on), options, iterated=False, apart=apart)

    async def run_async(
        self,
        *,
        grace: float = GRACE,
        on: Executor | None = None,
        stall_timeout: float | None = None,
        check_items: bool = False,
        progress: bool = False,
        observe: Callable[[chainpump.Progress], object] | None = None,
        seed: int | None = None,
        journal: str | os.PathLike[str] | chainpump.Journal | None = None,
        journal_every: float = EVERY,
    ) -> chainpump.Report[R_co]:
        """Run it like `run`, but inside an event loop, which continues meanwhile.

        >>> import asyncio
        >>> asyncio.run(Pipeline(range(4)).into(sum, on=Inline()).run_async()).value
        6

        If the task is cancelled, the run is cancelled, and the task waits for its end.
        """
        # This module imports asyncio, so it is only imported where asyncio is in use.
        from .engine.asyncio_bridge import running

        options = RunOptions(grace, on, stall_timeout, check_items, progress, observe, seed, journal, journal_every)
        # The check is made here because the thread that starts the run does not have the caller's stack.
        check_place(self.plan(on=on).stages)
        async with running(partial(self._start, options)) as (run, within):
            report: chainpump.Report[R_co] = await within(run.result)
        return report

    if not TYPE_CHECKING:
        # A loop calls this method, too, because there is no `__iter__`. Type checkers report both uses themselves.

        @partial(user_call, ends=TypeError)
        def __getitem__(self, index: object) -> NoReturn:
            raise TypeError(
                "'Runnable' object is not iterable: its sink takes the items, and a run gives the value of the sink.\n"
                "  Write .run().value for that value, or leave the sink out to take the items."
            )

    @user_call
    def inline(self) -> Runnable[R_co]:
        """Return the same runnable in the caller's thread, as plain generators, for breakpoints and profilers."""
        return self._made(Runnable, self._inlined())


def with_workers(chain: ChainT, workers: Mapping[str, Workers]) -> ChainT:
    """Return the same pipeline or runnable with other numbers of workers for the stages with these names.

    Raises StageOptionError if a stage cannot have this number.
    """
    return _made(type(chain), chain._resized(workers), chain._strict)  # noqa: SLF001  # of its own class


@overload
def opened(chain: Pipeline[Any], options: RunOptions) -> chainpump.Run[Any]: ...
@overload
def opened(chain: Runnable[Any], options: RunOptions) -> chainpump.SinkRun[Any]: ...
def opened(chain: Pipeline[Any] | Runnable[Any], options: RunOptions) -> chainpump.Run[Any] | chainpump.SinkRun[Any]:
    """Open a run of a pipeline or a runnable. A sink on Inline runs in the thread that asks for the result."""
    if isinstance(chain, Pipeline):
        return start_run(chain.plan(), options, iterated=True)
    return chain._start(options)  # noqa: SLF001  # of this module


def _made(kind: type[ChainT], stages: tuple[PlannedStage, ...], strict: bool) -> ChainT:
    """Make a pipeline or runnable of stages that are already checked."""
    chain = kind.__new__(kind)
    chain._stages, chain._strict = stages, strict  # noqa: SLF001  # this is its constructor
    return chain


def _synchronous(on: Executor, name: str, problems: Problems) -> Executor:
    """Return the executor for a stage of all items. If it runs only async functions, record that as a problem."""
    on = known_executor(on, name, problems)
    with problems:
        check_synchronous(on, name)
    return on


def _nested(
    word: str,
    function: Callable[..., Any],
    inline_function: Callable[..., Any],
    pipelines: Sequence[Pipeline[Any]],
    name: str | None,
) -> Pipeline[Any]:
    """Make a pipeline whose source runs these pipelines. word: the method's name. Any: what `NestedSource` takes."""
    if not pipelines:
        raise StageTypeError(f"Pipeline.{word}(...) joins pipelines, but got none.")
    for each in pipelines:
        if not isinstance(each, Pipeline):
            raise StageTypeError(
                f"Pipeline.{word}(...) joins pipelines but got: {each!r}.\n  {_pipeline_instead_of(each, word)}"
            )
    parts = tuple(each.plan().stages for each in pipelines)
    call: NestedSource[Any] = NestedSource(function, parts=parts, inline_function=inline_function)
    hints = [part[-1].yields for part in call.parts]
    yields = UNKNOWN if is_unknown(*hints) else union_of(hints)
    checks.check_name(name)
    name = name or f"{word}({', '.join(names(part) for part in call.parts)})"
    stage = planned(Role.SOURCE, name, call, Inline(), yields)
    strict = any(each._strict for each in pipelines)  # noqa: SLF001  # of its own class
    return _made(Pipeline, (replace(stage, before_run=call.before_run),), strict)


def _pipeline_instead_of(value: object, word: str) -> str:
    if isinstance(value, Runnable):
        return f"Join the pipelines before their sinks: Pipeline.{word}(a, b).into(...)."
    if isinstance(value, (list, tuple)) and value and all(isinstance(each, Pipeline) for each in value):
        return f"Give them one by one: Pipeline.{word}(*pipelines)."
    return "Make it one: Pipeline(iterable), or Pipeline(source(fn, ...))."

"""`Pipeline` and `Runnable`: immutable values that say what is to run, and start nothing until asked."""

from __future__ import annotations

from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

# Annotations name through the package what only runs need: that imports it when it is first asked for.
import chainpump

from .building import checks
from .building.checked_function import Subject
from .building.problems import Problems
from .building.restart_checks import check_restarts
from .building.stage_builder import (
    DEFAULT,
    MIN_WAIT,
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
)
from .engine.items import items_of
from .errors import StageOptionError, StageTypeError
from .executors.base import Executor
from .executors.inline import Inline
from .executors.tasks import Tasks
from .hints.annotations import is_unknown
from .hints.classes import UNKNOWN, union_of
from .hints.objects import is_a
from .lazy_dataclass import replace
from .messages.names import Role
from .plan.bound import Bound, Sink, Source, Stage
from .plan.generator_stages import batch, batch_within, take, unbatch, window
from .plan.nested_source import NestedSource
from .plan.operators import Each, Filter, FlatMap, Map, Operator
from .plan.placement import Workers
from .plan.plan import Plan
from .plan.planned_stage import PlannedStage
from .policies import Policy, Raise
from .start import GRACE, RunOptions, check_place, start

if TYPE_CHECKING:
    # For checkers: a program does not need it here.
    from typing import TypeGuard

    from typing_extensions import TypeForm, TypeIs

__all__ = ["Pipeline", "Runnable", "opened", "with_workers"]

T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
T_co = TypeVar("T_co", covariant=True)
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
ChainT = TypeVar("ChainT", bound="_Chain")

RAISE = Raise()


class _Chain:
    """What a pipeline and a runnable have in common: a chain of checked stages that never changes."""

    __slots__ = ("_stages", "_strict")

    _stages: tuple[PlannedStage, ...]
    _strict: bool

    def plan(self, *, on: Executor | None = None) -> Plan:
        """The checked plan; `print(pipeline.plan())` shows it as a table."""
        if on is None:
            return Plan(self._stages)
        stages = tuple(placed(stage, on) for stage in self._stages)
        check_restarts(stages)
        return Plan(stages)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({names(self._stages)})"

    def _repr_html_(self) -> str:
        """A picture of the plan, in a notebook."""
        return self.plan().svg()

    def _with(self, stage: PlannedStage, problems: Problems) -> tuple[PlannedStage, ...]:
        """These stages and one more. Raises what is wrong with it, all of it."""
        stages = (*self._stages, stage)
        with problems:
            if stage.on.capabilities.pickles_functions:
                checks.check_travels(stage.call, stage.name)
        with problems:
            check_amount(stage)
        with problems:
            check_restarts(stages)
        problems.tell()
        return stages

    def _made(self, kind: type[ChainT], stages: tuple[PlannedStage, ...]) -> ChainT:
        """A pipeline or runnable like this one, of stages that were checked already."""
        return _made(kind, stages, self._strict)

    def _inlined(self) -> tuple[PlannedStage, ...]:
        return tuple(map(inlined, self._stages))

    def _resized(self, workers: Mapping[str, Workers]) -> tuple[PlannedStage, ...]:
        stages = tuple(resized(stage, workers) for stage in self._stages)
        check_restarts(stages)
        return stages

    def _start(self, options: RunOptions, *, iterated: bool) -> chainpump.Run[Any]:
        return start(self.plan(on=options.on), options, iterated=iterated)


class Pipeline(_Chain, Generic[T_co]):
    """A chain of a source and stages, which yields items when it is iterated. Immutable, and re-runnable.

    >>> list(Pipeline(range(3)))
    [0, 1, 2]

    `Pipeline(source(fn, ...), on=...)` starts with a source function on one worker of its own; `Pipeline(iterable)`
    reads an iterable in the main process, lazily. Nothing runs until it is iterated, opened or run.
    strict: of no stage may it be unknown what it yields, not even of a lambda.
    Raises StageTypeError or StageOptionError if the source does not fit.
    """

    __slots__ = ()

    @overload
    def __init__(
        self, items: Source[T_co], *, on: Executor = ..., name: str | None = ..., strict: bool = ...
    ) -> None: ...
    @overload
    def __init__(self, items: Iterable[T_co], *, name: str | None = ..., strict: bool = ...) -> None: ...
    def __init__(
        self,
        items: Source[T_co] | Iterable[T_co],
        *,
        on: Executor | None = None,
        name: str | None = None,
        strict: bool = False,
    ) -> None:
        problems = Problems()
        self._stages = ()
        self._strict = strict
        with problems:
            checks.check_flag(strict, "strict")
        if isinstance(items, Source):
            on, name = DEFAULT if on is None else on, named(name, items.name, problems)
            self._stages = self._with(planned_source(items, on, name, strict, problems), problems)
            return
        with problems:
            if on is not None:
                raise StageOptionError(
                    f"Pipeline(iterable, on={on!r}): an iterable is read in the main process and has no executor.\n"
                    "  To read it elsewhere, write Pipeline(source(fn, ...), on=...)."
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
    def concat(*pipelines: Pipeline[Any], name: str | None = None) -> Pipeline[Any]:
        """The items of one pipeline after the other: each starts when the one before has ended.

        >>> list(Pipeline.concat(Pipeline(range(2)), Pipeline("a b".split())))
        [0, 1, 'a', 'b']

        Each is a run of its own, with its own workers, and ends with the run around it. What fails in it fails that
        one, with the same error; `on=`, `grace=` and the dead letters of that one are its own.
        Raises StageTypeError unless given pipelines.
        """
        # Few programs have one, and what runs it comes with the engine.
        from .engine.nested import Concat

        return _nested("concat", Concat, Concat, pipelines, name)

    @overload
    @staticmethod
    def merge(a: Pipeline[A], b: Pipeline[B], /, *, name: str | None = ...) -> Pipeline[A | B]: ...
    @overload
    @staticmethod
    def merge(a: Pipeline[A], b: Pipeline[B], c: Pipeline[C], /, *, name: str | None = ...) -> Pipeline[A | B | C]: ...
    @overload
    @staticmethod
    def merge(first: Pipeline[T], /, *more: Pipeline[T], name: str | None = ...) -> Pipeline[T]: ...
    @staticmethod
    def merge(*pipelines: Pipeline[Any], name: str | None = None) -> Pipeline[Any]:
        """The items of several pipelines at once, as they come; those of one stay in their order.

        >>> sorted(Pipeline.merge(Pipeline(range(3)), Pipeline([10, 20])))
        [0, 1, 2, 10, 20]

        Otherwise as `concat`; the first failure ends all. `.inline()` takes an item of each in turn.
        """
        # As above.
        from .engine.nested import InTurn, Merge

        return _nested("merge", Merge, InTurn, pipelines, name)

    def then(
        self,
        stage: Stage[T_co, T] | Callable[[Iterator[T_co]], Iterable[T]],
        *,
        on: Executor = DEFAULT,
        in_flight: int | None = None,
        may_stop: bool = False,
        name: str | None = None,
    ) -> Pipeline[T]:
        """Add a generator stage `Iterable[A] -> Iterator[B]`, of any shape; returns a new pipeline.

        >>> from collections.abc import Iterable, Iterator
        >>> def doubled(values: Iterable[int]) -> Iterator[int]:
        ...     for value in values:
        ...         yield 2 * value
        >>> list(Pipeline([1, 2]).then(doubled, on=Inline()))
        [2, 4]

        on: where its workers run; Processes(1) unless told otherwise. One worker keeps the order of items.
        in_flight: how many items it may have accepted and not finished; by default they are bounded by bytes.
        may_stop: whether it may return before its input has ended; otherwise that ends the run as an error.
        Raises StageTypeError or StageOptionError here, before anything starts.
        """
        problems = Problems()
        bound: Bound = stage if is_a(stage, Bound) else Stage(stage)  # type: ignore[assignment, arg-type]  # by its type
        name = named(name, bound.name, problems)
        last = self._stages[-1]
        with problems:
            checks.check_flag(may_stop, f"stage {name!r}: may_stop")
        yields = checks.check_stage(bound, name, last.yields, last.name, last.call.where, problems)
        if self._strict:
            check_known(problems, Subject(bound, name, "stage", last.yields), yields)
        on = _synchronous(on, name, problems)
        made = bounded(planned(Role.STAGE, name, bound, on, yields, may_stop), in_flight, problems)
        return self._made(Pipeline, self._with(made, problems))

    def into(
        self,
        sink: Sink[T_co, R] | Callable[[Iterator[T_co]], R],
        *,
        on: Executor = DEFAULT,
        in_flight: int | None = None,
        may_stop: bool = False,
        name: str | None = None,
    ) -> Runnable[R]:
        """End the pipeline with a sink `Iterable[A] -> R`, whose result becomes the report's value.

        >>> Pipeline(range(4)).into(sum, on=Inline()).run().value
        6

        The options are those of `then`. With several workers the value is the list of what each returned.
        """
        problems = Problems()
        bound: Bound = sink if is_a(sink, Bound) else Sink(sink)  # type: ignore[assignment, arg-type]  # by its type
        name = named(name, bound.name, problems)
        last = self._stages[-1]
        with problems:
            checks.check_flag(may_stop, f"stage {name!r}: may_stop")
        returns = checks.check_sink(bound, name, last.yields, last.name, last.call.where, problems)
        on = _synchronous(on, name, problems)
        made = bounded(planned(Role.SINK, name, bound, on, returns, may_stop), in_flight, problems)
        return self._made(Runnable, self._with(made, problems))

    @overload
    def map(
        self,
        function: Callable[[T_co], Any],
        *,
        returns: TypeForm[T],
        on: Executor = ...,
        ordered: bool = ...,
        on_error: Policy = ...,
        timeout: float | None = ...,
        in_flight: int | None = ...,
        name: str | None = ...,
    ) -> Pipeline[T]: ...
    @overload
    def map(
        self,
        function: Callable[[T_co], Coroutine[Any, Any, T]],
        *,
        on: Tasks,
        ordered: bool = ...,
        on_error: Policy = ...,
        timeout: float | None = ...,
        in_flight: int | None = ...,
        name: str | None = ...,
    ) -> Pipeline[T]: ...
    @overload
    def map(
        self,
        function: Callable[[T_co], Awaitable[T]],
        *,
        on: Tasks,
        ordered: bool = ...,
        on_error: Policy = ...,
        timeout: float | None = ...,
        in_flight: int | None = ...,
        name: str | None = ...,
    ) -> Pipeline[T]: ...
    @overload
    def map(
        self,
        function: Callable[[T_co], T],
        *,
        on: Executor = ...,
        ordered: bool = ...,
        on_error: Policy = ...,
        timeout: float | None = ...,
        in_flight: int | None = ...,
        name: str | None = ...,
    ) -> Pipeline[T]: ...
    def map(
        self,
        function: Callable[[T_co], Any],
        *,
        on: Executor = DEFAULT,
        returns: Any = None,
        ordered: bool = True,
        on_error: Policy = RAISE,
        timeout: float | None = None,
        in_flight: int | None = None,
        name: str | None = None,
    ) -> Pipeline[Any]:
        """Call a function for each item; what it returns takes the item's place.

        >>> from chainpump import Threads
        >>> list(Pipeline(["1", "2"]).map(int, on=Threads(2)))
        [1, 2]

        A result is sent with others, after it was returned, and soon: return a new object each time, rather than one
        that is changed again.
        on, in_flight, name: as for `then`.
        returns: the type of what it returns, for a lambda, which cannot say.
        ordered: whether results keep the order of the source; if not, each goes on as soon as it is there.
        on_error: what becomes of an item on which the function raises: `Raise()`, `Skip()`, `Retry(...)` or
        `DeadLetter()`.
        timeout: seconds that the function may take over one item, on Processes and Tasks; then it is stopped, and the
        item goes to the policy as an ItemTimeoutError.
        """
        operator: Map[Any, Any] = Map(function, (), {}, on_error, ordered, timeout)
        return self._made(Pipeline, self._and(operator, on, in_flight, name, returns))

    @overload
    def filter(
        self,
        function: Callable[[T_co], TypeIs[T]],
        *,
        on: Executor = ...,
        ordered: bool = ...,
        on_error: Policy = ...,
        timeout: float | None = ...,
        in_flight: int | None = ...,
        name: str | None = ...,
    ) -> Pipeline[T]: ...
    @overload
    def filter(
        self,
        function: Callable[[T_co], TypeGuard[T]],
        *,
        on: Executor = ...,
        ordered: bool = ...,
        on_error: Policy = ...,
        timeout: float | None = ...,
        in_flight: int | None = ...,
        name: str | None = ...,
    ) -> Pipeline[T]: ...
    @overload
    def filter(
        self,
        function: Callable[[T_co], object],
        *,
        on: Executor = ...,
        ordered: bool = ...,
        on_error: Policy = ...,
        timeout: float | None = ...,
        in_flight: int | None = ...,
        name: str | None = ...,
    ) -> Pipeline[T_co]: ...
    def filter(
        self,
        function: Callable[[T_co], object],
        *,
        on: Executor = DEFAULT,
        ordered: bool = True,
        on_error: Policy = RAISE,
        timeout: float | None = None,
        in_flight: int | None = None,
        name: str | None = None,
    ) -> Pipeline[Any]:
        """Keep the items for which a function returns something true. The options are those of `map`.

        After a function that says `TypeGuard[B]` or `TypeIs[B]`, the items are of that type.

        >>> list(Pipeline(range(6)).filter(lambda number: number % 2, on=Inline()))
        [1, 3, 5]
        """
        operator: Filter[Any] = Filter(function, (), {}, on_error, ordered, timeout)
        return self._made(Pipeline, self._and(operator, on, in_flight, name))

    @overload
    def flat_map(
        self,
        function: Callable[[T_co], Any],
        *,
        returns: TypeForm[Iterable[T]],
        on: Executor = ...,
        ordered: bool = ...,
        on_error: Policy = ...,
        timeout: float | None = ...,
        in_flight: int | None = ...,
        name: str | None = ...,
    ) -> Pipeline[T]: ...
    @overload
    def flat_map(
        self,
        function: Callable[[T_co], AsyncIterable[T] | Awaitable[Iterable[T]]],
        *,
        on: Tasks,
        ordered: bool = ...,
        on_error: Policy = ...,
        timeout: float | None = ...,
        in_flight: int | None = ...,
        name: str | None = ...,
    ) -> Pipeline[T]: ...
    @overload
    def flat_map(
        self,
        function: Callable[[T_co], Iterable[T]],
        *,
        on: Executor = ...,
        ordered: bool = ...,
        on_error: Policy = ...,
        timeout: float | None = ...,
        in_flight: int | None = ...,
        name: str | None = ...,
    ) -> Pipeline[T]: ...
    def flat_map(
        self,
        function: Callable[[T_co], Any],
        *,
        on: Executor = DEFAULT,
        returns: Any = None,
        ordered: bool = True,
        on_error: Policy = RAISE,
        timeout: float | None = None,
        in_flight: int | None = None,
        name: str | None = None,
    ) -> Pipeline[Any]:
        """Call a function for each item; all that it returns or yields takes the item's place.

        >>> list(Pipeline(["a b", "c"]).flat_map(str.split, on=Inline()))
        ['a', 'b', 'c']

        The options are those of `map`; `returns=list[str]`, say, is the type of what a lambda returns. Results go on as
        they are made. With a policy other than `Raise()`, and on `Processes` with `restarts=` or `timeout=`, they go on
        once the function is done with the item, so that one that fails leaves nothing. Until then the worker holds all
        of them, without a bound: an item that makes gigabytes is better split before.
        """
        operator: FlatMap[Any, Any] = FlatMap(function, (), {}, on_error, ordered, timeout)
        return self._made(Pipeline, self._and(operator, on, in_flight, name, returns))

    def each(
        self,
        function: Callable[[T_co], object],
        *,
        on: Executor = DEFAULT,
        on_error: Policy = RAISE,
        timeout: float | None = None,
        in_flight: int | None = None,
        name: str | None = None,
    ) -> Runnable[None]:
        """End the pipeline with a function that is called for each item. The options are those of `map`.

        >>> Pipeline(["a", "b"]).each(print, on=Inline()).run().value
        a
        b

        On one worker the calls come in the order of the source, unless that worker may be replaced (`restarts=`, or
        `timeout=` on Processes) and several workers made the items: `plan()` says so.
        """
        operator: Each[Any] = Each(function, (), {}, on_error, True, timeout)
        return self._made(Runnable, self._and(operator, on, in_flight, name))

    def batch(
        self,
        n: int,
        *,
        within: float | None = None,
        on: Executor = DEFAULT,
        in_flight: int | None = None,
        name: str | None = None,
    ) -> Pipeline[list[T_co]]:
        """Lists of n items; the last one may be shorter.

        >>> list(Pipeline("a b c".split()).batch(2, on=Inline()))
        [['a', 'b'], ['c']]

        within: seconds after which a batch goes on as it is, counted from its first item. On Inline behind another such
        stage there is nobody to wait: there every batch is whole but the last, and `within` is refused.
        """
        count = checks.check_count(n, name or "batch", "n")
        if within is None:
            return self.then(Stage(batch, (count,)), on=on, in_flight=in_flight, name=name or f"batch({count})")
        checks.check_seconds(within, "batch: within", least=MIN_WAIT)
        timed: Stage[T_co, list[T_co]] = Stage(batch_within, (count, float(within)))
        made = self.then(timed, on=on, in_flight=in_flight, name=name or f"batch({count}, within={within:g})")
        before, last = made.plan().stages[-2:]
        if before.shares_worker_with(last):
            raise StageOptionError(
                f"batch: within={within:g} does nothing on {on!r} behind '{before.name}', which runs there"
                " too: the same thread makes the items.\n  Leave it out, or give one of the two an executor of its own."
            )
        return made

    def window(
        self,
        n: int,
        *,
        step: int = 1,
        on: Executor = DEFAULT,
        in_flight: int | None = None,
        name: str | None = None,
    ) -> Pipeline[tuple[T_co, ...]]:
        """Sliding windows: tuples of n neighbouring items, in the order in which they arrive.

        >>> list(Pipeline(range(5)).window(3, on=Inline()))
        [(0, 1, 2), (1, 2, 3), (2, 3, 4)]

        step: by how many items each window begins behind the one before. With `step=n` they touch, with a greater one
        the items between two windows are left out.
        Every window has n items: of fewer than n items there is none, and what fills no window at the end is left out.
        To get that as well, use `batch`. Between processes an item is sent again with every window that it is in, so
        give `window` and what follows it one thread, or `Inline()`, where items are large. It has one worker.
        """
        n = checks.check_count(n, name or "window", "n")
        step = checks.check_count(step, name or "window", "step")
        by = f", step={step}" if step != 1 else ""
        return self.then(Stage(window, (n, step)), on=on, in_flight=in_flight, name=name or f"window({n}{by})")

    def unbatch(
        self: Pipeline[Iterable[T]], *, on: Executor = DEFAULT, in_flight: int | None = None, name: str | None = None
    ) -> Pipeline[T]:
        """The items of each batch, one after the other.

        >>> list(Pipeline([[1, 2], [3]]).unbatch(on=Inline()))
        [1, 2, 3]
        """
        return self.then(Stage(unbatch), on=on, in_flight=in_flight, name=name)

    def take(
        self, n: int, *, on: Executor = DEFAULT, in_flight: int | None = None, name: str | None = None
    ) -> Pipeline[T_co]:
        """The first n items; whatever is before it is cancelled as soon as they are there.

        >>> from itertools import count
        >>> list(Pipeline(count()).take(3, on=Inline()))
        [0, 1, 2]
        """
        n = checks.check_count(n, name or "take", "n", least=0)
        return self.then(Stage(take, (n,)), on=on, in_flight=in_flight, may_stop=True, name=name or f"take({n})")

    def _and(
        self, operator: Operator[Any, Any], on: Executor, in_flight: int | None, name: str | None, returns: Any = None
    ) -> tuple[PlannedStage, ...]:
        problems = Problems()
        last = self._stages[-1]
        made = planned_operator(operator, last, on, name, problems, strict=self._strict, returns=returns)
        return self._with(bounded(made, in_flight, problems), problems)

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
    ) -> chainpump.Run[T_co]:
        """Start a run, to be used in a `with`: leaving it cancels every worker.

        >>> with Pipeline(range(10)).open() as run:
        ...     next(iter(run))
        0

        grace: seconds that a worker has to clean up when it is cancelled, before it is killed.
        on: the executor of the stages that named none; a source, `take` and `window` get one worker of it.
        stall_timeout, check_items, progress, observe, seed: as for `Runnable.run`; of a stall, who iterates may be
        named.
        """
        options = RunOptions(grace, on, stall_timeout, check_items, progress, observe, seed)
        return self._start(options, iterated=True)

    async def __aiter__(self) -> AsyncIterator[T_co]:
        """Run it, for a program that lives in an event loop: `async for item in pipeline`."""
        # Imports asyncio, for those who have imported it.
        from .engine.asyncio_bridge import running

        # The thread that starts it does not show who has called this.
        check_place(self.plan().stages)
        async with running(self.open) as (run, within):
            items = iter(run)
            while found := await within(run.take_ready, items):
                for item in found:
                    yield item

    def __iter__(self) -> Iterator[T_co]:
        """Run it, with the caller's loop as the sink; leaving the loop cancels every worker."""
        return items_of(self.open, owned=True)

    def inline(self) -> Pipeline[T_co]:
        """The same pipeline in the caller's thread, as plain generators: breakpoints and profilers work."""
        return self._made(Pipeline, self._inlined())


class Runnable(_Chain, Generic[R_co]):
    """A pipeline that ends in a sink. Immutable, and re-runnable; made by `Pipeline.into`."""

    __slots__ = ()

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
    ) -> chainpump.Report[R_co]:
        """Run it to the end, and return the report.

        grace: seconds that a worker has to clean up when it is cancelled, before it is killed.
        on: the executor of the stages that named none; a source, `take` and `window` get one worker of it.
        stall_timeout: seconds without any movement after which the run ends with a StallError, which says what every
        worker was at; while a worker starts, it has 60 seconds at least. Each item then costs about half a microsecond
        more per stage. What runs in the caller's own thread cannot be interrupted: there the error comes once it is
        over.
        check_items: while developing, whether to look if every item is of the type that its stage declares, down to the
        last element; the first that is not ends the run with an ItemTypeError. It takes microseconds per item, and the
        extra `chainpump[check]`.
        progress: whether to show how far it is, on standard error: a table where that is a terminal, which needs the
        extra `chainpump[progress]`; otherwise a line every 10 s.
        observe: is called with a `Progress` once a second, and once more at the end, by a thread of its own. If it
        raises, that is told as a warning, and the run goes on without it.
        seed: a whole number, from which each worker process gets a seed for `random` and for the global generators of
        NumPy and torch: with the same one, it draws the same numbers again. By default another one each time.
        Raises the sink's own exception as it is; RunError for every other failure. Both have the `Report` of the run,
        as their `report`.
        """
        options = RunOptions(grace, on, stall_timeout, check_items, progress, observe, seed)
        with self._start(options, iterated=False) as run:
            value = run.result()
        return run.report(value)

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
    ) -> chainpump.Report[R_co]:
        """As `run`, for a program that lives in an event loop, which goes on meanwhile.

        >>> import asyncio
        >>> asyncio.run(Pipeline(range(4)).into(sum, on=Inline()).run_async()).value
        6

        If the task is cancelled, the run is, and its end is awaited.
        """
        # Imports asyncio, for those who have imported it.
        from .engine.asyncio_bridge import running

        options = RunOptions(grace, on, stall_timeout, check_items, progress, observe, seed)
        # The thread that starts it does not show who has called this.
        check_place(self.plan(on=on).stages)
        async with running(partial(self._start, options, iterated=False)) as (run, within):
            value = await within(run.result)
        return run.report(value)

    def inline(self) -> Runnable[R_co]:
        """The same in the caller's thread, as plain generators: breakpoints and profilers work."""
        return self._made(Runnable, self._inlined())


def with_workers(chain: ChainT, workers: Mapping[str, Workers]) -> ChainT:
    """The same pipeline or runnable, with other numbers of workers for the stages of these names.

    Raises StageOptionError where one cannot have so many.
    """
    return _made(type(chain), chain._resized(workers), chain._strict)  # noqa: SLF001  # of its own class


def opened(
    chain: Pipeline[Any] | Runnable[Any],
    *,
    progress: bool = False,
    observe: Callable[[chainpump.Progress], object] | None = None,
) -> chainpump.Run[Any]:
    """A run of it, whichever it is, with whatever else is by default."""
    iterated = isinstance(chain, Pipeline)
    return chain._start(RunOptions(progress=progress, observe=observe), iterated=iterated)  # noqa: SLF001  # the same


def _made(kind: type[ChainT], stages: tuple[PlannedStage, ...], strict: bool) -> ChainT:
    """A pipeline or runnable of stages that were checked already."""
    chain = kind.__new__(kind)
    chain._stages, chain._strict = stages, strict  # noqa: SLF001  # this is its constructor
    return chain


def _synchronous(on: Executor, name: str, problems: Problems) -> Executor:
    """The executor of a stage of all items, or the default one where it cannot be one, which is noted."""
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
    """A pipeline whose source runs these pipelines. word: the method that makes it. Any: what `NestedSource` takes."""
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

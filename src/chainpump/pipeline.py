"""`Pipeline` and `Runnable`: immutable values that say what is to run, and start nothing until asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, Generic, TypeVar, overload

from .engine.run import Run
from .errors import StageOptionError
from .executors.base import Executor
from .executors.inline import Inline
from .executors.processes import Processes
from .plan import checks
from .plan.bound import Bound, Sink, Source, Stage
from .plan.hints import show
from .plan.plan import Plan, PlannedStage, Role
from .report import Report

__all__ = ["Pipeline", "Runnable"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

GRACE = 0.5  # seconds; enough to close files and connections, and short enough not to feel like a hang
DEFAULT: Executor = Processes()  # for stages that name no executor; told from the user's own by identity


class _Chain:
    """What a pipeline and a runnable have in common: a chain of checked stages that never changes."""

    __slots__ = ("_stages",)

    _stages: tuple[PlannedStage, ...]

    def plan(self, *, on: Executor | None = None) -> Plan:
        """The checked plan; `print(pipeline.plan())` shows it as a table."""
        return Plan(self._stages if on is None else tuple(_placed(stage, on) for stage in self._stages))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({' -> '.join(stage.name for stage in self._stages)})"

    def _with(self, stage: PlannedStage) -> tuple[PlannedStage, ...]:
        if stage.on.pickles:
            checks.check_travels(stage.call, stage.name)
        return (*self._stages, stage)

    def _inlined(self) -> tuple[PlannedStage, ...]:
        return tuple(replace(stage, on=Inline()) for stage in self._stages)

    def _start(self, *, iterated: bool, grace: float, on: Executor | None) -> Run[Any]:
        _check_grace(grace)
        if on is not None:
            _check_executor(on, "every stage")
        stages = self.plan(on=on).stages
        for stage in stages:
            if stage.before_run is not None:
                stage.before_run()
        return Run(stages, iterated=iterated, grace=float(grace))


class Pipeline(_Chain, Generic[T_co]):
    """A chain of a source and stages, which yields items when it is iterated. Immutable, and re-runnable.

    >>> list(Pipeline(range(3)))
    [0, 1, 2]

    `Pipeline(source(fn, ...), on=...)` starts with a source function on one worker of its own; `Pipeline(iterable)`
    reads an iterable in the main process, lazily. Nothing runs until it is iterated, opened or run.
    Raises StageTypeError or StageOptionError if the source does not fit.
    """

    __slots__ = ()

    @overload
    def __init__(self, items: Source[T_co], *, on: Executor = ..., name: str | None = ...) -> None: ...
    @overload
    def __init__(self, items: Iterable[T_co], *, name: str | None = ...) -> None: ...
    def __init__(
        self, items: Source[T_co] | Iterable[T_co], *, on: Executor | None = None, name: str | None = None
    ) -> None:
        self._stages = ()
        if isinstance(items, Source):
            self._stages = self._with(_source(items, DEFAULT if on is None else on, name or items.name))
        else:
            if on is not None:
                raise StageOptionError(
                    f"Pipeline(iterable, on={on!r}): an iterable is read in the main process and has no executor.\n"
                    "  To read it elsewhere, write Pipeline(source(fn, ...), on=...)."
                )
            self._stages = (_iterable(items, name or type(items).__name__),)

    def then(
        self,
        stage: Stage[T_co, T] | Callable[[Iterable[T_co]], Iterable[T]],
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
        bound = stage if isinstance(stage, Bound) else Stage(stage)
        name = name or bound.name
        last = self._stages[-1]
        yields = checks.check_stage(bound, name, last.yields, last.name, last.call.where)
        return _made(Pipeline, self._with(_planned(Role.STAGE, name, bound, on, in_flight, may_stop, yields)))

    def into(
        self,
        sink: Sink[T_co, R] | Callable[[Iterable[T_co]], R],
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
        bound = sink if isinstance(sink, Bound) else Sink(sink)
        name = name or bound.name
        last = self._stages[-1]
        returns = checks.check_sink(bound, name, last.yields, last.name, last.call.where)
        return _made(Runnable, self._with(_planned(Role.SINK, name, bound, on, in_flight, may_stop, returns)))

    def open(self, *, grace: float = GRACE, on: Executor | None = None) -> Run[T_co]:
        """Start a run, to be used in a `with`: leaving it cancels every worker.

        >>> with Pipeline(range(10)).open() as run:
        ...     next(iter(run))
        0

        grace: seconds that a worker has to clean up when it is cancelled, before it is killed.
        on: the executor of the stages that named none; a source gets one worker of it.
        """
        return self._start(iterated=True, grace=grace, on=on)

    def __iter__(self) -> Iterator[T_co]:
        """Run it, with the caller's loop as the sink; leaving the loop cancels every worker."""
        with self.open() as run:
            yield from run

    def inline(self) -> Pipeline[T_co]:
        """The same pipeline in the caller's thread, as plain generators: breakpoints and profilers work."""
        return _made(Pipeline, self._inlined())


class Runnable(_Chain, Generic[R_co]):
    """A pipeline that ends in a sink. Immutable, and re-runnable; made by `Pipeline.into`."""

    __slots__ = ()

    def run(self, *, grace: float = GRACE, on: Executor | None = None) -> Report[R_co]:
        """Run it to the end, and return the report.

        grace: seconds that a worker has to clean up when it is cancelled, before it is killed.
        on: the executor of the stages that named none; a source gets one worker of it.
        Raises the sink's own exception as it is; RunError for every other failure.
        """
        started = time.monotonic()
        with self._start(iterated=False, grace=grace, on=on) as run:
            value = run.result()
            return Report(value, run.accounts, time.monotonic() - started)

    def inline(self) -> Runnable[R_co]:
        """The same in the caller's thread, as plain generators: breakpoints and profilers work."""
        return _made(Runnable, self._inlined())


C = TypeVar("C", bound=_Chain)


def _made(kind: type[C], stages: tuple[PlannedStage, ...]) -> C:
    """A pipeline or runnable of stages that were checked already."""
    chain = kind.__new__(kind)
    chain._stages = stages  # noqa: SLF001  # this is its constructor
    return chain


def _source(bound: Source[Any], on: Executor, name: str) -> PlannedStage:
    stage = _planned(Role.SOURCE, name, bound, on, None, False, checks.check_source(bound, name))
    if on.workers > 1:
        raise StageOptionError(
            f"source {name!r} cannot run on {on!r}: each worker would run all of it, so that every item came "
            f"{on.workers} times.\n  Give the source one worker, and more to the stages behind it."
        )
    return stage


def _placed(stage: PlannedStage, on: Executor) -> PlannedStage:
    """On this executor, if it has named none of its own; a source on one worker of it."""
    if stage.on is not DEFAULT:
        return stage
    if stage.role is Role.SOURCE and on.workers > 1:
        on = replace(on, workers=1)  # type: ignore[type-var]  # executors are frozen dataclasses
    return replace(stage, on=on)


def _iterable(items: Iterable[Any], name: str) -> PlannedStage:
    yields = checks.check_iterable(items)
    once = _ReadOnce(name) if isinstance(items, Iterator) else None
    return replace(_planned(Role.SOURCE, name, Source(iter, (items,)), Inline(), None, False, yields), before_run=once)


def _planned(
    role: Role, name: str, call: Bound, on: Executor, in_flight: int | None, may_stop: bool, yields: Any
) -> PlannedStage:
    if in_flight is not None:
        checks.check_count(in_flight, name, "in_flight", advice="Leave it out to bound the channel by bytes.")
    _check_executor(on, name)
    return PlannedStage(role, name, call, on, in_flight, may_stop, yields, show(yields))


def _check_grace(grace: object) -> None:
    if isinstance(grace, bool) or not isinstance(grace, (int, float)) or not 0 <= grace < float("inf"):
        raise StageOptionError(f"grace must be a number of seconds of at least 0 but got: {grace!r}.")


def _check_executor(on: object, name: str) -> None:
    if isinstance(on, type) or not hasattr(on, "start"):
        raise StageOptionError(
            f"stage {name!r}: on must be an executor but got: {on!r}.\n  For example on=Processes(2) or on=Threads(8)."
        )


class _ReadOnce:
    """An iterator gives its items once: a second run would silently find none."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._was_read = False

    def __call__(self) -> None:
        if self._was_read:
            raise StageOptionError(
                f"this pipeline reads {self._name!r}, an iterator that an earlier run has used up.\n"
                "  To run it again, give it a list, or a function that makes the items: Pipeline(source(fn, ...))."
            )
        self._was_read = True

"""Planned stages made of what a user passes: functions, iterables, executors and options, each checked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, cast

from ..errors import StageOptionError, StageTypeError
from ..executors.base import Executor
from ..executors.blocking import blocking
from ..executors.inline import Inline
from ..executors.processes import Processes
from ..hints.annotations import UNKNOWN, Hint
from ..hints.display import show
from ..hints.objects import is_a
from ..lazy_dataclass import replace
from ..messages.names import Role
from ..plan import generator_stages
from ..plan.bound import Bound, Source, Stage
from ..plan.generator_stages import of_several
from ..plan.item_checks import CheckedItems, CheckedResult
from ..plan.nested_source import NestedSource
from ..plan.operators import Each, Filter, FlatMap, Map, Operator, Tap
from ..plan.per_worker import PerWorker
from ..plan.placement import AUTO, Placement, Workers, check_seconds
from ..plan.planned_stage import PlannedStage
from ..plan.variables import check_env
from ..policies import is_policy
from . import checks
from .checked_function import CheckedFunction
from .checked_item_function import CheckedItemFunction, CheckedPart
from .checked_per_worker import CheckedPerWorker
from .forgotten_results import warn_of_none
from .problems import Problems
from .split_checks import check_split

__all__ = [
    "DEFAULT",
    "MIN_WAIT",
    "bounded",
    "check_amount",
    "check_executor",
    "check_known",
    "check_part",
    "check_synchronous",
    "checked",
    "inlined",
    "known_executor",
    "named",
    "names",
    "placed",
    "placements",
    "planned",
    "planned_iterable",
    "planned_operator",
    "planned_source",
    "resized",
    "yielding",
]

CHECKS: dict[type[Operator[Any, Any]], Callable[[CheckedItemFunction, str, str | None, Problems], Any]] = {
    Map: checks.check_map,
    Filter: checks.check_filter,
    FlatMap: checks.check_flat_map,
    Tap: checks.check_tap,
    Each: checks.check_each,
}
# What an executor must have besides `start`.
OF_EXECUTORS = ("workers", "capabilities")
# Seconds; about the time that waking up a worker takes.
MIN_WAIT = 0.001
# The executor of stages that name none. It is compared by identity with those of the user.
DEFAULT: Executor = Processes()


def planned_source(
    bound: Source[Any], on: Executor, name: str, strict: bool, each_worker: bool, problems: Problems
) -> PlannedStage:
    """A source function, planned on one worker. Its problems are collected."""
    on = known_executor(on, name, problems)
    yields = checks.check_source(bound, name, problems, on.capabilities.runs_async)
    if strict:
        check_known(problems, CheckedFunction(bound, name, "source", awaits=on.capabilities.runs_async), yields)
    return replace(planned(Role.SOURCE, name, bound, on, yields), each_worker=each_worker)


def check_amount(stage: PlannedStage) -> None:
    """Raise StageOptionError if several workers would each do the work of one."""
    on = stage.on
    if on.workers == 1:
        return
    if stage.role is Role.SOURCE and (on.workers == AUTO or not stage.each_worker):
        times = "as often as there are workers" if on.workers == AUTO else f"{on.workers} times"
        raise StageOptionError(
            f"{stage.label} cannot run on {on!r}: each worker would run all of it, so that every item came "
            f"{times}.\n  Give the source one worker, and more to the stages behind it. If that is meant, "
            "write Pipeline(..., each_worker=True)."
        )
    wrong = of_several(stage.call)
    if wrong is not None:
        raise StageOptionError(f"{stage.label} cannot run on {on!r}: {wrong}. Give it one.")


def resized(stage: PlannedStage, workers: Mapping[str, Workers]) -> PlannedStage:
    """Stages with the given numbers of workers, by name; also inside nested pipelines."""
    if isinstance(stage.call, NestedSource):
        return replace(stage, call=stage.call.changed(partial(resized, workers=workers)))
    if stage.name not in workers:
        return stage
    if stage.on.capabilities.shares_thread:
        raise StageOptionError(
            f"{stage.label} runs on {stage.on!r}, which has no workers to count.\n"
            "  Give it an executor that has: on=Processes(2), or on=Threads(8)."
        )
    on = replace(stage.on, workers=workers[stage.name])  # type: ignore[type-var]  # executors are frozen dataclasses
    stage = replace(stage, on=on, is_free=False)
    check_amount(stage)
    return stage


def placed(stage: PlannedStage, on: Executor) -> PlannedStage:
    """A stage on this executor if it has no other; on one worker if several are not possible."""
    if isinstance(stage.call, NestedSource):
        return replace(stage, call=stage.call.changed(partial(placed, on=on)))
    if stage.on is not DEFAULT:
        return stage
    if on.capabilities.runs_async:
        raise StageOptionError(
            f"{stage.label} cannot run on {on!r}, which runs async functions.\n"
            "  Only stages that name it run on Tasks; place the others with on=Threads(8) or on=Processes()."
        )
    if on.workers != 1 and (stage.role is Role.SOURCE or of_several(stage.call) is not None):
        on = replace(on, workers=1)  # type: ignore[type-var]  # executors are frozen dataclasses
    return replace(stage, on=on, is_free=not on.capabilities.shares_thread)


def planned_iterable(items: Iterable[Any], name: str, strict: bool, problems: Problems) -> PlannedStage:
    """An iterable, planned as a source. An iterator can be read by one run only. Its problems are collected."""
    yields: Any = UNKNOWN
    with problems:
        yields = checks.check_iterable(items)
        if strict and yields is UNKNOWN:
            raise StageTypeError(
                f"Pipeline({name}, strict=True) yields what nobody knows: a {name} does not say what is in it.\n"
                "  Give it a function that does: Pipeline(source(function), strict=True)."
            )
    once = _ReadOnce(name) if isinstance(items, Iterator) else None
    return replace(planned(Role.SOURCE, name, Source(iter, (items,)), Inline(), yields), before_run=once)


def planned(role: Role, name: str, call: Bound, on: Executor, yields: Any, may_stop: bool = False) -> PlannedStage:
    """A checked stage as a planned one."""
    return PlannedStage(role, name, call, on, None, may_stop, yields, show(yields), is_free=on is DEFAULT)


def yielding(stage: PlannedStage, yields: Hint) -> PlannedStage:
    """The same stage with another hint of its items."""
    return replace(stage, yields=yields, yields_text=show(yields))


def named(name: str | None, own: str, problems: Problems) -> str:
    """The stage with a name: the given one, or that of its function. An invalid name is a collected problem."""
    with problems:
        checks.check_name(name)
        return name or own
    return own


def bounded(stage: PlannedStage, in_flight: int | None, problems: Problems) -> PlannedStage:
    """The stage with a bound on items in flight. An invalid bound is a collected problem."""
    if in_flight is None:
        return stage
    with problems:
        advice = "Leave it out to bound the channel by bytes."
        return replace(stage, in_flight=checks.check_count(in_flight, stage.name, "in_flight", advice=advice))
    return stage


def planned_operator(
    operator: Operator[Any, Any],
    last: PlannedStage,
    on: Executor,
    name: str | None,
    problems: Problems,
    *,
    strict: bool,
    returns: Any = None,
) -> PlannedStage:
    """An operator, planned behind this stage. Its problems are collected."""
    name = named(name, operator.name, problems)
    on = known_executor(on, name, problems)
    with problems:
        checks.check_flag(operator.ordered, f"stage {name!r}: ordered")
    with problems:
        _check_policy(operator.policy)
    with problems:
        _check_timeout(operator.timeout, on, name)
    kind = CheckedItemFunction if operator.factory is None else CheckedPerWorker
    function = kind(operator, name, operator.verb, last.yields, on.capabilities.runs_async, returns)
    yields: Any = UNKNOWN
    with problems:
        _check_unbound(operator.function)
        yields = CHECKS[type(operator)](function, last.name, last.call.where, problems)
        check_split(operator, name, last.yields, last.name, yields)
        warn_of_none(last, name, function.takes)
        if strict:
            check_known(problems, function, yields)
    role = Role.SINK if isinstance(operator, Each) else Role.STAGE
    return planned(role, name, operator, on, yields)


def check_known(problems: Problems, function: CheckedFunction, yields: Any) -> None:
    """Collect the problem that a strict pipeline does not know the result of a stage, unless it has another problem."""
    if not problems:
        with problems:
            function.check_known(yields)


def check_part(function: Any, verb: str, last: PlannedStage, option: str = "") -> Hint:
    """Check a function of one item that a generator stage calls. Returns the hint of the items for which it is true.

    verb: the method that adds the stage. option: `key=` if that is how the function is passed.
    """
    _check_unbound(function)
    bound: Bound = Stage(function)
    part = CheckedPart(bound, bound.name, verb, last.yields, option=option)
    problems = Problems()
    kept = checks.check_filter(part, last.name, last.call.where, problems)
    problems.tell()
    return kept


def _check_unbound(function: object) -> None:
    if is_a(function, Bound) and not is_a(function, PerWorker):
        raise StageTypeError(
            f"a function of one item is to be given as it is but got: {function!r}.\n"
            "  Bind further arguments with functools.partial."
        )


def _check_policy(policy: object) -> None:
    if not is_policy(policy):
        raise StageOptionError(
            f"on_error must be a policy but got: {policy!r}.\n  For example on_error=Skip(ValueError), or Retry(3)."
        )


def _check_timeout(timeout: float | None, on: Executor, name: str) -> None:
    if timeout is None:
        return
    check_seconds(timeout, f"stage {name!r}: timeout", least=MIN_WAIT)
    if not on.capabilities.can_stop_calls:
        raise StageOptionError(
            f"stage {name!r}: timeout= cannot work on {on!r}: a thread cannot be stopped in the middle of a call.\n"
            "  Run it on Processes, where the worker is replaced, or as an async function on Tasks."
        )


def check_synchronous(on: Executor, name: str) -> None:
    """Raise StageOptionError if a stage of all items is to run as async tasks."""
    if on.capabilities.runs_async:
        raise StageOptionError(
            f"{name!r} cannot run on {on!r}: it takes all items, and Tasks has many in hand at once.\n"
            "  Use .map(), .filter(), .flat_map(), .tap() or .each() there, or another executor here."
        )


def inlined(stage: PlannedStage) -> PlannedStage:
    """The same stage in the caller's thread, as a plain function."""
    call = stage.call
    if isinstance(call, NestedSource):
        return replace(stage, call=call.inlined(inlined))
    if stage.on.capabilities.runs_async:
        call = replace(call, function=blocking(call.function))
    return replace(stage, on=Inline(), call=call, is_free=False)


def checked(stage: PlannedStage) -> PlannedStage:
    """The same stage with a check of every item that it makes, if it declares a type."""
    call = stage.call
    if isinstance(call, NestedSource):
        return replace(stage, call=call.changed(checked))
    # The items of the library's own stages need no check.
    is_own = getattr(call.function, "__module__", None) == generator_stages.__name__
    if stage.role is Role.SINK or isinstance(call, (Filter, Tap)) or stage.yields is UNKNOWN or is_own:
        return stage
    kind = CheckedResult if isinstance(call, Map) else CheckedItems
    check = partial(kind, hint=stage.yields, text=stage.yields_text)
    made = call.function
    function = replace(made, adapters=(*made.adapters, check)) if is_a(made, PerWorker) else check(made)
    return replace(stage, call=replace(call, function=function))


def placements(stage: PlannedStage) -> Iterator[Placement]:
    """The executor of this stage, or those of the runs inside it."""
    if isinstance(stage.call, NestedSource):
        for part in stage.call.parts:
            for each in part:
                yield from placements(each)
    else:
        yield stage.on


def names(stages: Sequence[PlannedStage]) -> str:
    """The names of the stages as a text."""
    return " -> ".join(stage.name for stage in stages)


def known_executor(on: Executor, name: str, problems: Problems) -> Executor:
    """The executor, or the default one and a collected problem if it is none."""
    with problems:
        check_executor(on, name)
        return on
    return DEFAULT


def check_executor(on: object, name: str) -> None:
    """Raise StageOptionError unless this is an executor, with valid variables for its workers."""
    if isinstance(on, type) or not hasattr(on, "start"):
        raise StageOptionError(
            f"stage {name!r}: on must be an executor but got: {on!r}.\n  For example on=Processes(2) or on=Threads(8)."
        )
    missing = [each for each in OF_EXECUTORS if not hasattr(on, each)]
    if missing:
        raise StageOptionError(
            f"stage {name!r}: on={on!r} is no whole executor: it has no {', '.join(missing)}.\n"
            "  Derive it from chainpump.extending.ProgramExecutor, which has all of that: see docs/extending.md."
        )
    # It has all members of an executor.
    check_env(cast("Executor", on), f"stage {name!r}")


class _ReadOnce:
    """An iterator as a source. A second run is refused, since it would find no items."""

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

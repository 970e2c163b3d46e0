"""Functions of one item, with what is injected into them by the names of their parameters.

Everything here is a class at the top level, so that it can be pickled for a worker process that is spawned.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import TracebackType
from typing import Any, NamedTuple, TypeAlias

from ...lazy_dataclass import dataclass
from ...worker.current_worker import current_worker
from .deadlines import Expired, called_within
from .namespaces import SharedNamespace

__all__ = [
    "WORKER_INFO",
    "Adapter",
    "Calls",
    "Dropping",
    "Function",
    "Indexed",
    "IndexedEach",
    "OneWorker",
    "StageStatus",
    "Whole",
    "WorkerInfo",
    "checked_values",
    "finished",
    "injected",
    "takes_index",
    "takes_status",
]

Function: TypeAlias = Callable[..., Any]
# Makes a function of an item of the pipeline of a function of a value.
Adapter: TypeAlias = Callable[[Function], Function]

ELEMENT_INDEX = "element_index"
WORKER_INFO = "worker_info"
STAGE_STATUS = "stage_status"


class WorkerInfo(NamedTuple):
    """The worker that runs a function. index: its number among the workers of the stage, counted from 0."""

    # The reason is the same as in `Element`.
    index: int  # type: ignore[assignment]


class StageStatus(NamedTuple):
    """How a stage is when a worker has finished. active_workers: how many workers of it have not finished."""

    active_workers: int

    @property
    def done(self) -> bool:
        """Whether this worker is the last one. This is so for one worker exactly."""
        return not self.active_workers

    def __str__(self) -> str:
        return f"StageStatus(done = {self.done}, active_workers = {self.active_workers})"


def parameters_of(function: Function) -> tuple[str, ...]:
    """Return the names of the parameters of a function; none for a function that does not tell them, such as `int`."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return ()
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return tuple(each.name for each in parameters if each.kind in by_name)


def takes_index(function: Function) -> bool:
    """Whether a function of one item has a parameter for the index."""
    return ELEMENT_INDEX in parameters_of(function)[1:]


def injected(function: Function, values: Mapping[str, Any], skip: int = 0) -> dict[str, Any]:
    """Return those values that the function has parameters for. skip: parameters that get something else."""
    return {name: values[name] for name in parameters_of(function)[skip:] if name in values}


@dataclass(frozen=True, slots=True)
class Calls:
    """The function of a stage, and what its workers call at their start and at their end.

    adapt: makes a function of an item of the pipeline of it. indexed: whether such an item is a pair of an index and a
    value. limit: seconds for one call, if this module has to end it. status: the number of workers that have not
    finished.
    """

    function: Function
    adapt: Adapter
    indexed: bool
    on_start: Function | None = None
    on_done: Function | None = None
    limit: float | None = None
    status: SharedNamespace | None = None

    @property
    def is_plain(self) -> bool:
        """Whether every worker can use the same function."""
        takes_worker = WORKER_INFO in parameters_of(self.function)[1:]
        return not (self.on_start or self.on_done or takes_worker or self.limit)

    def bound(self, values: Mapping[str, Any]) -> Function:
        """Return the function of an item of the pipeline. values: what may be injected."""
        function, given = self.function, injected(self.function, values, skip=1)
        if given:
            function = partial(function, **given)
        if takes_index(self.function):
            return self.adapt(_WithIndex(function))
        return self.adapt(_OfPair(function) if self.indexed else function)


class OneWorker:
    """One worker of a stage, as a context manager.

    It calls `on_start` at its start, and `on_done` when it has finished: not after a failure, and not if the run was
    left early.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._function: Function
        self._values: dict[str, Any] = {}

    def __enter__(self) -> Function:
        self._start()
        return self._function if self._calls.limit is None else self._limited

    def _start(self) -> None:
        values: dict[str, Any] = {WORKER_INFO: WorkerInfo(current_worker().number)}
        on_start = self._calls.on_start
        if on_start is not None:
            values |= checked_values(on_start(**injected(on_start, values)), on_start)
        self._values = values
        self._function = self._calls.bound(self._values)

    def _limited(self, item: Any) -> Any:
        try:
            return called_within(self._calls.limit or 0.0, self._function, item)
        except Expired:
            # A new worker would start like this.
            self._start()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            finished(self._calls, self._values)


def checked_values(made: Any, on_start: Function) -> dict[str, Any]:
    """Return what `on_start` has returned as a dict; None is an empty one. Raises TypeError for anything else."""
    if made is None:
        return {}
    if isinstance(made, Mapping):
        return dict(made)
    name = getattr(on_start, "__name__", repr(on_start))
    raise TypeError(f"on_start must return a dict of arguments, or None, but {name!r} returned: {made!r}.")


def finished(calls: Calls, values: Mapping[str, Any]) -> Any:
    """Count the worker as finished, and call `on_done`. Returns what it returns."""
    on_done = calls.on_done
    if on_done is None:
        return None
    if calls.status is not None:
        with calls.status as status:
            status.active_workers -= 1
            left: int = status.active_workers
        values = {STAGE_STATUS: StageStatus(left), **values}
    return on_done(**injected(on_done, values))


def takes_status(on_done: Function | None) -> bool:
    """Whether `on_done` has a parameter for the status of the stage."""
    return on_done is not None and STAGE_STATUS in parameters_of(on_done)


@dataclass(frozen=True, slots=True)
class _OfPair:
    """A function of a value, as one of a pair."""

    function: Function

    def __call__(self, pair: tuple[Any, Any]) -> Any:
        return self.function(pair[1])


@dataclass(frozen=True, slots=True)
class _WithIndex:
    """A function of a value and its index, as one of a pair."""

    function: Function

    def __call__(self, pair: tuple[Any, Any]) -> Any:
        return self.function(pair[1], **{ELEMENT_INDEX: pair[0]})


@dataclass(frozen=True, slots=True)
class Indexed:
    """The result of a function of a pair, with the index of the pair."""

    function: Function

    def __call__(self, pair: tuple[Any, Any]) -> Any:
        """Call it."""
        return pair[0], self.function(pair)


@dataclass(frozen=True, slots=True)
class IndexedEach:
    """The results of a function of a pair, each with its own index."""

    function: Function

    def __call__(self, pair: tuple[Any, Any]) -> Iterable[Any]:
        """Call it."""
        for number, result in enumerate(self.function(pair)):
            yield (*pair[0], number), result


@dataclass(frozen=True, slots=True)
class Whole:
    """All results of a function in a list: its time is the time in which they are made."""

    function: Function

    def __call__(self, item: Any) -> list[Any]:
        """Call it."""
        return list(self.function(item))


@dataclass(frozen=True, slots=True)
class Dropping:
    """A function whose result is ignored: no item stays."""

    function: Function

    def __call__(self, item: Any) -> bool:
        """Call it."""
        self.function(item)
        return False

"""Where a stage runs: what an executor declares about its workers, and the consequences for a plan."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal, Protocol, TypeAlias

from ..errors import StageOptionError
from ..ipc.cpus import processors
from ..lazy_dataclass import dataclass, field

__all__ = [
    "AUTO",
    "Capabilities",
    "Env",
    "Placement",
    "StartMethod",
    "Workers",
    "any_forks",
    "check_whole",
    "check_workers",
    "copies_of",
    "items_at_once",
]

AUTO: Final = "auto"
# The most workers of one auto stage. Each possible worker takes two descriptors from the start.
MOST_AUTO = 32
Workers: TypeAlias = int | Literal["auto"]
# The same variables for each worker, or a function of the worker's number from 0.
Env: TypeAlias = Mapping[str, str] | Callable[[int], Mapping[str, str]]
StartMethod = Literal["forkserver", "spawn", "fork"]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the workers of an executor can do, and what they share with others. The defaults describe a thread.

    own_process: whether each worker is a process of this machine, which can be killed at any moment. Then items reach
    it as bytes, its functions may have a timeout, and the library sets up its logs and random numbers.
    pickles_functions: whether functions and their arguments reach a worker as pickles, and the worker imports the main
    file of the program to find the objects that they refer to. A forked process has these objects already.
    restarts: how often each worker of an element-wise stage is replaced when its process dies.
    recycle_after, recycle_above: the items and the bytes of memory after which a fresh worker takes a worker's place.
    runs_async: whether functions are async. One worker runs an event loop and processes `workers` items at once.
    shares_thread: whether neighbouring stages run in one thread; at the end of a pipeline it is the caller's own
    thread.
    env: environment variables that each worker process gets besides those of the program.
    can_be_kept: whether the processes can run further workers after this run, inside `warm()`. The executor has the
    method `start_kept` then.
    """

    own_process: bool = field(default=False, kw_only=True)
    pickles_functions: bool = field(default=False, kw_only=True)
    restarts: int = field(default=0, kw_only=True)
    recycle_after: int | None = field(default=None, kw_only=True)
    recycle_above: int | None = field(default=None, kw_only=True)
    runs_async: bool = field(default=False, kw_only=True)
    shares_thread: bool = field(default=False, kw_only=True)
    env: Env | None = field(default=None, kw_only=True)
    can_be_kept: bool = field(default=False, kw_only=True)

    @property
    def can_stop_calls(self) -> bool:
        """Return whether a call can be stopped in the middle, which a timeout requires."""
        return self.own_process or self.runs_async

    @property
    def recycles(self) -> bool:
        """Return whether workers retire, and fresh ones take their places."""
        return self.recycle_after is not None or self.recycle_above is not None

    @property
    def forks(self) -> bool:
        """Return whether a worker begins as a copy of the main process."""
        return self.own_process and not self.pickles_functions


class Placement(Protocol):
    """The properties of an executor that a plan needs; `executors.base.Executor` adds how to start a worker."""

    @property
    def workers(self) -> Workers:
        """Return how many items are processed at once; "auto" if measurements decide the number."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """Return what its workers can do, and what they share with others. By default, they are threads."""
        ...


def copies_of(on: Placement) -> int:
    """Return the maximum number of workers.

    For auto stages it is at least two everywhere, so that a plan is the same on any machine.
    """
    if on.capabilities.runs_async:
        return 1
    return max(2, min(processors(), MOST_AUTO)) if on.workers == AUTO else on.workers


def items_at_once(on: Placement) -> int:
    """Return the maximum number of items that all its workers process at once."""
    return copies_of(on) if on.workers == AUTO else on.workers


def any_forks(placements: Iterable[Placement]) -> bool:
    """Return whether workers of any of these executors begin as copies of the main process."""
    return any(each.capabilities.forks for each in placements)


def check_whole(value: object, what: str, least: int) -> None:
    """Raise StageOptionError unless this is an integer that is not below the minimum."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise StageOptionError(f"{what} must be a whole number of at least {least} but got: {value!r}.")


def check_workers(executor: object, workers: object, or_auto: bool = False) -> None:
    """Raise StageOptionError unless the number of workers is at least one, or "auto" if the executor supports it."""
    if or_auto and isinstance(workers, str) and workers == AUTO:
        return
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        name = type(executor).__name__
        more = f'{name}("auto") runs as many as are of use' if or_auto else f"{name}(100) deals with a hundred at once"
        raise StageOptionError(
            f"{name}: workers must be a whole number of at least 1 but got: {workers!r}.\n"
            f"  {name}() runs one worker; {more}."
        )

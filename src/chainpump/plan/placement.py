"""Where a stage runs: what an executor declares about its workers, and the consequences for a plan."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal, Protocol, TypeAlias

from ..errors import StageOptionError
from ..ipc.cpus import processors
from ..lazy_dataclass import dataclass, field

__all__ = [
    "AUTO",
    "LEAST_LOST_AFTER",
    "LOST_AFTER",
    "Capabilities",
    "Env",
    "Placement",
    "StartMethod",
    "Workers",
    "any_forks",
    "check_seconds",
    "check_whole",
    "check_workers",
    "copies_of",
    "items_at_once",
]

AUTO: Final = "auto"
# The most workers of one auto stage. Each possible worker takes two descriptors from the start.
MOST_AUTO = 32
# Seconds of silence after which another machine counts as lost, and the shortest such time.
LOST_AFTER = 5.0
LEAST_LOST_AFTER = 2.0
Workers: TypeAlias = int | Literal["auto"]
# The same variables for each worker, or a function of the worker's number from 0.
Env: TypeAlias = Mapping[str, str] | Callable[[int], Mapping[str, str]]
StartMethod = Literal["forkserver", "spawn", "fork"]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the workers of an executor can do, and what they share with others. The defaults describe a thread.

    own_process: whether each worker is a process of this machine, which can be killed at any moment. Then items reach
    it as bytes, its functions may have a timeout, and the library sets up its logs and random numbers. Other code asks
    for these consequences, each of which is a property.
    pickles_functions: whether functions and their arguments reach a worker as pickles, and the worker imports the main
    file of the program to find the objects that they refer to. A forked process has these objects already.
    restarts: how often each worker of an element-wise stage is replaced when its process dies.
    recycle_after, recycle_above: the items and the bytes of memory after which a fresh worker takes a worker's place.
    runs_async: whether functions are async. One worker runs an event loop and processes `workers` items at once.
    shares_thread: whether neighbouring stages run in one thread; at the end of a pipeline it is the caller's own
    thread.
    env: environment variables that each worker process gets besides those of the program.
    elsewhere: whether its workers run on other machines. The executor then has the method `elsewhere` in place of
    `start`: see `engine.elsewhere`.
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
    elsewhere: bool = field(default=False, kw_only=True)

    @property
    def has_own_interpreter(self) -> bool:
        """Return whether a worker shares neither memory nor the interpreter lock with the process that starts it.

        Then items reach it as bytes, and it needs a log pipe, the surroundings of the program and a seed.
        """
        return self.own_process

    @property
    def has_own_pid(self) -> bool:
        """Return whether this machine counts the processor time of each worker under a process id of its own."""
        return self.own_process and not self.elsewhere

    @property
    def can_be_killed(self) -> bool:
        """Return whether a worker can be ended at any moment, and another one can go on with its items."""
        return self.own_process

    @property
    def can_stop_calls(self) -> bool:
        """Return whether a call can be stopped in the middle, which a timeout requires."""
        return self.can_be_killed or self.runs_async

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


def check_seconds(value: object, what: str, least: float = 0) -> None:
    """Check an option that is a time: raises StageOptionError unless it is a finite number, at least `least`."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value < float("inf"):
        raise StageOptionError(f"{what} must be a number of seconds of at least {least:g} but got: {value!r}.")


def check_workers(executor: object, workers: object, or_auto: bool = False, elsewhere: bool = False) -> None:
    """Raise StageOptionError unless the number of workers is at least one, or "auto" if the executor supports it.

    elsewhere: whether they run on other machines.
    """
    if or_auto and isinstance(workers, str) and workers == AUTO:
        return
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        name = type(executor).__name__
        advice = f"{name}() runs one worker; {name}(100) deals with a hundred at once."
        if or_auto:
            advice = f'{name}() runs one worker; {name}("auto") runs as many as are of use.'
        elif elsewhere:
            advice = 'It is the number on all machines together. "auto" watches the processors of one machine only.'
        raise StageOptionError(
            f"{name}: workers must be a whole number of at least 1 but got: {workers!r}.\n  {advice}"
        )

"""Where a stage runs: what an executor declares about its workers, and what follows from that."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, Protocol, TypeAlias

from ..errors import StageOptionError
from ..ipc.cpus import processors
from ..lazy_dataclass import dataclass, field

__all__ = [
    "AUTO",
    "Capabilities",
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
# Workers of one auto stage: each that may come takes two descriptors from the start.
MOST_AUTO = 32
Workers: TypeAlias = int | Literal["auto"]
StartMethod = Literal["forkserver", "spawn", "fork"]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the workers of an executor can do, and what they share with others. The defaults describe a thread.

    own_process: each worker is a process of this machine, and can be killed at any moment. So items reach it as
    bytes, its functions may have a timeout, and its logs and random numbers are set up by the library.
    pickles_functions: functions and their arguments reach a worker as pickles, and the worker imports the program's
    main file to find what they refer to. A process that is forked has them already.
    restarts: how often each worker of an element-wise stage is replaced when its process dies.
    runs_async: functions are async. One worker runs an event loop, and deals with `workers` items at once.
    shares_thread: neighbouring stages run in one thread; at the end of a pipeline it is the caller's own.
    """

    own_process: bool = field(default=False, kw_only=True)
    pickles_functions: bool = field(default=False, kw_only=True)
    restarts: int = field(default=0, kw_only=True)
    runs_async: bool = field(default=False, kw_only=True)
    shares_thread: bool = field(default=False, kw_only=True)

    @property
    def can_stop_calls(self) -> bool:
        """Whether a function can be stopped in the middle of a call, as a timeout needs it."""
        return self.own_process or self.runs_async

    @property
    def forks(self) -> bool:
        """Whether a worker begins as a copy of the main process."""
        return self.own_process and not self.pickles_functions


class Placement(Protocol):
    """What a plan needs to know of an executor; `executors.base.Executor` adds how to start a worker."""

    @property
    def workers(self) -> Workers:
        """How many items are dealt with at once; "auto" for as many as measured figures call for."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What its workers can do, and what they share with others."""
        ...


def copies_of(on: Placement) -> int:
    """How many workers there may be, at most.

    Of auto ones there are at least two everywhere, so that a plan is the same on any machine.
    """
    if on.capabilities.runs_async:
        return 1
    return max(2, min(processors(), MOST_AUTO)) if on.workers == AUTO else on.workers


def items_at_once(on: Placement) -> int:
    """How many items all its workers deal with at once, at most."""
    return copies_of(on) if on.workers == AUTO else on.workers


def any_forks(placements: Iterable[Placement]) -> bool:
    """Whether workers of any of these begin as copies of the main process."""
    return any(each.capabilities.forks for each in placements)


def check_whole(value: object, what: str, least: int) -> None:
    """Raise StageOptionError unless this is a whole number of at least so much."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise StageOptionError(f"{what} must be a whole number of at least {least} but got: {value!r}.")


def check_workers(executor: object, workers: object, or_auto: bool = False) -> None:
    """Raise StageOptionError unless an executor was asked for at least one worker, or "auto" where that is known."""
    if or_auto and isinstance(workers, str) and workers == AUTO:
        return
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        name = type(executor).__name__
        more = f'{name}("auto") runs as many as are of use' if or_auto else f"{name}(100) deals with a hundred at once"
        raise StageOptionError(
            f"{name}: workers must be a whole number of at least 1 but got: {workers!r}.\n"
            f"  {name}() runs one worker; {more}."
        )

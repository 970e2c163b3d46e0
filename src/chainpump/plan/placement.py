"""Where a stage runs: what a plan needs to know of an executor, and how many workers it may have."""

from __future__ import annotations

from enum import IntEnum
from typing import Final, Literal, Protocol, TypeAlias

from ..errors import StageOptionError
from ..ipc.cpus import processors

__all__ = ["AUTO", "Placement", "Reach", "Workers", "check_whole", "check_workers", "copies_of"]

AUTO: Final = "auto"
MOST_AUTO = 32  # workers of one auto stage: each that may come takes two descriptors from the start
Workers: TypeAlias = int | Literal["auto"]


class Reach(IntEnum):
    """How far the workers of an executor are from the main process; a junction needs the farther of its two."""

    THREAD = 0
    HOST = 1


class Placement(Protocol):
    """What a plan needs to know of an executor; `executors.base.Executor` adds how to start a worker."""

    @property
    def workers(self) -> Workers:
        """How many items are dealt with at once; "auto" for as many as measured figures call for."""
        ...

    @property
    def copies(self) -> int:
        """How many workers there may be for that, at most; one event loop deals with many items."""
        ...

    @property
    def reach(self) -> Reach:
        """How far the workers are from the main process."""
        ...

    @property
    def pickles(self) -> bool:
        """Whether functions and their arguments are pickled on their way to a worker."""
        ...

    @property
    def imports_main(self) -> bool:
        """Whether workers import the program's main file."""
        ...

    @property
    def restarts(self) -> int:
        """How often each worker of an element-wise stage is replaced when its process dies."""
        ...

    @property
    def awaits(self) -> bool:
        """Whether functions are async, and run in an event loop."""
        ...

    @property
    def joins(self) -> bool:
        """Whether neighbouring stages share one worker, and the last of them the caller's thread."""
        ...


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


def copies_of(workers: Workers) -> int:
    """How many there may be: of auto ones at least two everywhere, so that a plan is the same on any machine."""
    return max(2, min(processors(), MOST_AUTO)) if workers == AUTO else workers

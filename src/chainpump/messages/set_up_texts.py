"""The texts of set-ups and tear-downs of workers that fail."""

from __future__ import annotations

from ..errors import Failure, StageError
from .call_stacks import user_traceback
from .names import WorkerName, text_of
from .printable import printable

__all__ = ["not_set_up", "not_torn_down"]


def not_set_up(who: WorkerName, pid: int, factory: str, error: BaseException, what: str = "") -> Failure:
    """A factory has not made the function of a worker. what: what it did; the default is that it raised the error."""
    return _failure(who, pid, "could not be set up", factory, error, what)


def not_torn_down(who: WorkerName, pid: int, factory: str, error: BaseException) -> Failure:
    """What a factory has made could not be left at the end of a worker."""
    return _failure(who, pid, "could not be torn down", factory, error)


def _failure(who: WorkerName, pid: int, how: str, factory: str, error: BaseException, what: str = "") -> Failure:
    first, *rest = text_of(error).splitlines()
    told = what or f"raised {type(error).__name__}: {first}"
    return who.failure(
        StageError,
        pid,
        f"{who.placed(pid)} {how}: {printable(factory)} {told}",
        *([] if what else rest),
        who.definition(),
        traceback=user_traceback(error),
    )

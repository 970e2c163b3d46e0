"""The texts of failures of a run as a whole: it was cancelled, or it was used where it cannot be used."""

from __future__ import annotations

import os

from ..errors import Failure, RunCancelledError, RunError
from .names import WorkerName

__all__ = ["asked_within", "cancelled", "forked_off", "left", "told", "waited_within"]


def cancelled(who: WorkerName, thread: str, where: str) -> Failure:
    """The program has called `cancel()`. thread: the name of the thread. where: the line of the call, `file:line`."""
    return who.failure(
        RunCancelledError,
        None,
        f"the run was cancelled: cancel() was called at {where} in thread {thread!r}.",
        "No stage has failed. Catch RunCancelledError where a cancelled run is no error.",
    )


def left(who: WorkerName) -> Failure:
    """The run was closed, and is used after that, or in another thread."""
    return who.failure(
        RunCancelledError,
        None,
        "the run was closed before its end.",
        "Use it inside its `with` block, or start another run.",
    )


def asked_within(who: WorkerName) -> Failure:
    """A stage, or a signal handler that interrupted it, iterates the run that it belongs to, in the same thread."""
    return who.failure(
        RunError,
        None,
        "the run was asked for an item by its own stage, or by a signal handler that broke into it.",
        "No item can come of that. Iterate another run of the pipeline there.",
    )


def waited_within(who: WorkerName) -> Failure:
    """A stage, a function for dead letters, or a signal handler that interrupted one, waits for the end of its run."""
    return who.failure(
        RunError,
        None,
        "one of its own functions, or a signal handler that interrupted one, waits for the end of the run.",
        "The run cannot end before this function returns. Wait in another thread; cancel() does not wait.",
    )


def told(chain: str, line: str) -> str:
    """The note of an exception that ends a run: the run in one line, and where the rest is."""
    return f"{chain}: {line}. chainpump.report_of(error) is the report, with its dead letters."


def forked_off(who: WorkerName, owner: int) -> Failure:
    """A forked process uses a run of its parent."""
    return who.failure(
        RunError,
        None,
        f"the run belongs to process {owner}, and this is process {os.getpid()}, which was forked off.",
        "Use it where it was opened, or start another run in this process.",
    )

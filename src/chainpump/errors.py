"""Every error of the library, and the record of one failure. This module imports nothing from the package.

PipelineError
├─ PlanError            before anything starts: StageTypeError, StageOptionError
├─ JournalError         the journal of a durable run cannot be used, or does not belong to this pipeline and its input
├─ RemoteError          replaces an exception that cannot be sent, in a dead letter
└─ RunError             a run ended early: StageError, WorkerLostError, StageStoppedError,
                        UnpicklableItemError, ItemTypeError, ItemTimeoutError, TooManyFailuresError, StallError,
                        LedgerError, RunCancelledError

Every class can be pickled: its fields are the positional arguments, and `__str__` builds its text.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from typing import Any, Self

from .lazy_dataclass import dataclass

__all__ = [
    "Cancelled",
    "DeadItem",
    "Failure",
    "ItemTimeoutError",
    "ItemTypeError",
    "JournalError",
    "LedgerError",
    "PipelineError",
    "PlanError",
    "RemoteError",
    "RunCancelledError",
    "RunError",
    "StageError",
    "StageOptionError",
    "StageStoppedError",
    "StageTypeError",
    "StallError",
    "TooManyFailuresError",
    "UnpicklableItemError",
    "WorkerLostError",
]


class Cancelled(BaseException):
    """Raised in a stage, by its input, when the run has been cancelled. This is not the end of the input.

    It derives from BaseException, so that `except Exception` in a stage does not swallow it. Do not catch it; use
    `finally` or `with` to clean up.
    """


class PipelineError(Exception):
    """The base class of all errors of this library."""


class PlanError(PipelineError):
    """A pipeline that cannot run. It is found while the pipeline is built: nothing has started.

    problems: the text of each problem that was found in one step of building the pipeline.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__(*problems)
        self.problems = problems

    def __str__(self) -> str:
        first, *others = self.problems or ("",)
        listed = "".join(f"\n- {other}" for other in others)
        return f"{first}\nAlso found there:{listed}" if others else first


class StageTypeError(PlanError, TypeError):
    """A stage does not fit: the element type is wrong, an annotation is missing, or arguments do not bind."""


class StageOptionError(PlanError, ValueError):
    """An option has a value that cannot work."""


class JournalError(PipelineError):
    """The journal of a durable run cannot be used: the file, another run, another pipeline or another input."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The record of one error of a run: the stage, the worker and the item. It is plain data and can always be pickled.

    error: the class of the error that is raised. role: 'source', 'stage' or 'sink'.
    worker: counted from 1; 0 if no single worker has caused the error.
    headline, details: the message, without the traceback of the worker.
    index: the number of the item in the input of the stage, counted from 0, if it is known.
    """

    error: type[RunError]
    role: str
    stage: str
    worker: int
    pid: int | None
    headline: str
    details: tuple[str, ...] = ()
    index: int | None = None
    item: str | None = None
    exit_code: int | None = None
    traceback: str = ""

    def __str__(self) -> str:
        return "\n  ".join((self.headline, *self.details))


@dataclass(frozen=True, slots=True)
class DeadItem:
    """An item that a `DeadLetter` policy has put aside.

    item: the item itself, or its short repr if it cannot be sent to the main process.
    index: its number, counted from 0 at its origin. part: which of the items with this number it is, counted from 0, in
    a stage behind a `flat_map` on workers that can be replaced; elsewhere it may be 0 for all of them.
    error: the exception of the function, never None: if it cannot be sent to the main process, a `RemoteError` with its
    type name, text and traceback takes its place.
    traceback: the traceback of the worker, as text.
    position: if a policy has split a batch, its place in the batch, counted from 0; the number is that of the batch.
    """

    stage: str
    index: int
    item: Any
    error: BaseException
    traceback: str
    part: int = 0
    position: int | None = None


class RemoteError(PipelineError):
    """The stand-in for an exception that cannot be sent to the main process: its class needs more than `args`, or is
    not there.

    >>> RemoteError("urllib.error.HTTPError", "HTTP Error 404: Not Found", {"code": 404}).code
    404

    type_name: the name of its class, such as `urllib.error.HTTPError`. text: the exception as text. The attributes of
    the exception that can be sent keep their names: `error.code`. traceback: that of the worker, as text.
    """

    def __init__(
        self, type_name: str, text: str = "", attributes: Mapping[str, Any] | None = None, traceback: str = ""
    ) -> None:
        super().__init__(type_name, text)
        vars(self).update(attributes or {}, type_name=type_name, text=text, traceback=traceback)

    type_name: str
    text: str
    traceback: str

    def __str__(self) -> str:
        return f"{self.type_name}: {self.text}" if self.text else self.type_name

    # The attributes of the exception may have any name and type. This method also tells type checkers to accept them.
    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{self.args[0]} had no attribute {name!r}, or it cannot be sent to another process")


def text_of_failures(failures: Sequence[Failure]) -> str:
    """Return the message of a failed run: the first failure, and a list of the others."""
    first, *others = failures
    if not others:
        return str(first)
    listed = "".join(f"\n- {other}" for other in others)
    return f"{first}\nAlso failed before the run had ended:{listed}"


class RunError(PipelineError):
    """A run that ended early. `failures` lists every failure; the first is the one of this error.

    report: the `Report` of the run, in the process that has run it; elsewhere None.
    """

    # Any: this module imports nothing from the package.
    report: Any = None

    def __init__(self, failure: Failure, others: Sequence[Failure] = ()) -> None:
        super().__init__(failure, tuple(others))
        self.failures: tuple[Failure, ...] = (failure, *others)

    # The report is left out, because its dead letters may contain any object. So an error can always be pickled.
    def __reduce__(self) -> tuple[type[Self], tuple[Any, ...], dict[str, Any]]:
        return (
            type(self),
            self.args,
            {key: value for key, value in vars(self).items() if key not in ("report", "progress")},
        )

    @property
    def stage(self) -> str:
        """Return the name of the stage that has failed."""
        return self.failures[0].stage

    @property
    def worker(self) -> int:
        """Return the number of the worker that has failed, counted from 1; 0 if it is not a single worker."""
        return self.failures[0].worker

    def along_with(self, others: Sequence[Failure]) -> Self:
        """Return the same error, with its cause and its notes, and with further failures listed."""
        error = type(self)(self.failures[0], (*self.failures[1:], *others))
        error.__cause__ = self.__cause__
        for note in getattr(self, "__notes__", ()):
            error.add_note(note)
        return error

    def __str__(self) -> str:
        return text_of_failures(self.failures)


class StageError(RunError):
    """A function in a stage has raised; `__cause__` is the original exception if that can be pickled."""


class WorkerLostError(RunError):
    """The process of a worker died before it reported that it had finished."""

    @property
    def pid(self) -> int | None:
        """Return the id of the process that died."""
        return self.failures[0].pid

    @property
    def exit_code(self) -> int | None:
        """Return its exit code; it is negative for a signal, as in `multiprocessing.Process.exitcode`."""
        return self.failures[0].exit_code

    @property
    def signal(self) -> signal.Signals | None:
        """Return the signal that killed it; None if it exited, or for a real-time signal without a name."""
        code = self.failures[0].exit_code
        return signal.Signals(-code) if code is not None and -code in set(signal.Signals) else None


class StageStoppedError(RunError):
    """A stage or sink without `may_stop=True` returned before its input had ended."""


class UnpicklableItemError(RunError):
    """An item cannot be pickled for another process, or unpickled there."""


class ItemTypeError(RunError, TypeError):
    """An item has not the type that its stage declares (with `check_items=True`)."""


class ItemTimeoutError(RunError, TimeoutError):
    """A function took longer for one item than its `timeout=`."""


class StallError(RunError, TimeoutError):
    """No item moved for `stall_timeout=` seconds; the message lists the status of every worker.

    progress: the `Progress` of the run at that moment; it exists in the same process as `report`.
    """

    # Any: this module imports nothing from the package.
    progress: Any = None


class TooManyFailuresError(RunError):
    """More items failed than the `limit=` of a policy allows; the message lists the last of them."""


class LedgerError(RunError):
    """The counts of a run do not match: an item was lost or doubled between two stages."""


class RunCancelledError(RunError):
    """The program has ended the run: by `cancel()`, which the message locates, or because its `with` block ended."""

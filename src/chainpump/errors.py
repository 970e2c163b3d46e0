"""Every error of the library, and the record of one failure; imports nothing of the package.

PipelineError
├─ PlanError            before anything starts: StageTypeError, StageOptionError
├─ RemoteError          stands in a dead letter for an exception that cannot be sent
└─ RunError             a run ended early: StageError, WorkerLostError, StageStoppedError,
                        UnpicklableItemError, ItemTypeError, ItemTimeoutError, TooManyFailuresError, StallError,
                        LedgerError

Every class survives pickle: its fields are the positional arguments, its text is built in `__str__`.
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
    "LedgerError",
    "PipelineError",
    "PlanError",
    "RemoteError",
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
    """Raised in a stage, by its input, when the run has been cancelled: never mistake it for the end.

    It derives from BaseException, so that `except Exception` in a stage does not swallow it. Let it pass;
    use `finally` or `with` to clean up.
    """


class PipelineError(Exception):
    """The base of every error that this library raises on its own account."""


class PlanError(PipelineError):
    """A pipeline that cannot run, found while it was built: nothing has started.

    problems: a text for each; they are all that was found in one step of building it.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__(*problems)
        self.problems = problems

    def __str__(self) -> str:
        first, *others = self.problems or ("",)
        listed = "".join(f"\n- {other}" for other in others)
        return f"{first}\nAlso found there:{listed}" if others else first


class StageTypeError(PlanError, TypeError):
    """A stage does not fit: wrong element type, missing annotation, arguments that do not bind."""


class StageOptionError(PlanError, ValueError):
    """An option has a value that cannot work."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The record of one error of a run: who, where, on which item. Plain data, so that it always travels.

    error: the class that is raised for it. role: 'source', 'stage' or 'sink'.
    worker: counted from 1; 0 when no single worker is to blame.
    headline, details: the message, without the worker's traceback.
    index: the item's number in the stage's input, counted from 0, where it is known.
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

    item: the item itself, or its short repr where it cannot be sent to the main process.
    index: its number, counted from 0 where it comes from.
    error: what the function raised, or a `RemoteError` in its place if that cannot be sent to the main process.
    traceback: the worker's, as text.
    """

    stage: str
    index: int
    item: Any
    error: BaseException
    traceback: str


class RemoteError(PipelineError):
    """Stands for an exception that cannot be sent to the main process, as one whose class needs more than its `args`.

    type_name: `urllib.error.HTTPError`. text: what `str` said of the exception. Attributes of the exception that can be
    sent have their own names here: `error.code`.
    """

    def __init__(self, type_name: str, text: str = "", attributes: Mapping[str, Any] | None = None) -> None:
        super().__init__(type_name, text)
        vars(self).update(attributes or {}, type_name=type_name, text=text)

    type_name: str
    text: str

    def __str__(self) -> str:
        return f"{self.type_name}: {self.text}" if self.text else self.type_name

    # Attributes are those of the exception, of any name and type: type checkers need not know them.
    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{self.args[0]} had no attribute {name!r}, or it cannot be sent to another process")


def text_of_failures(failures: Sequence[Failure]) -> str:
    """The message of a run that has failed: the first failure, and a list of the others."""
    first, *others = failures
    if not others:
        return str(first)
    listed = "".join(f"\n- {other}" for other in others)
    return f"{first}\nAlso failed before the run had ended:{listed}"


class RunError(PipelineError):
    """A run that ended early; `failures` lists every failure seen, the first one being this error's own.

    report: the `Report` of the run, in the process that has run it; elsewhere None.
    """

    # This module knows nothing of the package.
    report: Any = None

    def __init__(self, failure: Failure, others: Sequence[Failure] = ()) -> None:
        super().__init__(failure, tuple(others))
        self.failures: tuple[Failure, ...] = (failure, *others)

    # Without the report, whose dead letters may be anything: an error always travels.
    def __reduce__(self) -> tuple[type[Self], tuple[Any, ...], dict[str, Any]]:
        return (
            type(self),
            self.args,
            {key: value for key, value in vars(self).items() if key not in ("report", "progress")},
        )

    @property
    def stage(self) -> str:
        """The name of the stage to blame."""
        return self.failures[0].stage

    @property
    def worker(self) -> int:
        """The number of the worker to blame, counted from 1; 0 when it is not one worker's doing."""
        return self.failures[0].worker

    def along_with(self, others: Sequence[Failure]) -> Self:
        """The same error, cause and notes included, with further failures listed."""
        error = type(self)(self.failures[0], (*self.failures[1:], *others))
        error.__cause__ = self.__cause__
        for note in getattr(self, "__notes__", ()):
            error.add_note(note)
        return error

    def __str__(self) -> str:
        return text_of_failures(self.failures)


class StageError(RunError):
    """User code in a stage raised; `__cause__` is the original exception where it could travel."""


class WorkerLostError(RunError):
    """A worker's process died without having said that it finished."""

    @property
    def pid(self) -> int | None:
        """The process that died."""
        return self.failures[0].pid

    @property
    def exit_code(self) -> int | None:
        """Its exit code; negative for a signal, as in `multiprocessing.Process.exitcode`."""
        return self.failures[0].exit_code

    @property
    def signal(self) -> signal.Signals | None:
        """The signal that killed it; None when it exited, or for a real-time signal without a name."""
        code = self.failures[0].exit_code
        return signal.Signals(-code) if code is not None and -code in set(signal.Signals) else None


class StageStoppedError(RunError):
    """A stage or sink returned while its input had more, and was not declared with `may_stop=True`."""


class UnpicklableItemError(RunError):
    """An item cannot be sent to, or rebuilt in, another process."""


class ItemTypeError(RunError, TypeError):
    """With `check_items=True`: an item is not of the type that its stage declares."""


class ItemTimeoutError(RunError, TimeoutError):
    """A function took longer over one item than its `timeout=`."""


class StallError(RunError, TimeoutError):
    """No item moved for `stall_timeout=` seconds; the message says what every worker was at.

    progress: the `Progress` of the run at that moment; kept where `report` is.
    """

    # As for `report`.
    progress: Any = None


class TooManyFailuresError(RunError):
    """More items failed than the `limit=` of a policy allows; the message lists the last of them."""


class LedgerError(RunError):
    """The counts of a run do not add up: an item was lost or doubled between two stages."""

"""How a run has ended: the records of its failures, the exception for the caller, and the status for the report.

    worker ── Failed: record, cause ──► supervisor ──► lifecycle.Run.failures ──► Ending ──► one exception, raised once
                                                                                    └──────► status and text of a report

A failure is recorded once, in the place that knows its facts. The same record arrives here.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import Failure, RunError, StageError, TooManyFailuresError, text_of_failures
from ..lazy_dataclass import dataclass, replace
from ..messages import failure_texts, item_texts
from ..messages.names import Role
from ..progress.run_record import Status
from ..worker.outcome import Failed, Outcome
from . import ledger
from .dead_letters import DeadLetters
from .no_recorder import NoRecorder
from .supervisor import Supervisor
from .wiring import Wiring

__all__ = ["Ending", "add_note", "ending_of", "told_once"]


@dataclass(frozen=True, slots=True)
class Ending:
    """The ending of a run that is over. The default is the ending of a successful run.

    failed: the failures; the first one is raised. exception: an exception that is raised instead, unchanged: Ctrl-C of
    the caller, or a defect of this library. was_left: only the caller has ended the run.
    """

    failed: Sequence[Failed] = ()
    exception: BaseException | None = None
    was_left: bool = False

    def error(self) -> BaseException | None:
        """The exception to raise: the sink's own one, or a RunError with the original exception as its cause.

        Pickling drops tracebacks and keeps notes, so the traceback of the worker is added as a note.
        """
        if self.exception is not None or not self.failed:
            return self.exception
        failures = self._failures
        failure, cause = failures[0], self.failed[0].cause
        # The error of a nested run already has all that belongs to it.
        if isinstance(cause, RunError) and cause.failures[0] == failure:
            return cause.along_with(failures[1:])
        error: RunError = failure.error(failure, failures[1:])
        if not isinstance(cause, BaseException):
            if failure.traceback:
                error.add_note(_remote(failure))
            return error
        if cause.__traceback__ is None and failure.traceback:
            add_note(cause, _remote(failure))
        if failure.role == Role.SINK.value and failure.error is StageError:
            add_note(cause, str(error))
            return cause
        error.__cause__ = cause
        return error

    def status(self) -> tuple[Status, str | None]:
        """The status in one word, and the error as text. An exception would keep the objects in its frames alive.

        The text comes from this library and names the stage.
        """
        if self.was_left or isinstance(self.exception, KeyboardInterrupt):
            return "cancelled", None
        if self.exception is not None:
            return "failed", f"{type(self.exception).__name__}: {self.exception}"
        if self.failed:
            return "failed", f"{self._failures[0].error.__name__}: {text_of_failures(self._failures)}"
        return "completed", None

    @property
    def failed_stage(self) -> str | None:
        """The stage that has failed first; None if none has."""
        is_failure = self.failed and not self.was_left and self.exception is None
        return self._failures[0].stage if is_failure else None

    @property
    def _failures(self) -> Sequence[Failure]:
        return [each.failure for each in self.failed]


def ending_of(
    wiring: Wiring,
    supervisor: Supervisor,
    dead_letters: DeadLetters,
    recorder: NoRecorder,
    by_caller: Outcome | None,
    early_end: Failure,
) -> Ending:
    """The ending of a run that is over.

    by_caller: the outcome of the worker in the caller's thread. early_end: the failure if only the caller has ended it.
    """
    state = supervisor.state
    if recorder.error is not None:
        return Ending(exception=recorder.error)
    if dead_letters.refusal is not None:
        item, cause = dead_letters.refusal
        return Ending([Failed(item_texts.refused(item.stage, item.index, cause), cause)])
    if supervisor.defect is not None:
        return Ending(exception=supervisor.defect)
    if state.failures:
        first = state.failures[0]
        # Ctrl-C while a stage ran in the caller's thread is no failure of the stage.
        if isinstance(first.cause, KeyboardInterrupt) and first is by_caller:
            return Ending(exception=first.cause)
        return Ending(told_once(state.failures))
    failure = early_end if state.left else _other_failure(wiring, supervisor)
    return Ending([Failed(failure)] if failure is not None else (), was_left=state.left)


def told_once(failed: Sequence[Failed]) -> Sequence[Failed]:
    """The same failures, but only one for each stage with too many: each of its workers has seen that."""
    found: list[Failed] = []
    places: dict[str, int] = {}
    for each in failed:
        failure = each.failure
        place = places.get(failure.stage) if failure.error is TooManyFailuresError else None
        if place is not None:
            found[place] = replace(found[place], failure=item_texts.together(found[place].failure, failure))
            continue
        if failure.error is TooManyFailuresError:
            places[failure.stage] = len(found)
        found.append(each)
    return found


def _other_failure(wiring: Wiring, supervisor: Supervisor) -> Failure | None:
    """The failure of a run that has lost a channel or an item, although no worker has failed."""
    if supervisor.state.broken is not None:
        group, number = supervisor.state.broken
        return failure_texts.broken_off(wiring.slots[group][number].who)
    return ledger.check(supervisor.accounts) or ledger.check_passed(supervisor.accounts, supervisor.passed)


def add_note(cause: BaseException, text: str) -> None:
    """Add a note once: several threads may ask for the error of a run, and each of them several times."""
    if text not in getattr(cause, "__notes__", ()):
        cause.add_note(text)


def _remote(failure: Failure) -> str:
    return f"The worker's traceback (pid {failure.pid}):\n{failure.traceback}"

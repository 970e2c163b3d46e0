"""The ending of a run by its failures: the exception and the status for the report."""

from __future__ import annotations

import pytest

from chainpump.engine.ending import Ending, told_once
from chainpump.errors import Failure, LedgerError, RunError, StageError, TooManyFailuresError, WorkerLostError
from chainpump.worker.outcome import Failed

RAISED = Failure(StageError, "stage", "decode", 3, 7, "stage 'decode' raised OSError:", ("no file",), traceback="Trace")
LOST = Failure(WorkerLostError, "stage", "infer", 1, 8, "stage 'infer' lost worker 1 of 1", exit_code=-9)
OF_SINK = Failure(StageError, "sink", "save", 1, 9, "sink 'save' raised OSError:", ("full",), traceback="Trace")
UNCLOSED = Failure(LedgerError, "sink", "save", 0, None, "the ledger of sink 'save' does not close")


def notes(error: BaseException | None) -> list[str]:
    return getattr(error, "__notes__", [])


def test_a_successful_run_raises_nothing() -> None:
    assert (Ending().error(), Ending().status()) == (None, ("completed", None))


def test_the_first_failure_is_raised_with_its_cause_and_the_others_listed() -> None:
    cause = OSError("no file")
    error = Ending([Failed(RAISED, cause), Failed(LOST)]).error()
    assert isinstance(error, StageError)
    assert (error.failures, error.__cause__) == ((RAISED, LOST), cause)
    # The cause comes from another process, without a traceback.
    assert notes(cause) == ["The worker's traceback (pid 7):\nTrace"]


def test_a_cause_that_cannot_be_pickled_leaves_its_traceback_as_a_note_of_the_error() -> None:
    error = Ending([Failed(RAISED)]).error()
    assert (getattr(error, "__cause__", "no error"), notes(error)) == (None, ["The worker's traceback (pid 7):\nTrace"])


def test_the_exception_of_a_sink_is_raised_unchanged() -> None:
    cause = OSError("full")
    assert Ending([Failed(OF_SINK, cause)]).error() is cause
    assert notes(cause)[-1] == "sink 'save' raised OSError:\n  full"


def test_the_error_of_a_nested_run_is_raised_with_the_failures_of_the_outer_run() -> None:
    inner = StageError(RAISED, [LOST])
    inner.__cause__ = cause = OSError("no file")
    error = Ending([Failed(RAISED, inner), Failed(UNCLOSED)]).error()
    assert isinstance(error, StageError)
    assert (error.failures, error.__cause__) == ((RAISED, LOST, UNCLOSED), cause)


@pytest.mark.parametrize("others", [[], [LOST], [LOST, UNCLOSED]], ids=["alone", "with another", "with others"])
def test_the_report_has_the_same_text_as_the_error(others: list[Failure]) -> None:
    ending = Ending([Failed(failure) for failure in (RAISED, *others)])
    assert ending.status() == ("failed", f"StageError: {ending.error()}")


def test_a_run_that_its_caller_has_ended_is_cancelled_and_has_an_error_that_says_so() -> None:
    left = Failure(RunError, "sink", "iteration", 1, None, "the run was closed before its end.")
    ending = Ending([Failed(left)], was_left=True)
    assert (type(ending.error()), ending.status()) == (RunError, ("cancelled", None))


@pytest.mark.parametrize(
    "exception, status",
    [(KeyboardInterrupt(), ("cancelled", None)), (ValueError("a defect"), ("failed", "ValueError: a defect"))],
)
def test_an_exception_that_no_stage_has_caused_is_raised_unchanged(
    exception: BaseException, status: tuple[str, str | None]
) -> None:
    ending = Ending(exception=exception)
    assert (ending.error(), ending.status()) == (exception, status)


def test_too_many_failures_are_told_once_for_all_workers_of_a_stage() -> None:
    def seen_by(worker: int, *items: str) -> Failed:
        return Failed(
            Failure(
                TooManyFailuresError, "stage", "f", worker, 7, "f failed on more than 2:", (*items, "f is at p.py:1.")
            )
        )

    first, *others = told_once(
        [seen_by(1, "item 1"), Failed(LOST), seen_by(2, "item 3", "item 4"), seen_by(3, "item 2")]
    )
    assert others == [Failed(LOST)]
    assert first == seen_by(1, "item 1", "item 3", "item 4", "item 2")

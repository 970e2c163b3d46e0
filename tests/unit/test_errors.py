"""What an error says about itself."""

from __future__ import annotations

import signal

import pytest

from chainpump.errors import (
    Cancelled,
    Failure,
    PlanError,
    RunError,
    StageError,
    StageOptionError,
    StageTypeError,
    WorkerLostError,
)

RAISED = Failure(
    StageError, "stage", "decode", 3, 41207, "stage 'decode' raised OSError:", ("cannot read", "see x.py:4"), index=17
)
LOST = Failure(WorkerLostError, "source", "load", 1, 41208, "source 'load' lost worker 1 of 1.", exit_code=-9)


def test_a_failure_reads_as_its_headline_and_its_details() -> None:
    assert str(RAISED) == "stage 'decode' raised OSError:\n  cannot read\n  see x.py:4"


def test_an_error_with_one_failure_reads_as_that() -> None:
    assert str(StageError(RAISED)) == str(RAISED)


def test_an_error_lists_all_failures_its_own_first() -> None:
    error = StageError(RAISED, [LOST])
    assert error.failures == (RAISED, LOST)
    assert str(error) == f"{RAISED}\nAlso failed before the run had ended:\n- source 'load' lost worker 1 of 1."


def test_an_error_along_with_further_failures_keeps_its_cause_and_notes() -> None:
    alone = StageError(RAISED)
    alone.__cause__ = OSError("cannot read")
    alone.add_note("The worker's traceback")
    error = alone.along_with([LOST])
    assert (type(error), error.failures) == (StageError, (RAISED, LOST))
    assert (error.__cause__, error.__notes__) == (alone.__cause__, ["The worker's traceback"])
    assert alone.failures == (RAISED,)


def test_an_error_names_its_stage_and_worker() -> None:
    error = StageError(RAISED)
    assert (error.stage, error.worker) == ("decode", 3)


@pytest.mark.parametrize(
    "exit_code,number", [(-9, signal.SIGKILL), (-11, signal.SIGSEGV), (0, None), (3, None), (None, None)]
)
def test_a_lost_worker_tells_how_it_died(exit_code: int | None, number: signal.Signals | None) -> None:
    error = WorkerLostError(Failure(WorkerLostError, "stage", "decode", 1, 41208, "lost", exit_code=exit_code))
    assert (error.pid, error.exit_code, error.signal) == (41208, exit_code, number)


@pytest.mark.parametrize(
    "error,builtin", [(StageTypeError, TypeError), (StageOptionError, ValueError), (PlanError, Exception)]
)
def test_an_error_of_a_plan_is_also_the_builtin_that_fits(error: type[Exception], builtin: type[Exception]) -> None:
    assert issubclass(error, builtin)
    assert issubclass(error, PlanError)
    assert not issubclass(error, RunError)


def test_cancelled_passes_an_except_exception() -> None:
    assert not issubclass(Cancelled, Exception)

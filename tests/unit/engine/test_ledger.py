"""The ledger: the counts of all stages, and their checks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chainpump.engine.ledger import Account, account, check
from chainpump.errors import LedgerError
from chainpump.ipc.board import State
from chainpump.messages.names import Role
from chainpump.progress.reading import WorkerReading

LOAD = Account("load", Role.SOURCE, 1, received=0, finished=0, sent=100)
DECODE = Account("decode", Role.STAGE, 2, received=100, finished=100, sent=80)
SAVE = Account("save", Role.SINK, 1, received=80, finished=80, sent=0)


def worker(state: State = State.DONE, **counts: int) -> WorkerReading:
    """A worker of a run that is over."""
    return WorkerReading(state=state, **counts)  # type: ignore[arg-type]  # no other field is given


def test_an_account_sums_over_the_workers_of_a_stage() -> None:
    workers = [
        worker(received=7, finished_frames=3, sent=2, skipped=4),
        worker(received=4, finished_frames=1, sent=1, skipped=1, dead=2),
    ]
    assert account(Role.STAGE, "decode", workers) == Account(
        "decode",
        Role.STAGE,
        2,
        received=11,
        finished=4,
        sent=3,
        skipped=5,
        dead=2,
        stopped=False,
    )


def test_a_stage_has_stopped_if_one_of_its_workers_has() -> None:
    assert account(Role.STAGE, "head", [worker(), worker(State.STOPPED)]).stopped


@pytest.mark.parametrize(
    "accounts",
    [
        pytest.param([LOAD, DECODE, SAVE], id="all sent items are received and finished"),
        pytest.param([replace(LOAD, sent=0), replace(SAVE, received=0, finished=0)], id="nothing at all"),
        pytest.param([LOAD], id="one stage"),
        pytest.param([LOAD, replace(DECODE, finished=90, skipped=7, dead=3), SAVE], id="a policy handles items, too"),
        pytest.param(
            [replace(LOAD, sent=500), replace(DECODE, stopped=True), SAVE],
            id="not checked before an early stop",
        ),
        pytest.param(
            [LOAD, replace(DECODE, finished=99, stopped=True), SAVE],
            id="unfinished because of an early stop",
        ),
        pytest.param(
            [LOAD, replace(DECODE, received=7), replace(SAVE, received=3, finished=1, stopped=True)],
            id="only the last stop counts",
        ),
    ],
)
def test_a_ledger_that_closes(accounts: list[Account]) -> None:
    assert check(accounts) is None


@pytest.mark.parametrize(
    "accounts,headline",
    [
        pytest.param(
            [replace(LOAD, sent=101), DECODE, SAVE],
            "the ledger of stage 'decode' does not close: 'load' sent 101 items, of which 100 arrived.",
            id="lost on the way",
        ),
        pytest.param(
            [LOAD, DECODE, replace(SAVE, received=81)],
            "the ledger of sink 'save' does not close: 'decode' sent 80 items, of which 81 arrived.",
            id="doubled on the way",
        ),
        pytest.param(
            [LOAD, replace(DECODE, finished=99), SAVE],
            "the ledger of stage 'decode' does not close: it received 100 items and dealt with 99.",
            id="lost within a stage",
        ),
        pytest.param(
            [LOAD, replace(DECODE, finished=90, skipped=4, dead=5), SAVE],
            "the ledger of stage 'decode' does not close: it received 100 items and dealt with 99.",
            id="lost besides those that a policy has skipped",
        ),
        pytest.param(
            [LOAD, replace(DECODE, skipped=1), SAVE],
            "the ledger of stage 'decode' does not close: it received 100 items and dealt with 101.",
            id="finished and skipped",
        ),
        pytest.param(
            [LOAD, replace(DECODE, stopped=True), replace(SAVE, received=79)],
            "the ledger of sink 'save' does not close: 'decode' sent 80 items, of which 79 arrived.",
            id="checked after an early stop",
        ),
    ],
)
def test_a_ledger_that_does_not_close_names_the_stage(accounts: list[Account], headline: str) -> None:
    failure = check(accounts)
    assert failure is not None
    assert failure.error is LedgerError
    assert failure.headline == headline

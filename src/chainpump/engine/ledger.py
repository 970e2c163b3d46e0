"""The ledger: what every stage received, finished and sent, and whether that adds up."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import Failure, LedgerError
from ..ipc.board import State
from ..lazy_dataclass import dataclass
from ..messages.names import Role
from ..progress.reading import WorkerReading

__all__ = ["Account", "Passed", "account", "check", "check_passed"]


@dataclass(frozen=True, slots=True)
class Account:
    """The counts of one stage, over all its workers.

    skipped, dead: items that a policy left out, and those that it put aside as dead letters.
    stopped: it returned before its input had ended, as it was allowed to.
    renewed: workers before it may have been replaced, and have sent something twice: `Passed` counts instead.
    """

    stage: str
    role: Role
    workers: int
    received: int
    finished: int
    sent: int
    skipped: int = 0
    dead: int = 0
    stopped: bool = False
    renewed: bool = False


@dataclass(frozen=True, slots=True)
class Passed:
    """Where order is restored: how many items have had their turn there, of how many that were numbered."""

    role: Role
    stage: str
    turns: int
    numbered: int


def account(role: Role, stage: str, workers: Sequence[WorkerReading], renewed: bool = False) -> Account:
    """Add up what a stage's workers have counted."""
    return Account(
        stage,
        role,
        len(workers),
        sum(each.received for each in workers),
        sum(each.finished_frames for each in workers),
        sum(each.sent for each in workers),
        sum(each.skipped for each in workers),
        sum(each.dead for each in workers),
        any(each.state == State.STOPPED for each in workers),
        renewed,
    )


def check(accounts: Sequence[Account]) -> Failure | None:
    """None if every item is accounted for: at each junction, and within each stage.

    What comes before a stage that was allowed to stop, and did, has no end to account for.
    """
    first = max((index for index, account in enumerate(accounts) if account.stopped), default=0)
    for before, after in zip(accounts[first:], accounts[first + 1 :], strict=False):
        if before.sent != after.received and not after.renewed:
            return _failure(after, f"'{before.stage}' sent {before.sent} items, of which {after.received} arrived.")
    for account in accounts[first:]:
        dealt_with = account.finished + account.skipped + account.dead
        if dealt_with != account.received and not account.stopped:
            return _failure(account, f"it received {account.received} items and dealt with {dealt_with}.")
    return None


def check_passed(accounts: Sequence[Account], passed: Sequence[Passed]) -> Failure | None:
    """None if every item that was numbered has had its turn wherever order is restored, and the run went to its end."""
    if any(account.stopped for account in accounts):
        return None
    for each in passed:
        if each.turns != each.numbered:
            return _loss(
                each.role, each.stage, f"{each.numbered} items were on their way to it, of which {each.turns} came."
            )
    return None


def _failure(account: Account, fact: str) -> Failure:
    return _loss(account.role, account.stage, fact)


def _loss(role: Role, stage: str, fact: str) -> Failure:
    return Failure(
        LedgerError,
        role.value,
        stage,
        0,
        None,
        f"the ledger of {role.value} '{stage}' does not close: {fact}",
        ("No worker failed, so the loss is in chainpump or below it: please report this, with the pipeline.",),
    )

"""The ledger counts what every stage has received, finished and sent, and checks that no item was lost."""

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
    """The counts of one stage over all its workers.

    skipped, dead: items that a policy has skipped, and items that it has collected as dead letters.
    stopped: the stage returned before the end of its input, as it was allowed to.
    may_repeat: replaced workers before the stage may have sent items twice, so `Passed` counts instead.
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
    may_repeat: bool = False


@dataclass(frozen=True, slots=True)
class Passed:
    """The counts of a stage that restores order: how many items have passed, and how many were numbered."""

    role: Role
    stage: str
    turns: int
    numbered: int


def account(role: Role, stage: str, workers: Sequence[WorkerReading], may_repeat: bool = False) -> Account:
    """The sum of the counts of a stage's workers."""
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
        may_repeat,
    )


def check(accounts: Sequence[Account]) -> Failure | None:
    """The failure if an item was lost between two stages or within a stage; None if all items are accounted for.

    Stages before one that has stopped early are not checked, because they were cancelled.
    """
    first = max((index for index, account in enumerate(accounts) if account.stopped), default=0)
    for before, after in zip(accounts[first:], accounts[first + 1 :], strict=False):
        if before.sent != after.received and not after.may_repeat:
            return _failure(after, f"'{before.stage}' sent {before.sent} items, of which {after.received} arrived.")
    for account in accounts[first:]:
        handled = account.finished + account.skipped + account.dead
        if handled != account.received and not account.stopped:
            return _failure(account, f"it received {account.received} items and dealt with {handled}.")
    return None


def check_passed(accounts: Sequence[Account], passed: Sequence[Passed]) -> Failure | None:
    """The failure if a numbered item has not passed a stage that restores order; None if all have.

    A run with a stage that has stopped early is not checked.
    """
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

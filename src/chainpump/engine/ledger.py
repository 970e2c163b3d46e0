"""The ledger: what every stage received, finished and sent, and whether that adds up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import Failure, LedgerError
from ..transport.board import Cell, State

__all__ = ["Account", "account", "check"]


@dataclass(frozen=True, slots=True)
class Account:
    """The counts of one stage, over all its workers. Times are in seconds, summed over its workers.

    stopped: it returned before its input had ended, as it was allowed to.
    busy, starved, blocked: time spent in its own code, waiting for items, and waiting to send.
    """

    stage: str
    role: str
    workers: int
    received: int
    finished: int
    sent: int
    stopped: bool = False
    busy: float = 0.0
    starved: float = 0.0
    blocked: float = 0.0


def account(role: str, stage: str, rows: Sequence[memoryview]) -> Account:
    """Add up the board rows of a stage's workers."""

    def total(cell: Cell) -> int:
        return sum(row[cell] for row in rows)

    starved, blocked = total(Cell.STARVED), total(Cell.BLOCKED)
    busy = total(Cell.ENDED) - total(Cell.STARTED) - starved - blocked
    return Account(
        stage,
        role,
        len(rows),
        total(Cell.RECEIVED),
        total(Cell.FINISHED),
        total(Cell.SENT),
        any(row[Cell.STATE] == State.STOPPED for row in rows),
        max(busy, 0) / 1e9,
        starved / 1e9,
        blocked / 1e9,
    )


def check(accounts: Sequence[Account]) -> Failure | None:
    """None if every item is accounted for: at each junction, and within each stage.

    What comes before a stage that was allowed to stop, and did, has no end to account for.
    """
    first = max((index for index, account in enumerate(accounts) if account.stopped), default=0)
    for before, after in zip(accounts[first:], accounts[first + 1 :], strict=False):
        if before.sent != after.received:
            return _failure(after, f"'{before.stage}' sent {before.sent} items, of which {after.received} arrived.")
    for account in accounts[first:]:
        if account.finished != account.received and not account.stopped:
            return _failure(account, f"it received {account.received} items and finished {account.finished}.")
    return None


def _failure(account: Account, fact: str) -> Failure:
    return Failure(
        LedgerError,
        account.role,
        account.stage,
        0,
        None,
        f"the ledger of {account.role} '{account.stage}' does not close: {fact}",
        ("No worker failed, so the loss is in chainpump or below it: please report this, with the pipeline.",),
    )

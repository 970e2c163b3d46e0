"""What a run looked like: the value that its sink returned, and the account of every stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from .engine.ledger import Account
from .tables import table

__all__ = ["Report"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Report(Generic[T]):
    """The result of a run. `print(report)` shows it as a table.

    value: what the sink returned; with several workers, the list of what each returned.
    stages: per stage, items and seconds; see `Account`.
    duration: seconds from the first worker's start to the last one's end.
    """

    value: T
    stages: Sequence[Account]
    duration: float

    def __str__(self) -> str:
        rows = [
            (
                account.stage,
                account.role,
                str(account.workers),
                str(account.received) if account.role != "source" else "",
                str(account.sent) if account.role != "sink" else "",
                f"{max(account.sent, account.received) / self.duration:,.0f}" if self.duration else "",
                *(
                    f"{self._share(seconds, account):.0%}"
                    for seconds in (account.busy, account.starved, account.blocked)
                ),
            )
            for account in self.stages
        ]
        heads = ("stage", "role", "workers", "received", "sent", "items/s", "busy", "starved", "blocked")
        return f"{table(heads, rows)}\n{self.duration:.2f} s{self._bottleneck()}"

    def _share(self, seconds: float, account: Account) -> float:
        """Of the whole run, not of its workers' lives: who ended early was not the bottleneck to the end."""
        total = self.duration * account.workers
        return min(seconds / total, 1.0) if total else 0.0

    def _bottleneck(self) -> str:
        busiest = max(self.stages, key=lambda account: self._share(account.busy, account))
        share = self._share(busiest.busy, busiest)
        return f"; the bottleneck is '{busiest.stage}', busy {share:.0%} of the time" if share else ""

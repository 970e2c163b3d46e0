"""What a run looked like: the value that its sink returned, and the account of every stage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Generic, NamedTuple, TypeVar

from .engine.ledger import Account
from .errors import DeadItem
from .tables import table

__all__ = ["Report"]

T = TypeVar("T")


class _Column(NamedTuple):
    """A count of items. optional: left out where it is 0 for all stages. not_of: the role that has none."""

    head: str
    of: Callable[[Account], int]
    optional: bool = False
    not_of: str = ""

    def has(self, account: Account) -> bool:
        """Whether a stage has such a count."""
        return account.role != self.not_of


COLUMNS = (
    _Column("received", attrgetter("received"), not_of="source"),
    _Column("skipped", attrgetter("skipped"), optional=True, not_of="source"),
    _Column("dead", attrgetter("dead"), optional=True, not_of="source"),
    _Column("sent", attrgetter("sent"), not_of="sink"),
)


@dataclass(frozen=True, slots=True)
class Report(Generic[T]):
    """The result of a run. `print(report)` shows it as a table.

    value: what the sink returned; with several workers, the list of what each returned.
    stages: per stage, items and seconds; see `Account`.
    duration: seconds from the first worker's start to the last one's end.
    dead_letters: the items that a `DeadLetter` policy without `to=` has put aside.
    """

    value: T
    stages: Sequence[Account]
    duration: float
    dead_letters: Sequence[DeadItem] = ()

    def __str__(self) -> str:
        columns = [column for column in COLUMNS if not column.optional or any(map(column.of, self.stages))]
        rows = [
            (
                account.stage,
                account.role,
                str(account.workers),
                *(str(column.of(account)) if column.has(account) else "" for column in columns),
                f"{max(account.sent, account.received) / self.duration:,.0f}" if self.duration else "",
                *(
                    f"{self._share(seconds, account):.0%}"
                    for seconds in (account.busy, account.starved, account.blocked)
                ),
            )
            for account in self.stages
        ]
        counted = (column.head for column in columns)
        heads = ("stage", "role", "workers", *counted, "items/s", "busy", "starved", "blocked")
        return f"{table(heads, rows)}\n{self.duration:.2f} s{self._bottleneck()}"

    def _share(self, seconds: float, account: Account) -> float:
        """Of the whole run, not of its workers' lives: who ended early was not the bottleneck to the end."""
        total = self.duration * account.workers
        return min(seconds / total, 1.0) if total else 0.0

    def _bottleneck(self) -> str:
        busiest = max(self.stages, key=lambda account: self._share(account.busy, account))
        share = self._share(busiest.busy, busiest)
        return f"; the bottleneck is '{busiest.stage}', busy {share:.0%} of the time" if share else ""

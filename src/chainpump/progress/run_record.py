"""The data of a report, and its table: a report shows it as text, as a page and as JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Generic, Literal, TypeAlias, TypeVar

from ..errors import DeadItem
from ..lazy_dataclass import dataclass
from ..messages.item_repr import short_repr
from ..messages.names import Role
from ..messages.printable import printable, shortened
from ..messages.stand_ins import error_line
from .history import Sample
from .latency import Latency
from .scaling_rule import Decision
from .snapshot import left_out

__all__ = ["RunRecord", "StageReport", "Status"]

T = TypeVar("T")
Status: TypeAlias = Literal["running", "completed", "failed", "cancelled"]
# Bytes.
MEGABYTE = 1e6
# The dead letters that `print` lists, and the letters of a line for the error of one.
FIRST, WIDEST = 5, 160


@dataclass(frozen=True, slots=True)
class StageReport:
    """What one stage has done, over all its workers. Times are in seconds, summed over them.

    workers: how many items it could process at once, as its executor says; for "auto" the most workers that it had.
    received, finished, sent: items. A received item is finished, skipped, or dead (a dead letter).
    retried: calls that were repeated. restarts: workers that replaced one that had died.
    recycled: workers that were followed by a fresh one after their share.
    busy, starved, blocked: running its function, waiting for input, waiting for room to send. Neighbours on `Inline`
    share a worker and its times.
    rate: items received per second of the run; for a source, items sent.
    peak_in_flight: the most items that were received and not finished, in 40 readings per second; None for a source,
    and without an observer.
    memory: the peak memory of each of its processes in bytes, if reported. cpu: their processor time. delayed: time in
    which they were ready to run but had no processor.
    is_bottleneck: whether it limited the rate; see `Progress`.
    set_up: the time in which its factories made their functions; it is in none of the other times. See `per_worker`.
    hosts: the same for its workers on each machine, which `host` names; empty for workers on that of the main process.
    """

    stage: str
    role: str
    executor: str
    workers: int
    received: int
    finished: int
    sent: int
    skipped: int
    dead: int
    retried: int
    restarts: int
    recycled: int
    busy: float
    starved: float
    blocked: float
    rate: float
    peak_in_flight: int | None = None
    memory: tuple[int, ...] = ()
    cpu: float = 0.0
    delayed: float = 0.0
    is_bottleneck: bool = False
    set_up: float = 0.0
    host: str = ""
    hosts: tuple[StageReport, ...] = ()

    @property
    def lived(self) -> float:
        """Seconds for which its workers ran."""
        return self.busy + self.starved + self.blocked


@dataclass(frozen=True, slots=True)
class RunRecord(Generic[T]):
    """The fields of a `Report`, where they are explained."""

    value: T
    stages: Sequence[StageReport]
    duration: float
    dead_letters: Sequence[DeadItem] = ()
    bottleneck: str | None = None
    advice: str = ""
    samples: Sequence[Sample] = ()
    latency: Latency | None = None
    decisions: Sequence[Decision] = ()
    status: Status = "completed"
    error: str | None = None
    done_before: int = 0
    again_at_most: int = 0
    started: float | None = None
    failed_stage: str | None = None
    journal: str = ""
    done: int = 0
    left: int | None = None

    @property
    def chain(self) -> str:
        """The names of the stages."""
        return " → ".join(printable(stage.stage) for stage in self.stages)

    @property
    def marked(self) -> list[int]:
        """The rows of the table that belong to the bottleneck."""
        rows = (each for stage in self.stages for each in (stage, *stage.hosts))
        return [number for number, each in enumerate(rows) if each.is_bottleneck]

    def line(self) -> str:
        """The whole run in one line."""
        last = next((stage for stage in self.stages if stage.role == Role.SINK.value), self.stages[-1])
        moved = last.received if last.role == Role.SINK.value else last.sent
        skipped, dead = (sum(getattr(stage, name) for stage in self.stages) for name in ("skipped", "dead"))
        parts = [
            f"{self.status} after {self.duration:.2f} s",
            f"{moved:,} items",
            *left_out(skipped, dead),
        ]
        return ", ".join(parts)

    def journal_line(self) -> str:
        """What the journal knows of the whole job; empty if there is none."""
        if not self.journal:
            return ""
        if self.status == "completed" and self.done_before and not self.done and not self.stages[-1].received:
            return f"journal {self.journal}: nothing was left to do, all {self.done_before:,} items were done before."
        left = f", {self.left:,} are left" if self.left is not None else ""
        kept = ". It is kept: the same call goes on there" if self.status != "completed" else ""
        known = f"{self.done:,} items are done in this run, {self.done_before + self.done:,} in all{left}{kept}"
        return f"journal {self.journal}: {known}."

    def lines(self) -> list[str]:
        """What is shown below the table."""
        told = f", {self.status}" if self.status != "completed" else ""
        told += f"; {self.done_before:,} items were done before" if self.done_before else ""
        told += f"; at most {self.again_at_most:,} were done again" if self.again_at_most else ""
        told += f"; the bottleneck is '{self.bottleneck}'" if self.bottleneck is not None else ""
        run = f"{self.duration:.2f} s{told}"
        lines = (run, self.journal_line(), self.error, self.advice, *map(str, self.decisions), *self._letters())
        return [line for line in lines if line]

    def _letters(self) -> list[str]:
        """The first dead letters, and how many there are."""
        count = len(self.dead_letters)
        shown = [
            f"  '{stage}', item {number}, {item}: {error}" for stage, number, item, error in self.letter_cells(FIRST)
        ]
        more = [f"  and {count - FIRST:,} more in report.dead_letters"] * (count > FIRST)
        return [f"{', '.join(left_out(0, count))}:", *shown, *more] if shown else []

    def letter_cells(self, most: int) -> list[tuple[str, str, str, str]]:
        """The first dead letters as rows of a table: stage, number, item and error, each on one line."""
        return [
            (
                printable(letter.stage),
                f"{letter.index:,}",
                printable(short_repr(letter.item)),
                shortened(printable(error_line(letter.error)), WIDEST),
            )
            for letter in self.dead_letters[:most]
        ]

    def cells(self) -> tuple[list[str], list[list[str]]]:
        """Heads and rows of the table. Columns that are empty for all stages are left out.

        A stage on other machines has a row for each of them below its own.
        """
        shown = [each for stage in self.stages for each in (stage, *stage.hosts)]
        columns = [column for column in COLUMNS if any(column[1](each) for each in shown) or column[2]]
        return [head for head, _, _ in columns], [[text(each) for _, text, _ in columns] for each in shown]


def _count(name: str, but_of: Role) -> tuple[str, Callable[[StageReport], str], bool]:
    """A column that is always there. but_of: the role for which it is empty."""
    return name, lambda stage: "" if stage.role == but_of.value else f"{getattr(stage, name):,}", True


def _rare(name: str) -> tuple[str, Callable[[StageReport], str], bool]:
    """A column that is left out if it is empty for all stages."""
    return name, lambda stage: f"{getattr(stage, name):,}" if getattr(stage, name) else "", False


def _share(name: str) -> tuple[str, Callable[[StageReport], str], bool]:
    """A column with a share of the time of the workers of a stage."""
    return name, lambda stage: f"{getattr(stage, name) / stage.lived:.0%}" if stage.lived else "", True


def _peak(stage: StageReport) -> str:
    return "" if stage.peak_in_flight is None else f"{stage.peak_in_flight:,}"


def _memory(stage: StageReport) -> str:
    return f"{max(stage.memory) / MEGABYTE:,.0f} MB" if stage.memory else ""


COLUMNS: Sequence[tuple[str, Callable[[StageReport], str], bool]] = (
    ("stage", lambda stage: "" if stage.host else stage.stage, True),
    ("on", lambda stage: "" if stage.host else stage.executor, True),
    ("host", attrgetter("host"), False),
    _count("received", but_of=Role.SOURCE),
    _rare("skipped"),
    _rare("dead"),
    _rare("retried"),
    _rare("restarts"),
    _rare("recycled"),
    _count("sent", but_of=Role.SINK),
    ("set up", lambda stage: f"{stage.set_up:.1f} s" if stage.set_up else "", False),
    ("items/s", lambda stage: f"{stage.rate:,.0f}", True),
    _share("busy"),
    _share("starved"),
    _share("blocked"),
    ("peak in flight", _peak, False),
    ("peak memory", _memory, False),
)

"""What a run looked like: its value, and for each stage its items, its time and what it took."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import repeat
from operator import attrgetter
from os import PathLike
from pathlib import Path
from typing import Generic, Literal, TypeAlias, TypeVar

from ..errors import DeadItem
from ..ipc.cpus import processors
from ..messages.printable import printable_lines
from ..messages.table import table
from .bottleneck import advice, bottleneck, of_bottleneck
from .history import Sample
from .latency import PERCENTS, Latency
from .reading import Place, Reading, WorkerReading
from .scaling_rule import Decision
from .snapshot import SECOND, units

__all__ = ["Report", "StageReport", "Status", "report"]

T = TypeVar("T")
Status: TypeAlias = Literal["running", "completed", "failed", "cancelled"]
MEGABYTE = 1e6  # bytes


@dataclass(frozen=True, slots=True)
class StageReport:
    """What one stage has done, over all its workers. Times are seconds, summed over them.

    workers: items that it deals with at once, as its executor says; of "auto" the most that it had.
    received, finished, sent: items. Those received are finished, skipped or dead: left out by a policy, or put aside.
    retried: calls that were repeated. restarts: workers that took the place of one that had died.
    busy, starved, blocked: in its own code, waiting for items, waiting until items could be sent. Neighbours on
    `Inline` share a worker, and its times.
    rate: items received a second, while the run lasted; of a source, items sent.
    peak_in_flight: the most items that were received and not finished, in 40 looks a second; None of a source, and if
    nobody looked.
    memory: the most bytes that each of its processes has taken, as far as they could tell. cpu: their seconds of a
    processor. delayed: their seconds without one, ready to run.
    is_bottleneck: whether it has held up the others; see `Progress`.
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
    busy: float
    starved: float
    blocked: float
    rate: float
    peak_in_flight: int | None = None
    memory: tuple[int, ...] = ()
    cpu: float = 0.0
    delayed: float = 0.0
    is_bottleneck: bool = False

    @property
    def lived(self) -> float:
        """Seconds for which its workers ran."""
        return self.busy + self.starved + self.blocked


@dataclass(frozen=True, slots=True)
class Report(Generic[T]):
    """The result of a run. `print(report)` shows it as a table.

    value: what the sink returned; with several workers, the list of what each returned. None unless it was completed.
    stages: for each stage, its items, its time and what it took.
    duration: seconds from the opening of the run until its last worker had ended.
    dead_letters: the items that a `DeadLetter` policy without `to=` has put aside.
    bottleneck: the stage that held up the others, if there was one; see `Progress`.
    advice: what could be done about it, with the figures for that; "" where they say nothing.
    samples: how it went over time, where somebody looked on; at most 512 moments of it.
    latency: for how long items were on their way from the source to the sink, where somebody looked on.
    decisions: how many workers each "auto" stage was given, or lost, when and why.
    status: how the run has ended: "completed", "failed" or "cancelled" (left before its end, also by Ctrl-C); "running"
    while it goes on.
    error: what it failed of: the class of the error and its text, which names the stage; None unless it failed.
    """

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

    def cells(self) -> tuple[list[str], list[list[str]]]:
        """Heads and rows of the table; what no stage has is left out."""
        columns = [column for column in COLUMNS if any(column[1](stage) for stage in self.stages) or column[2]]
        return [head for head, _, _ in columns], [[text(stage) for _, text, _ in columns] for stage in self.stages]

    def __str__(self) -> str:
        told = f", {self.status}" if self.status != "completed" else ""
        told += f"; the bottleneck is '{self.bottleneck}'" if self.bottleneck is not None else ""
        run = f"{self.duration:.2f} s{told}"
        lines = (table(*self.cells()), run, self.error, self.advice, *map(str, self.decisions))
        return printable_lines("\n".join(filter(None, lines)))

    def to_html(self, path: str | PathLike[str]) -> None:
        """Write it as one page of HTML that needs nothing else: the chain, the figures, and how they went over time."""
        from .html import page  # workers import this module, and write no pages

        Path(path).write_text(printable_lines(page(self)), encoding="utf-8")

    def to_json(self) -> str:
        """The report as a JSON object, without the value and the dead letters, which may be anything.

        Keys: `status`, `error` (a text or null), `duration`, `bottleneck` (a name or null), `advice`, `dead_letters`
        (how many), `latency` (an object with `p50`, `p90` and `p99`, or null), and `stages` and `decisions`, which are
        lists of objects with the fields of `StageReport` and `Decision`. Times are in seconds, memory is in bytes.
        """
        import json  # as for `to_html`

        within = {f"p{percent}": self.latency.quantile(percent / 100) for percent in PERCENTS} if self.latency else None
        told = {
            "status": self.status,
            "error": self.error,
            "duration": self.duration,
            "bottleneck": self.bottleneck,
            "advice": self.advice,
            "dead_letters": len(self.dead_letters),
            "latency": within,
            "stages": [asdict(stage) for stage in self.stages],
            "decisions": [asdict(decision) for decision in self.decisions],
        }
        return json.dumps(told)


def _count(name: str, but_of: str = "") -> tuple[str, Callable[[StageReport], str], bool]:
    """A column that is always there. but_of: the role that has no such count."""
    return name, lambda stage: "" if stage.role == but_of else f"{getattr(stage, name):,}", True


def _rare(name: str) -> tuple[str, Callable[[StageReport], str], bool]:
    """A column that is left out where no stage has anything in it."""
    return name, lambda stage: f"{getattr(stage, name):,}" if getattr(stage, name) else "", False


def _share(name: str) -> tuple[str, Callable[[StageReport], str], bool]:
    """Of the time that the workers of a stage lived."""
    return name, lambda stage: f"{getattr(stage, name) / stage.lived:.0%}" if stage.lived else "", True


def _peak(stage: StageReport) -> str:
    return "" if stage.peak_in_flight is None else f"{stage.peak_in_flight:,}"


def _memory(stage: StageReport) -> str:
    return f"{max(stage.memory) / MEGABYTE:,.0f} MB" if stage.memory else ""


COLUMNS: Sequence[tuple[str, Callable[[StageReport], str], bool]] = (
    ("stage", attrgetter("stage"), True),
    ("on", attrgetter("executor"), True),
    _count("received", but_of="source"),
    _rare("skipped"),
    _rare("dead"),
    _rare("retried"),
    _rare("restarts"),
    _count("sent", but_of="sink"),
    ("items/s", lambda stage: f"{stage.rate:,.0f}", True),
    _share("busy"),
    _share("starved"),
    _share("blocked"),
    ("peak in flight", _peak, False),
    ("peak memory", _memory, False),
)


def report(
    places: Sequence[Place],
    final: Reading,
    value: T,
    dead_letters: Sequence[DeadItem],
    peaks: Sequence[int | None] | None,
    interpreter: float,
    samples: Sequence[Sample] = (),
    latency: Latency | None = None,
    decisions: Sequence[Decision] = (),
    status: Status = "completed",
    error: str | None = None,
) -> Report[T]:
    """Of a run, as a reading of it tells. peaks: items in flight, by stage.

    interpreter: ns of processors of the main process.
    """
    found = units(places, final)
    held_by = bottleneck(found)
    seconds = (final.at - final.began) / SECOND
    telling = [
        worker for place, workers in zip(places, final.stages, strict=True) if place.on_processes for worker in workers
    ]
    is_told = all(worker.memory for worker in telling)
    asked = (sum(worker.cpu + worker.delayed for worker in telling) + interpreter) / SECOND
    shares = (asked / seconds if is_told else None, interpreter / SECOND / seconds) if seconds > 0 else (None, 0.0)
    return Report(
        value,
        tuple(
            _stage(place, workers, final.at / SECOND, peak, mark)
            for place, workers, peak, mark in zip(
                places, final.stages, peaks or repeat(None, len(places)), of_bottleneck(found), strict=True
            )
        ),
        final.at / SECOND,
        dead_letters,
        held_by.name if held_by is not None else None,
        advice(found, processors(), *shares),
        samples,
        latency,
        tuple(decisions),
        status,
        error,
    )


def _stage(
    place: Place, workers: Sequence[WorkerReading], duration: float, peak: int | None, is_bottleneck: bool
) -> StageReport:
    def total(name: str) -> int:
        return sum(getattr(each, name) for each in workers)

    moved = total("sent" if place.role == "source" else "received")
    return StageReport(
        stage=place.stage,
        role=place.role,
        executor=place.executor,
        workers=sum(each.lived > 0 for each in workers) if place.is_auto else place.workers,
        received=total("received"),
        finished=total("finished"),
        sent=total("sent"),
        skipped=total("skipped"),
        dead=total("dead"),
        retried=total("retried"),
        restarts=total("restarts"),
        busy=total("busy") / SECOND,
        starved=total("starved") / SECOND,
        blocked=total("blocked") / SECOND,
        rate=moved / duration if duration else 0.0,
        peak_in_flight=peak,
        memory=tuple(each.memory for each in workers if each.memory),
        cpu=total("cpu") / SECOND,
        delayed=total("delayed") / SECOND,
        is_bottleneck=is_bottleneck,
    )

"""The report of a run: its value, and the items, times and resources of each stage."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, repeat
from os import PathLike
from pathlib import Path
from typing import TypeVar

from ..errors import DeadItem
from ..ipc.cpus import processors
from ..lazy_dataclass import dataclass, replace
from ..messages.item_repr import short_repr
from ..messages.names import Role
from ..messages.printable import printable_lines
from ..messages.stand_ins import error_line
from ..messages.table import table
from .bottleneck import advice, bottleneck, of_bottleneck
from .hops import hop_advice
from .latency import PERCENTS
from .oversubscription import thread_advice
from .reading import Reading, StageFacts, WorkerReading, by_host
from .run_record import RunRecord, StageReport
from .snapshot import SECOND, units

__all__ = ["Report", "report", "report_of"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Report(RunRecord[T]):
    """The result of a run. `print(report)` shows it as a table.

    value: what the sink returned; with several workers, the list of what each returned. None unless it was completed.
    stages: the items, times and resources of each stage.
    duration: seconds from the opening of the run until its last worker had ended.
    dead_letters: the items that a `DeadLetter` policy without `to=` has collected.
    bottleneck: the stage that limited the rate, if there was one; see `Progress`.
    advice: what could be done about it, about workers with too many threads, and about functions that
    take less time than the way of their items, with the measurements behind it; empty if there is no advice.
    samples: the run over time, at most 512 samples; empty without an observer.
    latency: how long items took from the source to the sink; None without an observer.
    decisions: the changes in the number of workers of each "auto" stage, with time and reason.
    status: "completed", "failed", "cancelled" (left before its end, also by Ctrl-C), or "running".
    error: the class and the text of the error that ended it; None unless it failed.
    done_before: how many items of the source were done in earlier attempts of a durable run. again_at_most: how many
    items at most this attempt has done again, because the journal did not yet say that they are done. journal: the path
    of its file; empty if there is none. done: how many items this attempt has done, by its journal. left: how many are
    left; None if the length of the source is not known, or the items are counted behind a generator stage. All else in
    the report is of this attempt.
    started: when the run was opened, in seconds as of `time.time`. failed_stage: the first stage that has failed.
    """

    def __str__(self) -> str:
        return printable_lines("\n".join((table(*self.cells()), *self.lines())))

    def _repr_html_(self) -> str:
        """Show it in a notebook."""
        # As for `to_html`.
        from .html_table import report_html

        return report_html(self)

    def to_html(self, path: str | PathLike[str]) -> None:
        """Write it as one page of HTML that loads nothing else: the chain, the table, and charts over time."""
        # Few programs write a page.
        from .html import page

        Path(path).write_text(printable_lines(page(self)), encoding="utf-8")

    def to_json(self) -> str:
        """The report as a JSON object, without the value, which may be anything.

        Keys: `started` (ISO 8601, or null), `status`, `error` (a text or null), `failed_stage` (a name or null),
        `done_before`, `again_at_most`, `done`, `left` (a number or null), `duration`, `bottleneck` (a name or null),
        `advice`, `dead_letters` (how many), `letters` (objects with `stage`, `index`, `part`, and short texts of the
        `item` and the `error`), `latency` (an object with `p50`, `p90` and `p99`, or null), and `stages` and
        `decisions`, which are lists of objects with the fields of `StageReport` and `Decision`. Times are in seconds,
        memory is in bytes.
        """
        # As for `to_html`.
        import json
        from dataclasses import asdict
        from datetime import UTC, datetime

        within = {f"p{percent}": self.latency.quantile(percent / 100) for percent in PERCENTS} if self.latency else None
        told = {
            "started": datetime.fromtimestamp(self.started, UTC).isoformat() if self.started is not None else None,
            "status": self.status,
            "error": self.error,
            "failed_stage": self.failed_stage,
            "done_before": self.done_before,
            "again_at_most": self.again_at_most,
            "done": self.done,
            "left": self.left,
            "duration": self.duration,
            "bottleneck": self.bottleneck,
            "advice": self.advice,
            "dead_letters": len(self.dead_letters),
            "letters": [
                {
                    "stage": letter.stage,
                    "index": letter.index,
                    "part": letter.part,
                    "item": short_repr(letter.item),
                    "error": error_line(letter.error),
                }
                for letter in self.dead_letters
            ],
            "latency": within,
            "stages": [asdict(stage) for stage in self.stages],
            "decisions": [asdict(decision) for decision in self.decisions],
        }
        return json.dumps(told)


def report(
    stage_facts: Sequence[StageFacts],
    final: Reading,
    value: T,
    dead_letters: Sequence[DeadItem],
    peaks: Sequence[int | None] | None,
    interpreter: float,
) -> Report[T]:
    """What a reading of a run tells: how it has ended, and what others have seen of it, is added by the run.

    peaks: items in flight, by stage. interpreter: ns of processors of the main process.
    """
    found = units(stage_facts, final)
    held_by = bottleneck(found)
    seconds = (final.at - final.began) / SECOND
    # Stages that share a worker tell the same of it.
    groups = {
        facts.group: workers for facts, workers in zip(stage_facts, final.stages, strict=True) if facts.on_processes
    }
    telling = list(chain.from_iterable(groups.values()))
    is_told = all(worker.memory for worker in telling)
    asked = (sum(worker.cpu + worker.delayed for worker in telling) + interpreter) / SECOND
    shares = (asked / seconds if is_told else None, interpreter / SECOND / seconds) if seconds > 0 else (None, 0.0)
    told = (
        advice(found, processors(), *shares),
        thread_advice(stage_facts, final.stages, processors()),
        hop_advice(stage_facts, final.stages),
    )
    stages = zip(stage_facts, final.stages, peaks or repeat(None, len(stage_facts)), of_bottleneck(found), strict=True)
    return Report(
        value,
        tuple(_with_hosts(facts, workers, final.at / SECOND, peak, mark) for facts, workers, peak, mark in stages),
        final.at / SECOND,
        dead_letters,
        bottleneck=held_by.name if held_by is not None else None,
        advice="\n".join(filter(None, told)),
    )


def _with_hosts(
    facts: StageFacts, workers: Sequence[WorkerReading], duration: float, peak: int | None, is_bottleneck: bool
) -> StageReport:
    hosts = []
    for host, numbers in by_host(workers).items():
        # A worker that has moved has done its earlier items on another machine: they count for its present one.
        there, part = replace(facts, workers=len(numbers)), [workers[number] for number in numbers]
        hosts.append(replace(_stage(there, part, duration, peak=None, is_bottleneck=False), host=host))
    return replace(_stage(facts, workers, duration, peak, is_bottleneck), hosts=tuple(hosts))


def _stage(
    facts: StageFacts, workers: Sequence[WorkerReading], duration: float, peak: int | None, is_bottleneck: bool
) -> StageReport:
    def total(name: str) -> int:
        return sum(getattr(each, name) for each in workers)

    moved = total("sent" if facts.role is Role.SOURCE else "received")
    return StageReport(
        stage=facts.stage,
        role=facts.role.value,
        executor=facts.executor,
        workers=sum(each.lived > 0 for each in workers) if facts.is_auto else facts.workers,
        received=total("received"),
        finished=total("finished"),
        sent=total("sent"),
        skipped=total("skipped") + total("skipped_parts"),
        dead=total("dead") + total("dead_parts"),
        retried=total("retried"),
        restarts=total("restarts"),
        recycled=total("recycled"),
        busy=total("busy") / SECOND,
        starved=total("starved") / SECOND,
        blocked=total("blocked") / SECOND,
        rate=moved / duration if duration else 0.0,
        peak_in_flight=peak,
        memory=tuple(each.memory for each in workers if each.memory),
        cpu=total("cpu") / SECOND,
        delayed=total("delayed") / SECOND,
        is_bottleneck=is_bottleneck,
        set_up=total("set_up") / SECOND,
    )


def report_of(error: BaseException) -> Report[None] | None:
    """The report of the run that this exception has ended; None if it has ended none.

    >>> from chainpump import Inline, Pipeline, report_of
    >>> try:
    ...     report = Pipeline([4, 2, 0]).map(lambda n: 8 // n, on=Inline()).into(sum, on=Inline()).run()
    ... except (Exception, KeyboardInterrupt) as error:
    ...     report = report_of(error)
    >>> report.status, report.stages[0].sent
    ('failed', 3)

    It works for `RunError`, for the exception of a sink, and for the KeyboardInterrupt of Ctrl-C during `run`, in a
    loop over a pipeline, and in the `with` block of an open run. The report has the dead letters so far. If another
    exception was raised on the way, such as that of a second Ctrl-C, the report is that of the exception before it.
    Raises nothing.
    """
    seen: set[int] = set()
    at: BaseException | None = error
    while at is not None and id(at) not in seen:
        found = getattr(at, "report", None)
        if isinstance(found, Report):
            return found
        seen.add(id(at))
        at = at.__cause__ or at.__context__
    return None

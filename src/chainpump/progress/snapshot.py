"""Progress: a frozen snapshot of a run, made of two readings of its board."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import groupby, pairwise
from operator import attrgetter

from ..ipc.board import State
from ..lazy_dataclass import dataclass, replace
from ..messages.names import Role
from ..messages.printable import printable
from ..messages.table import table
from .bottleneck import Unit, bottleneck, of_bottleneck
from .reading import Reading, StageFacts, WorkerReading, by_host

__all__ = ["SECOND", "Progress", "StageProgress", "clock", "labels", "left_out", "progress", "rate_text", "units"]

# One second in ns.
SECOND = 1e9
# The states of a worker that has sent all that it makes.
ENDED = frozenset((State.DONE, State.STOPPED))
# Rates from here on are shown as whole numbers: 9.95 would be shown as 9.9 or 10.
AS_WHOLE = 9.95
# Smaller rates are shown as this: about four items in an hour.
LEAST_RATE = 0.001


@dataclass(frozen=True, slots=True)
class StageProgress:
    """One stage of a run, over all its workers.

    workers: how many items it may process at once, as its executor says; for "auto" the most.
    alive: workers that have started, or are being set up, and have not ended.
    received, sent: items so far. rate: items received per second; for a source, items sent.
    in_flight: items received and not finished. queued: items that the stage before has sent, and this one has not
    received.
    busy, starved, blocked: shares of the time of its workers: running its function, waiting for input, and waiting for
    room to send. They add up to 1, or are all 0 before it starts. Neighbours on `Inline` share a worker and its times.
    skipped, dead: items that a policy skipped, or made dead letters. retried: calls that were repeated.
    restarts: workers that replaced one that had died. recycled: workers that were followed by a fresh one after their
    share.
    is_bottleneck: whether it limits the rate of the run; see `Progress`.
    set_up: seconds in which its factories made their functions, over all its workers; see `per_worker`.
    hosts: the same for its workers on each machine, which `host` names; empty for workers on that of the main process.
    """

    stage: str
    role: str
    executor: str
    workers: int
    alive: int
    received: int
    sent: int
    rate: float
    in_flight: int
    busy: float
    starved: float
    blocked: float
    skipped: int = 0
    dead: int = 0
    retried: int = 0
    restarts: int = 0
    recycled: int = 0
    is_bottleneck: bool = False
    set_up: float = 0.0
    host: str = ""
    hosts: tuple[StageProgress, ...] = ()
    queued: int = 0


@dataclass(frozen=True, slots=True)
class Progress:
    """A run at one moment; `str()` is a table.

    elapsed: seconds since the run was opened. seconds: the length of the recent period that rates and shares describe.
    items: how many have left the last stage; rate: how many per second. length: how many the source makes, if known;
    if not, how many it has made, once it has ended. done_before: how many of these earlier attempts of a durable run
    have done; `fraction` counts them, and `items` does not.
    fraction: the part of the work that is done, from 0 to 1: the part of the source's items that exist, times for each
    stage the part of its input that it has finished. left: estimated seconds for the rest. None where not known.
    bottleneck: the stage that limits the rate, if there is one: its workers are busy for the largest share of the time,
    and for at least half of it. Neighbours that share a worker are named together.
    is_over: whether the run has ended.
    """

    elapsed: float
    seconds: float
    items: int
    rate: float
    length: int | None
    fraction: float | None
    left: float | None
    bottleneck: str | None
    stages: tuple[StageProgress, ...]
    is_over: bool = False
    done_before: int = 0

    @property
    def percent(self) -> float | None:
        """The same as `fraction`, from 0 to 100."""
        return None if self.fraction is None else 100 * self.fraction

    def __str__(self) -> str:
        heads, rows = cells(self.stages)
        return f"{table(heads, rows)}\n{self.line()}"

    def line(self) -> str:
        """The whole run in one line."""
        parts = [f"{self.items:,} items", f"{rate_text(self.rate)}/s", clock(self.elapsed)]
        if self.fraction is not None:
            whole = f" of {self.length:,}" if self.length is not None else ""
            parts.append(f"{self.fraction:.0%}{whole}")
        if self.done_before:
            parts.append(f"{self.done_before:,} done before")
        if self.left is not None and not self.is_over:
            parts.append(f"{clock(self.left)} left")
        if self.bottleneck is not None:
            parts.append(f"bottleneck {printable(self.bottleneck)}")
        parts += left_out(*(sum(map(attrgetter(name), self.stages)) for name in ("skipped", "dead")))
        by_host = [each for stage in self.stages for each in stage.hosts]
        if by_host and not self.is_over:
            # The others have not joined the run yet, or are lost, or have no more work.
            alive = {each.host for each in by_host if each.alive}
            parts.append(f"workers on {len(alive)} of {len({each.host for each in by_host})} hosts")
        return ", ".join(parts)


def cells(stages: Sequence[StageProgress]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Heads and rows of a table. Columns that are empty for all stages are left out.

    A stage on other machines has a row for each of them below its own.
    """
    shares = ("busy", "starved", "blocked")
    rare = ("skipped", "dead", "retried", "restarts", "recycled")
    counted = [name for name in rare if any(map(attrgetter(name), stages))]
    sets_up = any(each.set_up for each in stages)
    shown = [each for stage in stages for each in (stage, *stage.hosts)]
    is_elsewhere = any(each.host for each in shown)
    is_source = Role.SOURCE.value
    rows = [
        (
            "" if each.host else printable(each.stage),
            "" if each.host else each.executor,
            *([printable(each.host)] * is_elsewhere),
            str(each.alive),
            "" if each.role == is_source else f"{each.received:,}",
            "" if each.role == Role.SINK.value else f"{each.sent:,}",
            rate_text(each.rate),
            # The workers on several machines share one queue.
            "" if each.role == is_source or each.host else f"{each.queued:,}",
            "" if each.role == is_source else f"{each.in_flight:,}",
            *(f"{getattr(each, name):.0%}" for name in shares),
            *(f"{getattr(each, name):,}" for name in counted),
            *([f"{each.set_up:.1f} s" if each.set_up else ""] * sets_up),
        )
        for each in shown
    ]
    numbers = ("alive", "received", "sent", "items/s", "queued", "in flight", *shares, *counted)
    return ("stage", "on", *(["host"] * is_elsewhere), *numbers, *(["set up"] * sets_up)), rows


def left_out(skipped: int, dead: int) -> list[str]:
    """The items that policies have left out, as parts of a line.

    >>> left_out(1_200, 1)
    ['1,200 skipped', '1 dead letter']
    """
    texts = (skipped, f"{skipped:,} skipped"), (dead, f"{dead:,} dead letter{'s' * (dead != 1)}")
    return [text for count, text in texts if count]


def rate_text(rate: float) -> str:
    """Items per second, with two digits at least where that says something.

    >>> [rate_text(rate) for rate in (12_219.4, 82.5, 3.14159, 0.25, 0.0004, 0)]
    ['12,219', '82', '3.1', '0.25', '<0.001', '0']
    """
    if 0 < rate < LEAST_RATE:
        return f"<{LEAST_RATE}"
    return f"{rate:.2g}" if 0 < rate < AS_WHOLE else f"{rate:,.0f}"


def labels(stages: Sequence[StageProgress]) -> list[str]:
    """The names of stages, numbered where several have the same name: `abs`, `abs (2)`."""
    seen: Counter[str] = Counter()
    found = []
    for each in stages:
        seen[each.stage] += 1
        found.append(f"{each.stage} ({seen[each.stage]})" if seen[each.stage] > 1 else each.stage)
    return found


def clock(seconds: float) -> str:
    """Seconds as a clock shows them: 0:07, 12:30, 1:02:03.

    >>> clock(3723.4)
    '1:02:03'
    """
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def progress(
    stage_facts: Sequence[StageFacts],
    now: Reading,
    before: Reading | None = None,
    length: int | None = None,
    done_before: int = 0,
) -> Progress:
    """Make a snapshot. before: the reading from which rates and shares are counted; None for the start.

    length: how many items of the source this run has to do. done_before: how many more were done before.
    """
    since = before.at if before is not None else 0
    seconds = (now.at - since) / SECOND
    earlier = before.stages if before is not None else [[WorkerReading()] * len(workers) for workers in now.stages]
    found = units(stage_facts, now, before)
    held_by = bottleneck(found)
    stages = tuple(
        _with_hosts(facts, late, early, seconds, mark)
        for facts, late, early, mark in zip(stage_facts, now.stages, earlier, of_bottleneck(found), strict=True)
    )
    queues = (max(before.sent - after.received, 0) for before, after in pairwise(stages))
    stages = (stages[0], *(replace(stage, queued=queued) for stage, queued in zip(stages[1:], queues, strict=True)))
    if all(worker.state in ENDED for worker in now.stages[0]):
        length = stages[0].sent
    done = _done(now, length)
    gained = (done or 0.0) - (_done(before, length) or 0.0 if before is not None else 0.0)
    whole = None if length is None else length + done_before
    last = stages[-1]
    return Progress(
        elapsed=now.at / SECOND,
        seconds=seconds,
        items=last.received if last.role == Role.SINK.value else last.sent,
        rate=last.rate,
        length=whole,
        fraction=done if done is None or not whole else (done_before + done * (length or 0)) / whole,
        left=(1 - done) * seconds / gained if done is not None and gained > 0 else None,
        bottleneck=held_by.name if held_by is not None else None,
        stages=stages,
        is_over=now.is_over,
        done_before=done_before,
    )


def _with_hosts(
    facts: StageFacts,
    late: Sequence[WorkerReading],
    early: Sequence[WorkerReading],
    seconds: float,
    is_bottleneck: bool,
) -> StageProgress:
    hosts = []
    for host, numbers in by_host(late).items():
        # A worker that has moved has done its earlier items on another machine: they count for its present one.
        there = replace(facts, workers=len(numbers))
        now, then = ([workers[number] for number in numbers] for workers in (late, early))
        hosts.append(replace(_stage(there, now, then, seconds, is_bottleneck=False), host=host))
    return replace(_stage(facts, late, early, seconds, is_bottleneck), hosts=tuple(hosts))


def _stage(
    facts: StageFacts,
    late: Sequence[WorkerReading],
    early: Sequence[WorkerReading],
    seconds: float,
    is_bottleneck: bool,
) -> StageProgress:
    total, then = _total(late), _total(early)
    gained = total["sent"] - then["sent"] if facts.role is Role.SOURCE else total["received"] - then["received"]
    lived = total["lived"] - then["lived"]
    starved, blocked = (
        min(max(total[name] - then[name], 0) / lived, 1.0) if lived > 0 else 0.0 for name in ("starved", "blocked")
    )
    blocked = min(blocked, 1 - starved)
    return StageProgress(
        stage=facts.stage,
        role=facts.role.value,
        executor=facts.executor,
        workers=facts.workers,
        alive=sum(each.alive for each in late),
        received=total["received"],
        sent=total["sent"],
        rate=max(gained, 0) / seconds if seconds > 0 else 0.0,
        in_flight=max(total["received"] - _dealt_with(total), 0),
        busy=1 - starved - blocked if lived > 0 else 0.0,
        starved=starved,
        blocked=blocked,
        skipped=total["skipped"] + total["skipped_parts"],
        dead=total["dead"] + total["dead_parts"],
        retried=total["retried"],
        restarts=total["restarts"],
        recycled=total["recycled"],
        is_bottleneck=is_bottleneck,
        set_up=total["set_up"] / SECOND,
    )


COUNTS = (
    "received",
    "finished",
    "sent",
    "skipped",
    "dead",
    "skipped_parts",
    "dead_parts",
    "retried",
    "restarts",
    "recycled",
    "lived",
    "starved",
    "blocked",
    "set_up",
    "cpu",
)


def _total(workers: Sequence[WorkerReading]) -> Counter[str]:
    return Counter({name: sum(getattr(each, name) for each in workers) for name in COUNTS})


def _dealt_with(total: Counter[str]) -> int:
    return total["finished"] + total["skipped"] + total["dead"]


def _done(reading: Reading, length: int | None) -> float | None:
    """The part of the work that is done; see `Progress`."""
    if length is None:
        return None
    totals = [_total(workers) for workers in reading.stages]
    done = totals[0]["sent"] / length if length else 1.0
    for before, after in pairwise(totals):
        if before["sent"]:
            done *= _dealt_with(after) / before["sent"]
    return min(done, 1.0)


def units(stage_facts: Sequence[StageFacts], now: Reading, before: Reading | None = None) -> list[Unit]:
    """The units of a run, with their loads since an earlier reading, or since the first worker began."""
    since = max(before.at, now.began) if before is not None else now.began
    seconds = now.at - since
    found = []
    for _, members in groupby(range(len(stage_facts)), lambda index: stage_facts[index].group):
        indices = list(members)
        first = stage_facts[indices[0]]
        total = _total(now.stages[indices[0]])
        if before is not None:
            total.subtract(_total(before.stages[indices[0]]))
        # An "auto" stage may have had fewer workers than it may have: only the time of those that existed counts.
        whole = max(total["lived"], seconds) if first.is_auto else seconds * len(now.stages[indices[0]])
        busy = total["lived"] - total["starved"] - total["blocked"]
        load, blocked = (min(max(ns, 0) / whole, 1.0) if whole > 0 else 0.0 for ns in (busy, total["blocked"]))
        found.append(
            Unit(
                tuple(stage_facts[index].stage for index in indices),
                round(whole / seconds) if first.is_auto and seconds > 0 else first.workers,
                load,
                blocked,
                is_source=first.role is Role.SOURCE,
                grows=first.grows,
                is_auto=first.is_auto,
                on_processes=first.on_processes,
            )
        )
    return found

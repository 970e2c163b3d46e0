"""The utilisation of a run in a short window of time: busy workers, and the demand for processors."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from ..lazy_dataclass import dataclass
from ..progress.reading import Reading, StageFacts, WorkerReading

__all__ = ["Mark", "Utilisation", "mark", "utilisation"]

# Nanoseconds.
SECOND = 1e9
# The least number of items that shows whether a group runs ahead of the next one.
MEANINGFUL = 8


@dataclass(frozen=True, slots=True)
class Mark:
    """The begin or the end of a window.

    interpreter: processor time of the main process, in ns. taken: processor time of each running worker process, in ns.
    """

    reading: Reading
    interpreter: int
    taken: Mapping[int, int | None]


@dataclass(frozen=True, slots=True)
class Utilisation:
    """The measurements of a window. at: its end, in seconds since the run was opened. seconds: its length.

    busy: how many workers of each group were busy, on average. received: how many items each group has received.
    demand: how many processors the run could have kept busy, on average. `busy` and `demand` are discounted by what
    downstream has consumed: a stage that runs ahead is not a bottleneck.
    """

    at: float
    seconds: float
    busy: Sequence[float]
    received: Sequence[int]
    demand: float


def mark(reading: Reading, interpreter: int, processes: Collection[int]) -> Mark:
    """A mark at this time. processes: the worker processes."""
    return Mark(reading, interpreter, {pid: taken(pid) for pid in processes})


def utilisation(stage_facts: Sequence[StageFacts], began: Mark, now: Mark, hosts: Mapping[int, int]) -> Utilisation:
    """The utilisation between two marks. hosts: the index of the group, for each worker process."""
    ns = now.reading.at - began.reading.at
    busy: list[float] = []
    received: list[int] = []
    sent: list[int] = []
    for index, facts in enumerate(stage_facts):
        pairs = list(_pairs(index, began, now))
        made = sum(late.sent - early.sent for early, late in pairs)
        # The stage shares its workers with the previous one.
        if facts.group < len(busy):
            sent[-1] = made
            continue
        busy.append(sum(max(late.busy - early.busy, 0) for early, late in pairs) / ns)
        received.append(sum(late.received - early.received for early, late in pairs))
        sent.append(made)
    parts = _consumed(sent, received)
    busy = [each * part for each, part in zip(busy, parts, strict=True)]
    demand = (now.interpreter - began.interpreter) / ns
    both = [(began.taken[pid], late, hosts[pid]) for pid, late in now.taken.items() if pid in began.taken]
    known = [
        (late - early) / ns * parts[group] for early, late, group in both if early is not None and late is not None
    ]
    # If the system does not report processor time, busy workers count as users of a processor.
    demand += sum(known) if len(known) == len(both) else sum(busy[group] for group in {group for _, _, group in both})
    return Utilisation(now.reading.at / SECOND, ns / SECOND, busy, received, demand)


def _consumed(sent: Sequence[int], received: Sequence[int]) -> Sequence[float]:
    """For each group, the part of its results that all downstream groups have consumed."""
    parts = [1.0]
    for out, into in zip(reversed(sent[:-1]), reversed(received), strict=False):
        parts.append(parts[-1] * (min(into / out, 1.0) if out >= MEANINGFUL else 1.0))
    return parts[::-1]


def _pairs(index: int, began: Mark, now: Mark) -> Iterator[tuple[WorkerReading, WorkerReading]]:
    return zip(began.reading.stages[index], now.reading.stages[index], strict=True)


def taken(pid: int) -> int | None:
    """Nanoseconds for which the main thread of a process had a processor or was ready to run; None if unknown."""
    try:
        cpu, delayed, _ = Path(f"/proc/{pid}/schedstat").read_text().split()
    except (OSError, ValueError):
        return None
    return int(cpu) + int(delayed)

"""What is measured of a run over a short window of time: who was busy, and what was asked of the processors."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from ..lazy_dataclass import dataclass
from ..progress.reading import Place, Reading, WorkerReading

__all__ = ["Mark", "Utilisation", "mark", "utilisation"]

# Ns.
SECOND = 1e9
# Items: fewer say nothing about who is ahead of whom.
TELLING = 8


@dataclass(frozen=True, slots=True)
class Mark:
    """The begin or the end of a window. taken: ns of processors, by process, of those that still run.

    interpreter: the same of the main process.
    """

    reading: Reading
    interpreter: int
    taken: Mapping[int, int | None]


@dataclass(frozen=True, slots=True)
class Utilisation:
    """What a window has shown. at: seconds since the run was opened; seconds: how long it was.

    busy: of each group, how many of its workers were busy on average. received: how many items came there. asked:
    processors that the run could have kept busy, on average. Both are with what those behind a group have taken up: who
    runs ahead of them holds up nobody, and need not.
    """

    at: float
    seconds: float
    busy: Sequence[float]
    received: Sequence[int]
    asked: float


def mark(reading: Reading, interpreter: int, processes: Collection[int]) -> Mark:
    """Now. processes: those of workers."""
    return Mark(reading, interpreter, {pid: taken(pid) for pid in processes})


def utilisation(places: Sequence[Place], began: Mark, now: Mark, hosts: Mapping[int, int]) -> Utilisation:
    """Between two marks. hosts: of each process, the group that its worker is in."""
    ns = now.reading.at - began.reading.at
    busy: list[float] = []
    received: list[int] = []
    sent: list[int] = []
    for index, place in enumerate(places):
        pairs = list(_pairs(index, began, now))
        made = sum(late.sent - early.sent for early, late in pairs)
        # It shares its workers with the one before.
        if place.group < len(busy):
            sent[-1] = made
            continue
        busy.append(sum(max(late.busy - early.busy, 0) for early, late in pairs) / ns)
        received.append(sum(late.received - early.received for early, late in pairs))
        sent.append(made)
    parts = _taken_up(sent, received)
    busy = [each * part for each, part in zip(busy, parts, strict=True)]
    asked = (now.interpreter - began.interpreter) / ns
    both = [(began.taken[pid], late, hosts[pid]) for pid, late in now.taken.items() if pid in began.taken]
    known = [
        (late - early) / ns * parts[group] for early, late, group in both if early is not None and late is not None
    ]
    # Where the system does not tell, whoever is busy is taken to be at work.
    asked += sum(known) if len(known) == len(both) else sum(busy[group] for group in {group for _, _, group in both})
    return Utilisation(now.reading.at / SECOND, ns / SECOND, busy, received, asked)


def _taken_up(sent: Sequence[int], received: Sequence[int]) -> Sequence[float]:
    """Of what each group has sent, which part all of those behind it have taken up."""
    parts = [1.0]
    for out, into in zip(reversed(sent[:-1]), reversed(received), strict=False):
        parts.append(parts[-1] * (min(into / out, 1.0) if out >= TELLING else 1.0))
    return parts[::-1]


def _pairs(index: int, began: Mark, now: Mark) -> Iterator[tuple[WorkerReading, WorkerReading]]:
    return zip(began.reading.stages[index], now.reading.stages[index], strict=True)


def taken(pid: int) -> int | None:
    """Nanoseconds for which the main thread of a process had a processor, or was ready to; None where nobody tells."""
    try:
        cpu, delayed, _ = Path(f"/proc/{pid}/schedstat").read_text().split()
    except (OSError, ValueError):
        return None
    return int(cpu) + int(delayed)

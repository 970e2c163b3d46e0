"""How long items take from the source to the sink, estimated from the counts of each stage.

Frames carry no times. But a stage takes items about in the order in which the stage before it has sent them. So the
items that the source has sent by now reach the sink when each stage has finished as many items as the stage before it
had sent. A mark is such a position in the stream. It is followed from stage to stage by reading the counts.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from math import ceil, log2
from typing import NamedTuple

from ..lazy_dataclass import dataclass
from .reading import WorkerReading

__all__ = ["PERCENTS", "STEPS", "Counts", "Latencies", "Latency", "counted", "readable"]

# The most marks that are set at one reading: the source may be far ahead of the other stages.
AT_ONCE = 4
# The most marks in the stream at one time: enough for a distribution, also if items take hours.
MOST = 4096
# The percentiles that are shown.
PERCENTS = (50, 90, 99)
# Classes of the histogram for each doubling of the time: a class is 19 % wide.
STEPS = 4


class Counts(NamedTuple):
    """The items of one stage so far: received, done (finished, skipped or dead), and sent."""

    received: int
    dealt_with: int
    sent: int


def counted(workers: Sequence[WorkerReading]) -> Counts:
    """The counts of a stage, summed over its workers."""
    return Counts(
        sum(each.received for each in workers),
        sum(each.finished + each.skipped + each.dead for each in workers),
        sum(each.sent for each in workers),
    )


@dataclass(frozen=True, slots=True)
class Latency:
    """From leaving the source to entering the sink. `str()` is a line.

    classes: a histogram. Each class has its upper bound in seconds and a number of items; it is 19 % wide.
    """

    classes: Sequence[tuple[float, int]]

    def quantile(self, share: float) -> float:
        """Seconds within which this share of the items arrived: 0.5 for the median."""
        left = share * sum(count for _, count in self.classes)
        for seconds, count in self.classes:
            left -= count
            if left <= 0:
                return seconds
        return self.classes[-1][0]

    def __str__(self) -> str:
        return ", ".join(f"{each}% within {readable(self.quantile(each / 100))}" for each in PERCENTS)


def readable(seconds: float) -> str:
    """A time with its unit.

    >>> readable(0.254), readable(12.4)
    ('250 ms', '12 s')
    """
    figure, unit = (seconds, "s") if seconds >= 1 else (1000 * seconds, "ms")
    return f"{float(f'{figure:.2g}'):g} {unit}"


class _Mark(NamedTuple):
    """A mark on its way to a stage: it is reached when that stage has done so many items.

    since: when the source had sent it, in seconds. stands_for: how many items of the source it represents.
    """

    items: int
    since: float
    stands_for: int


class Latencies:
    """Follows marks through a run. Times are as exact as the interval between two readings."""

    def __init__(self, stages: int) -> None:
        # The marks on their way to each stage, the earliest first.
        self._coming: Sequence[deque[_Mark]] = [deque() for _ in range(stages)]
        self._found: Counter[int] = Counter()
        # Items sent by each stage at the last reading; for the source, items that are marked.
        self._sent = [0] * stages

    def look(self, stages: Sequence[Counts], at: float) -> None:
        """Move the marks on by a new reading. at: its time in seconds."""
        for index in range(1, len(stages) - 1):
            coming, later = self._coming[index], self._coming[index + 1]
            while coming and coming[0].items <= stages[index].dealt_with:
                # At the last reading its item was not done: what the stage made of it was sent later.
                _, since, stands_for = coming.popleft()
                later.append(_Mark(self._sent[index] + 1, since, stands_for))
        last = self._coming[-1]
        while last and last[0].items <= stages[-1].received:
            mark = last.popleft()
            self._found[ceil(STEPS * log2(at - mark.since))] += mark.stands_for
        self._mark(stages[0].sent, at)
        self._sent[1:] = [stage.sent for stage in stages[1:]]

    def _mark(self, sent: int, at: float) -> None:
        """Mark what the source has sent since the last reading, if there are not too many marks in the stream."""
        room = min(AT_ONCE, MOST - sum(map(len, self._coming)), sent - self._sent[0])
        for left in range(room, 0, -1):
            stands_for = (sent - self._sent[0]) // left
            self._sent[0] += stands_for
            self._coming[1].append(_Mark(self._sent[0], at, stands_for))

    @property
    def latency(self) -> Latency | None:
        """The distribution; None if no mark has arrived."""
        classes = [(2 ** (step / STEPS), count) for step, count in sorted(self._found.items())]
        return Latency(tuple(classes)) if classes else None

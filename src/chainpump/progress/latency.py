"""How long items take from the source to the sink, as far as the counts of each stage tell.

Frames carry no times. But a stage takes its items about in the order in which the one before has sent them: so what the
source has sent by now is at the end once each stage has dealt with as many as the one before had sent by then. A mark
is such a place in the stream; it is followed from stage to stage, by looks at the counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log2
from typing import NamedTuple

from .reading import WorkerReading

__all__ = ["PERCENTS", "STEPS", "Counts", "Latencies", "Latency", "counted", "readable"]

MOST = 512  # marks on their way at one time; where items take for hours, these tell as much as more of them
PERCENTS = (50, 90, 99)  # of the items: within which time so many of them arrive
STEPS = 4  # classes for each doubling: a class is 19 % wide


class Counts(NamedTuple):
    """The items of one stage so far: received, dealt with (finished, skipped or put aside), and sent."""

    received: int
    dealt_with: int
    sent: int


def counted(workers: Sequence[WorkerReading]) -> Counts:
    """Those of a stage, by its workers."""
    return Counts(
        sum(each.received for each in workers),
        sum(each.finished + each.skipped + each.dead for each in workers),
        sum(each.sent for each in workers),
    )


@dataclass(frozen=True, slots=True)
class Latency:
    """From leaving the source to entering the sink. `str()` is a line.

    classes: seconds, and how many of the items that were looked at took so long at most, and longer than those of the
    class before; each class is 19 % wide.
    """

    classes: Sequence[tuple[float, int]]

    def quantile(self, share: float) -> float:
        """Seconds within which so many of the items were there: 0.5 for the median."""
        left = share * sum(count for _, count in self.classes)
        for seconds, count in self.classes:
            left -= count
            if left <= 0:
                return seconds
        return self.classes[-1][0]

    def __str__(self) -> str:
        return ", ".join(f"{each}% within {readable(self.quantile(each / 100))}" for each in PERCENTS)


def readable(seconds: float) -> str:
    """With its unit.

    >>> readable(0.0254), readable(12.4)
    ('25 ms', '12 s')
    """
    return f"{seconds:.2g} s" if seconds >= 1 else f"{1000 * seconds:.2g} ms"


class _Mark(NamedTuple):
    """Behind so many items, of those that come to a stage. since: seconds; when the source had sent it."""

    stage: int
    items: int
    since: float

    def moved(self, stages: Sequence[Counts]) -> _Mark:
        """Where it is by now; beyond the last stage once that has received it."""
        stage, items = self.stage, self.items
        while stage < len(stages) - 1 and stages[stage].dealt_with >= items:
            items = stages[stage].sent + 1  # what comes of it is sent next, at the latest
            stage += 1
        arrived = stage == len(stages) - 1 and stages[stage].received >= items
        return _Mark(stage + arrived, items, self.since)


class Latencies:
    """Follows marks through a run. Nothing tells more exactly when an item was where than the looks are apart."""

    def __init__(self) -> None:
        self._marks: list[_Mark] = []
        self._found: Counter[int] = Counter()
        self._sent = 0  # by the source at the last look

    def look(self, stages: Sequence[Counts], at: float) -> None:
        """See how far everything is. at: seconds."""
        on_their_way: list[_Mark] = []
        for mark in self._marks:
            moved = mark.moved(stages)
            if moved.stage == len(stages):
                self._found[ceil(STEPS * log2(at - moved.since))] += 1
            else:
                on_their_way.append(moved)
        self._marks = on_their_way
        if stages[0].sent > self._sent and len(on_their_way) < MOST:
            self._sent = stages[0].sent
            on_their_way.append(_Mark(1, self._sent, at))

    @property
    def latency(self) -> Latency | None:
        """What was found; None if no mark has arrived."""
        classes = [(2 ** (step / STEPS), count) for step, count in sorted(self._found.items())]
        return Latency(tuple(classes)) if classes else None

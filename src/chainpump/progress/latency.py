"""How long items take from the source to the sink, as far as the counts of each stage tell.

Frames carry no times. But a stage takes its items about in the order in which the one before has sent them: so what the
source has sent by now is at the end once each stage has dealt with as many as the one before had sent by then. A mark
is such a place in the stream; it is followed from stage to stage, by looks at the counts.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from math import ceil, log2
from typing import NamedTuple

from ..lazy_dataclass import dataclass
from .reading import WorkerReading

__all__ = ["PERCENTS", "STEPS", "Counts", "Latencies", "Latency", "counted", "readable"]

# Marks for what the source has sent since the last look: it may be far ahead of the others.
AT_ONCE = 4
# Marks on their way at one time; where items take for hours, these tell as much as more of them.
MOST = 4096
# Of the items: within which time so many of them arrive.
PERCENTS = (50, 90, 99)
# Classes for each doubling: a class is 19 % wide.
STEPS = 4


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

    >>> readable(0.254), readable(12.4)
    ('250 ms', '12 s')
    """
    figure, unit = (seconds, "s") if seconds >= 1 else (1000 * seconds, "ms")
    return f"{float(f'{figure:.2g}'):g} {unit}"


class _Mark(NamedTuple):
    """Behind so many items, of those that come to the stage that it waits for.

    since: seconds; when the source had sent it. stands_for: how many items of the source.
    """

    items: int
    since: float
    stands_for: int


class Latencies:
    """Follows marks through a run. Nothing tells more exactly when an item was where than the looks are apart."""

    def __init__(self, stages: int) -> None:
        # To each stage, the first one first.
        self._coming: Sequence[deque[_Mark]] = [deque() for _ in range(stages)]
        self._found: Counter[int] = Counter()
        # By each at the last look; by the source, what has been marked.
        self._sent = [0] * stages

    def look(self, stages: Sequence[Counts], at: float) -> None:
        """See how far everything is. at: seconds."""
        for place in range(1, len(stages) - 1):
            coming, later = self._coming[place], self._coming[place + 1]
            while coming and coming[0].items <= stages[place].dealt_with:
                # At the last look it had not been dealt with: what comes of it was not among what had been sent.
                _, since, stands_for = coming.popleft()
                later.append(_Mark(self._sent[place] + 1, since, stands_for))
        last = self._coming[-1]
        while last and last[0].items <= stages[-1].received:
            mark = last.popleft()
            self._found[ceil(STEPS * log2(at - mark.since))] += mark.stands_for
        self._mark(stages[0].sent, at)
        self._sent[1:] = [stage.sent for stage in stages[1:]]

    def _mark(self, sent: int, at: float) -> None:
        """Mark what the source has sent since the last look, if not too many marks are on their way."""
        room = min(AT_ONCE, MOST - sum(map(len, self._coming)), sent - self._sent[0])
        for left in range(room, 0, -1):
            stands_for = (sent - self._sent[0]) // left
            self._sent[0] += stands_for
            self._coming[1].append(_Mark(self._sent[0], at, stands_for))

    @property
    def latency(self) -> Latency | None:
        """What was found; None if no mark has arrived."""
        classes = [(2 ** (step / STEPS), count) for step, count in sorted(self._found.items())]
        return Latency(tuple(classes)) if classes else None

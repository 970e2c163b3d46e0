"""Seconds without start-up, and how far they can be trusted.

Start-up is about as long as a measured run and varies with the machine's load, so one sample of it can make any
figure. Hence several samples of which the least counts, and a doubt: how far the two least ones are apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

# Runs for start-up per measured run.
STARTS = 2


@dataclass(slots=True)
class Timing:
    """start_ups: seconds of runs of a few items; totals: seconds of measured runs, start-up included."""

    start_ups: list[float] = field(default_factory=list)
    totals: list[float] = field(default_factory=list)

    @property
    def net(self) -> float:
        """Least seconds without start-up."""
        return min(self.totals) - min(self.start_ups)

    @property
    def doubt(self) -> float:
        """By how many seconds `net` may be off; the totals count from two samples on."""
        return _gap(self.start_ups) + _gap(self.totals)

    def supports(self, share: float) -> bool:
        """Whether the doubt is at most that share of the net time."""
        return self.net > 0 and self.doubt <= share * self.net


def _gap(samples: Sequence[float]) -> float:
    least, *others = sorted(samples)
    return min(others) - least if others else 0.0

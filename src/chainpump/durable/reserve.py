"""How far a durable run may go ahead of its journal, so that a crash repeats no more items than the journal says.

The journal says below which number items may have been begun. The stage that numbers them stops there until a write has
moved the limit. That is rare: after a write, there is room for three times the items since the write before.
"""

from __future__ import annotations

__all__ = ["LEAST", "Reserve", "next_allowance"]

# Items that a run may always be ahead. A run that is slow has nothing from more, and a fast one needs a few writes.
LEAST = 100
# Intervals between two writes whose items fit below the limit.
INTERVALS = 3
# How much more a stage may send after a write for which it had to wait.
MOST_GROWTH, LEAST_GROWTH = 4, 2


def next_allowance(before: int, sent: int, seconds: float, every: float, *, waits: bool) -> int:
    """How many items may be sent beyond those that are sent now.

    >>> next_allowance(100, 30, 1.0, 1.0, waits=False), next_allowance(1000, 700, 1.0, 1.0, waits=False)
    (100, 2100)
    >>> next_allowance(100, 100, 0.001, 1.0, waits=True), next_allowance(1000, 1000, 0.9, 1.0, waits=True)
    (400, 3333)

    before: the same at the last write. sent: the items since then. seconds: the time since then. every: seconds between
    two writes. waits: the stage has come to the limit, and waits for this write.
    """
    if not waits:
        return max(LEAST, INTERVALS * sent)
    wanted = INTERVALS * sent * every / max(seconds, 1e-6)
    return max(LEAST_GROWTH * before, int(min(MOST_GROWTH * before, wanted)))


class Reserve:
    """The limit of one run, which moves with each write. Numbers are those of the run. every: see `next_allowance`.

    limit: items with lower numbers may be sent once this is written.
    """

    def __init__(self, every: float, now: float) -> None:
        self.limit = LEAST
        self._every = every
        self._at = now
        self._sent = 0

    def move(self, sent: int, now: float, *, waits: bool) -> int:
        """Move the limit, and return it. sent: how many items are sent. now: in seconds. waits: as above."""
        before = self.limit - self._sent
        more = next_allowance(before, sent - self._sent, now - self._at, self._every, waits=waits)
        self._sent, self._at = sent, now
        self.limit = max(self.limit, sent + more)
        return self.limit

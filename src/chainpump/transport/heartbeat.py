"""Heartbeats of one link, as pure logic: when to send one, and when the peer counts as lost. It has no clock itself.

For the agents and the switchboard. A frozen host keeps its connections open, so only its silence shows that it is lost.
"""

from __future__ import annotations

from enum import Enum

from ..plan.placement import LOST_AFTER

__all__ = ["SEND_EVERY", "Heartbeat", "Verdict"]

# Seconds. Of five heartbeats four may be late, and of two one: see `LOST_AFTER`.
SEND_EVERY = 1.0


class Verdict(Enum):
    """What a look at the link has shown."""

    QUIET = "nothing to do"
    SEND = "send a heartbeat now"
    LOST = "the peer is lost"


class Heartbeat:
    """The heartbeats of one link. All times are seconds of one monotonic clock.

    Silence counts only while this process looks. Between two looks at most `every` seconds count: if they are further
    apart, this process was stopped, suspended or busy itself, and could not have received anything. So a process that
    wakes up never takes all its peers for lost. Read what has arrived before each look.

    >>> heartbeat = Heartbeat(now=0.0)
    >>> [heartbeat.look(now).name for now in (0.5, 1.0, 1.5, 3600.0)]
    ['QUIET', 'SEND', 'QUIET', 'SEND']
    """

    def __init__(self, now: float, *, every: float = SEND_EVERY, lost_after: float = LOST_AFTER) -> None:
        if not 0 < every < lost_after:
            raise ValueError(f"every must be above 0 and below lost_after but got: {every!r}, {lost_after!r}")
        self._every = every
        self._lost_after = lost_after
        self._sent_at = self._looked_at = now
        # Seconds since something was received, without the time in which this process did not look.
        self._silence = 0.0
        self._is_lost = False

    @property
    def next_look(self) -> float:
        """When to look again at the latest."""
        return min(self._sent_at, self._looked_at) + self._every

    def sent(self, now: float) -> None:
        """Something was sent; any message is as good as a heartbeat."""
        self._sent_at = now

    def received(self, now: float) -> None:
        """Something was received. A lost peer stays lost, because others may have been told so."""
        self._silence = 0.0
        self._looked_at = now

    def look(self, now: float) -> Verdict:
        """What to do now. After SEND, a heartbeat counts as sent."""
        self._silence += min(now - self._looked_at, self._every)
        self._looked_at = now
        if self._is_lost or self._silence >= self._lost_after:
            self._is_lost = True
            return Verdict.LOST
        if now < self._sent_at + self._every:
            return Verdict.QUIET
        self._sent_at = now
        return Verdict.SEND

"""Pairs the hosts that have frames of a junction with the hosts that want frames. It sends and receives nothing itself.

    has(host, n)  ────►  ┌─────────┐
    wants(host, n) ───►  │ Pairing │  ────►  Grant(sender, receiver, n)
    died, parted ─────►  └─────────┘

For the switchboard, a process beside the main process: it owns one Pairing for each junction whose frames cross hosts.
Frames themselves go from host to host.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from typing import NamedTuple

__all__ = ["Grant", "Pairing"]

# How often in a row the host that has waited longest may be passed over, for one that need not use the network.
PATIENCE = 8


class Grant(NamedTuple):
    """A host is to send its next frames, so many, to another host, or to itself."""

    sender: int
    receiver: int
    frames: int


class _Queue:
    """Hosts that wait for their turn, each with a number of frames. Who has had its turn goes to the end."""

    def __init__(self) -> None:
        self._counts: OrderedDict[int, int] = OrderedDict()

    @property
    def first(self) -> int:
        """The host that has waited longest."""
        return next(iter(self._counts))

    def add(self, host: int, count: int) -> None:
        if count:
            self._counts[host] = self._counts.get(host, 0) + count

    def take(self, host: int) -> None:
        """One frame of this host has had its turn."""
        self._counts[host] -= 1
        self._counts.move_to_end(host)
        if not self._counts[host]:
            del self._counts[host]

    def drop(self, host: int) -> None:
        self._counts.pop(host, None)

    def __contains__(self, host: int) -> bool:
        return host in self._counts

    def __bool__(self) -> bool:
        return bool(self._counts)


class Pairing:
    """The frames of one junction. Each method is an event; it returns the grants that follow from it.

    A host is a number that is never used again. Events of a dead host are ignored, so a host that comes back does no
    harm.

    Senders take turns, one frame each. A frame goes to its own host if that wants one, otherwise to the host that has
    waited longest; so does every frame when that host was passed over `PATIENCE` times. So no host waits for ever.

    Only the other side of a link knows how a link has ended. When a host has died, each living host that had a link to
    it says so once (`parted`): the sender when it knows which frames it will send again, the receiver when nothing more
    can come from there.
    """

    def __init__(self) -> None:
        self._dead: set[int] = set()
        self._senders, self._receivers = _Queue(), _Queue()
        # How often the first receiver was passed over.
        self._passed_over = 0
        # All frames that were ever granted, by sender and receiver.
        self._granted: Counter[tuple[int, int]] = Counter()

    def has(self, host: int, count: int) -> list[Grant]:
        """A host has so many more frames."""
        if host not in self._dead:
            self._senders.add(host, count)
        return self._pair()

    def wants(self, host: int, count: int) -> list[Grant]:
        """A host wants so many more frames."""
        if host not in self._dead:
            self._receivers.add(host, count)
        return self._pair()

    def died(self, host: int) -> None:
        """A host is lost. What it had is lost, and what it wanted is not needed. Its links end by `parted`."""
        self._dead.add(host)
        self._senders.drop(host)
        if host in self._receivers:
            self._passed_over = 0
            self._receivers.drop(host)

    def parted(self, host: int, dead: int, again: int, arrived: int) -> list[Grant]:
        """A living host has no link to a dead one any more.

        again: frames that it sends again, of those that were granted to the dead one. arrived: how many frames of the
        dead one it has ever got: it will be granted others instead of those that never came.
        """
        if host in self._dead:
            return []
        if dead not in self._dead:
            raise ValueError(f"host {host} has parted from host {dead}, which is not dead")
        granted = self._granted.pop((dead, host), 0)
        if arrived > granted:
            raise ValueError(f"host {host} has got {arrived} frames of host {dead}, which was granted {granted}")
        self._granted.pop((host, dead), None)
        self._senders.add(host, again)
        self._receivers.add(host, granted - arrived)
        return self._pair()

    def _pair(self) -> list[Grant]:
        """Grant as many frames as there are and are wanted."""
        pairs: Counter[tuple[int, int]] = Counter()
        while self._senders and self._receivers:
            sender = self._senders.first
            receiver = self._receiver_for(sender)
            self._senders.take(sender)
            self._receivers.take(receiver)
            pairs[sender, receiver] += 1
        self._granted.update(pairs)
        return [Grant(sender, receiver, count) for (sender, receiver), count in pairs.items()]

    def _receiver_for(self, sender: int) -> int:
        first = self._receivers.first
        if sender not in self._receivers or sender == first or self._passed_over == PATIENCE:
            self._passed_over = 0
            return first
        self._passed_over += 1
        return sender

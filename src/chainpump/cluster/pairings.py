"""The pairings of all junctions whose frames cross machines.

    reading thread of a link:   HAS or WANTS ──► Pairings ──► GRANT on the link to the machine that has the frame

Such messages come with each frame, so none of them waits for the main thread of the switchboard.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

from ..transport.pairing import Grant, Pairing

__all__ = ["Pairings"]


class Pairings:
    """grant: told of each grant, with the number of its junction. It must not wait.

    `_lock` guards the pairings. It is held while a grant is passed on, so each machine gets its grants, and whatever
    else is decided here, in the order of the decisions. A thread takes it before all locks of a ferry. It is reentrant:
    a frame that stays on this machine may make room for another one at once.
    """

    def __init__(self, pairings: Mapping[int, Pairing], grant: Callable[[int, Grant], object]) -> None:
        self._pairings = pairings
        self._grant = grant
        self._lock = threading.RLock()

    def has(self, host: int, junction: int, n: int) -> None:
        """A machine has so many more frames of a junction. Other calls may run at the same time."""
        with self._lock:
            self._pass_on(junction, self._pairings[junction].has(host, n))

    def wants(self, host: int, junction: int, n: int) -> None:
        """A machine wants so many more frames of a junction. Other calls may run at the same time."""
        with self._lock:
            self._pass_on(junction, self._pairings[junction].wants(host, n))

    def died(self, host: int, tell: Callable[[], object]) -> None:
        """A machine is dead. tell: tells all others; after that nothing is granted to it."""
        with self._lock:
            for pairing in self._pairings.values():
                pairing.died(host)
            tell()

    def parted(self, host: int, junction: int, dead: int, again: int, arrived: int) -> None:
        """A machine has no link to a dead one any more: see `messages.Parted`."""
        with self._lock:
            self._pass_on(junction, self._pairings[junction].parted(host, dead, again, arrived))

    def _pass_on(self, junction: int, grants: Sequence[Grant]) -> None:
        for each in grants:
            self._grant(junction, each)

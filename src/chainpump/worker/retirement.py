"""When a worker retires: after a number of items, or above an amount of memory. A fresh worker goes on in its place.

    start-up ──► stays ──────────────► prepares ───────────────► retires
                 its share is not      its share will be done    its share is done
                 done for long         in about the time that
                                       a successor needs to start

A share is a number of items, a number of bytes, or both. The decision is made between two frames.
"""

from __future__ import annotations

import mmap
import os
import resource
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from enum import Enum

from ..lazy_dataclass import dataclass
from .turn import Turn

__all__ = ["Advice", "Retirement", "Share", "decide", "own_memory"]

# A successor is requested this many start-up times before it will be needed: its start may take longer than that of its
# predecessor, which had the machine for itself.
AHEAD = 2.0
# Seconds. A worker that was started in a process that is kept has taken less, but its successor may need a new process.
LEAST_START_UP = 0.05


class Advice(Enum):
    """What a worker does next."""

    STAY = "stay"
    # It requests a successor, and goes on.
    PREPARE = "prepare"
    RETIRE = "retire"


@dataclass(frozen=True, slots=True)
class Share:
    """The work after which a worker retires.

    items: how many items it receives. above: its memory in bytes, as `own_memory` counts them. None: no limit.
    """

    items: int | None = None
    above: int | None = None

    def done(self, items: int, grown: int, room: int) -> float:
        """The part of the share that is done: 1 or more if all of it is.

        items: received so far. grown: bytes that the worker has grown by. room: bytes that it could grow by at first.

        >>> Share(items=100).done(25, 0, 0)
        0.25
        """
        by_items = items / self.items if self.items is not None else 0.0
        by_memory = (grown / room if room else 1.0) if self.above is not None else 0.0
        return max(by_items, by_memory)


def decide(done: float, worked: float, start_up: float) -> Advice:
    """What a worker does that has done this part of its share.

    worked: seconds since its first item. start_up: seconds that it took to start.

    >>> decide(0.5, worked=10, start_up=1), decide(0.9, worked=10, start_up=1), decide(1.0, worked=10, start_up=1)
    (<Advice.STAY: 'stay'>, <Advice.PREPARE: 'prepare'>, <Advice.RETIRE: 'retire'>)
    """
    if done >= 1:
        return Advice.RETIRE
    # The rest takes `worked * (1 - done) / done` seconds if all goes on as before.
    return Advice.PREPARE if done > 0 and worked * (1 - done) <= AHEAD * start_up * done else Advice.STAY


class Retirement:
    """Watches the share of one worker. It travels to the worker, whose own thread uses it.

    turn: the worker waits for it between its start and its first item. prepare: requests a successor. items_before: the
    items of earlier workers in the process, which count; None in a fresh process. items: the items of the process so
    far. is_over: the share is done. excess: the memory before the first item, if it was above the limit already: a
    fresh worker cannot work.
    """

    def __init__(self, share: Share, turn: Turn | None = None) -> None:
        self._share = share
        self._turn = turn
        self.prepare: Callable[[], object] = no_request
        self.items_before: int | None = None
        self.items = 0
        self.is_over = False
        self.excess: int | None = None
        self._has_prepared = False
        # When the worker was made, in seconds.
        self._made_at = time.monotonic()
        # When the first frame was requested, in seconds, and what the worker had received and used by then.
        self._began: tuple[float, int, int] | None = None

    @property
    def limit(self) -> int:
        """The limit of its memory in bytes, or 0."""
        return self._share.above or 0

    def is_due(self, received: int) -> bool:
        """Whether the worker retires now. Called before each frame is received. received: items on the board.

        Once it is due, it remains due.
        """
        if self.is_over:
            return True
        memory = own_memory() if self._share.above is not None else 0
        now = time.monotonic()
        if self._began is None:
            self._began = now, received, memory
            # A process that is kept may have reached its limit in an earlier run. Then its worker retires at once.
            if self._share.above is not None and memory >= self._share.above and self.items_before is None:
                self.excess = memory
                return False
        began, received_before, at_first = self._began
        self.items = (self.items_before or 0) + received - received_before
        done = self._share.done(self.items, memory - at_first, max(self.limit - at_first, 0))
        start_up = began - self._made_at - (self._turn.waited if self._turn is not None else 0.0)
        advice = decide(done, now - began, max(start_up, LEAST_START_UP))
        if advice is Advice.PREPARE and not self._has_prepared:
            self._has_prepared = True
            self.prepare()
        self.is_over = advice is Advice.RETIRE
        return self.is_over


def no_request() -> None:
    """Request no successor. The executor replaces this in the process of the worker."""


def own_memory() -> int:
    """The memory of this process in bytes: what it has allocated and touched, without files and shared memory.

    A forked process starts with the memory of its parent. Where there is no `/proc`: the peak of all its memory.
    """
    with suppress(OSError):
        file = os.open("/proc/self/statm", os.O_RDONLY)
        try:
            _, resident, shared, *_ = os.read(file, 256).split()
        finally:
            os.close(file)
        return (int(resident) - int(shared)) * mmap.PAGESIZE
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak

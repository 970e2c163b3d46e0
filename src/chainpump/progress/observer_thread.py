"""Who looks on while a run goes: a thread that takes a snapshot each second, for as long as somebody asked for it."""

from __future__ import annotations

import sys
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeAlias

from ..ipc.wakeups import Latch
from .history import History
from .latency import Counts, Latencies
from .reading import Place, Reading
from .snapshot import Progress, progress

__all__ = ["Observer", "Observing"]

Observer: TypeAlias = Callable[[Progress], object]

# Seconds between two snapshots.
INTERVAL = 1.0
# At the counts of items, for each snapshot: how long items take, and how many there are, changes in between.
LOOKS = 40
# Snapshots back to which rates and shares refer: long enough for slow items, short enough to see a change.
WINDOW = 10


class Observing:
    """Shows snapshots to observers, from `start` until `close`, and one more of the end.

    An observer that raises is told once, as a warning, and shown no more; the run goes on.
    read: a reading of the run, at any time. counts: only its items, by stage. length: how many items its source makes.
    """

    def __init__(
        self,
        observers: Sequence[Observer],
        places: Sequence[Place],
        read: Callable[[], Reading],
        counts: Callable[[], Sequence[Counts]],
        length: int | None,
    ) -> None:
        self._observers = list(observers)
        self._places = places
        self._read = read
        self._counts = counts
        self._length = length
        self._readings: deque[Reading] = deque(maxlen=WINDOW)
        self._ended = Latch()
        # Nobody waits any more.
        self._left = False
        self._thread = threading.Thread(target=self._look_on, name="chainpump observer", daemon=True)
        # Items in flight, by stage, as far as they were seen while it went: at the end nothing is. A source has none.
        self.peaks: Sequence[int | None] = [None] * len(places)
        self.history = History()
        self.latencies = Latencies(len(places))

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def _look_on(self) -> None:
        due = time.monotonic() + INTERVAL
        while not self._ended.wait(INTERVAL / LOOKS):
            counts, now = self._counts(), time.monotonic()
            self.latencies.look(counts, now)
            self.peaks = [_peak(*each) for each in zip(self._places, self.peaks, counts, strict=True)]
            # By the clock: looks that are late, one by one, would make snapshots rare.
            if now >= due:
                due = now + INTERVAL
                self._show()
        self.latencies.look(self._counts(), time.monotonic())
        # The last one is about the whole run.
        self._readings.clear()
        self._show()

    def _show(self) -> None:
        reading = self._read()
        shown = progress(self._places, reading, self._readings[0] if self._readings else None, self._length)
        self._readings.append(reading)
        self.history.add(shown)
        for observer in tuple(self._observers):
            if self._left:
                return
            try:
                observer(shown)
            except BaseException as error:
                # Whatever it is: the run is not the observer's to end.
                self._observers.remove(observer)
                _warn(observer, error)

    def close(self, within: float | None) -> None:
        """The run is over: show its end, and wait for that; or so many seconds at most, if nobody needs to know.

        Afterwards nothing more is shown; the thread of an observer that never returns is left behind.
        """
        self._ended.set()
        try:
            if self._thread is not threading.current_thread() and self._thread.ident is not None:
                self._thread.join(within)
        finally:
            self._left = True


def _peak(place: Place, before: int | None, counts: Counts) -> int | None:
    return None if place.role == "source" else max(before or 0, counts.received - counts.dealt_with)


def _warn(observer: Observer, error: BaseException) -> None:
    try:
        warnings.warn(
            f"observe={observer!r} raised {type(error).__name__}: {error}\n"
            "  The run goes on; this observer is shown no more of it.",
            RuntimeWarning,
            stacklevel=3,
        )
    except RuntimeWarning:
        # Where warnings are errors: it must not end the thread, which others look on by.
        threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread())))

"""The thread that takes a snapshot of a run every second, if it has observers."""

from __future__ import annotations

import sys
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias, runtime_checkable

from ..ipc.wakeups import Event
from ..messages.names import Role
from .history import History
from .latency import Counts, Latencies
from .reading import Reading, StageFacts
from .snapshot import Progress, progress

__all__ = ["Observer", "Observing", "TerminalDisplay"]

Observer: TypeAlias = Callable[[Progress], object]


@runtime_checkable
class TerminalDisplay(Protocol):
    """An observer that draws in the terminal, and prints above its drawing what others write there."""

    def __call__(self, progress: Progress) -> object:
        """Draw a snapshot."""
        ...

    def print_above(self, text: str) -> None:
        """Print one line or several. Any thread may call this, also before the first snapshot and after the last."""
        ...


# Seconds between two snapshots.
INTERVAL = 1.0
# Readings of the item counts for each snapshot: latency and items in flight change faster than once a second.
LOOKS = 40
# The number of snapshots over which rates and shares are measured: enough for slow items, few enough to see a change.
WINDOW = 10


class Observing:
    """Shows snapshots to observers, from `start` until `close`, and one more of the end.

    An observer that raises causes one warning and is not called again; the run goes on.
    read: takes a reading of the run. counts: takes only its item counts, by stage. length: the items of its source.
    done_before: how many more earlier attempts of a durable run have done.
    """

    def __init__(
        self,
        observers: Sequence[Observer],
        stage_facts: Sequence[StageFacts],
        read: Callable[[], Reading],
        counts: Callable[[], Sequence[Counts]],
        length: int | None,
        done_before: int = 0,
    ) -> None:
        self._observers = list(observers)
        self._stage_facts = stage_facts
        self._read = read
        self._counts = counts
        self._length = length
        self._done_before = done_before
        self._readings: deque[Reading] = deque(maxlen=WINDOW)
        self._ended = Event()
        # The run no longer waits: no more snapshots are shown.
        self._left = False
        self._thread = threading.Thread(target=self._run, name="chainpump observer", daemon=True)
        # The most items in flight that were seen, by stage. A source has none.
        self.peaks: Sequence[int | None] = [None] * len(stage_facts)
        self.history = History()
        self.latencies = Latencies(len(stage_facts))

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def _run(self) -> None:
        due = time.monotonic() + INTERVAL
        while not self._ended.wait(INTERVAL / LOOKS):
            counts, now = self._counts(), time.monotonic()
            self.latencies.look(counts, now)
            self.peaks = [_peak(*each) for each in zip(self._stage_facts, self.peaks, counts, strict=True)]
            # By the clock, not by the number of readings: late readings would make snapshots rare.
            if now >= due:
                due = now + INTERVAL
                self._show()
        self.latencies.look(self._counts(), time.monotonic())
        # The last snapshot describes the whole run.
        self._readings.clear()
        self._show()

    def _show(self) -> None:
        reading = self._read()
        earlier = self._readings[0] if self._readings else None
        shown = progress(self._stage_facts, reading, earlier, self._length, self._done_before)
        self._readings.append(reading)
        self.history.add(shown)
        for observer in tuple(self._observers):
            if self._left:
                return
            try:
                observer(shown)
            except BaseException as error:
                # Whatever an observer raises must not end the run.
                self._observers.remove(observer)
                _warn(observer, error)

    def close(self, within: float | None) -> None:
        """The run is over: show the last snapshot, and wait for that, for `within` seconds at most.

        Afterwards nothing more is shown. The thread of an observer that never returns is left running.
        """
        self._ended.set()
        try:
            if self._thread is not threading.current_thread() and self._thread.ident is not None:
                self._thread.join(within)
        finally:
            self._left = True


def _peak(facts: StageFacts, before: int | None, counts: Counts) -> int | None:
    return None if facts.role is Role.SOURCE else max(before or 0, counts.received - counts.dealt_with)


def _warn(observer: Observer, error: BaseException) -> None:
    try:
        warnings.warn(
            f"observe={observer!r} raised {type(error).__name__}: {error}\n"
            "  The run goes on; this observer is shown no more of it.",
            RuntimeWarning,
            stacklevel=3,
        )
    except RuntimeWarning:
        # Warnings are errors here. That must not end the thread, which serves other observers.
        threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread())))

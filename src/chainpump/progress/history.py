"""How a run went over time: samples in bounded number, however long it takes."""

from __future__ import annotations

from ..lazy_dataclass import dataclass
from .snapshot import Progress

__all__ = ["History", "Sample"]

# Samples: more than a screen has pixels for; a run of a year keeps as many as one of ten minutes.
MOST = 512


@dataclass(frozen=True, slots=True)
class Sample:
    """One moment of a run. at: seconds since it was opened.

    moved: items that each stage had received, or the source had sent. in_flight: those received and not finished.
    """

    at: float
    moved: tuple[int, ...]
    in_flight: tuple[int, ...]


class History:
    """Takes every snapshot at first; whenever there are too many, it leaves out every other, and so from then on."""

    def __init__(self) -> None:
        self._samples: list[Sample] = []
        self._every = 1
        self._seen = 0

    def add(self, progress: Progress) -> None:
        """Keep a snapshot, if it is its turn; the last one always is."""
        if len(self._samples) >= MOST:
            del self._samples[1::2]
            self._every *= 2
        if self._seen % self._every == 0 or progress.is_over:
            moved = tuple(each.sent if each.role == "source" else each.received for each in progress.stages)
            in_flight = tuple(each.in_flight for each in progress.stages)
            self._samples.append(Sample(progress.elapsed, moved, in_flight))
        self._seen += 1

    @property
    def samples(self) -> tuple[Sample, ...]:
        """What is kept, in order."""
        return tuple(self._samples)

"""A run over time: a bounded number of samples, however long it takes."""

from __future__ import annotations

from ..lazy_dataclass import dataclass
from ..messages.names import Role
from .snapshot import Progress

__all__ = ["History", "Sample"]

# The most samples: enough for a chart on a screen.
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
    """Keeps every snapshot at first. When there are too many, it drops every other one, from then on too."""

    def __init__(self) -> None:
        self._samples: list[Sample] = []
        self._every = 1
        self._seen = 0

    def add(self, progress: Progress) -> None:
        """Add a snapshot; it is kept if it is due, or the last one."""
        if len(self._samples) >= MOST:
            del self._samples[1::2]
            self._every *= 2
        if self._seen % self._every == 0 or progress.is_over:
            moved = tuple(each.sent if each.role == Role.SOURCE.value else each.received for each in progress.stages)
            in_flight = tuple(each.in_flight for each in progress.stages)
            self._samples.append(Sample(progress.elapsed, moved, in_flight))
        self._seen += 1

    @property
    def samples(self) -> tuple[Sample, ...]:
        """The kept samples, in order."""
        return tuple(self._samples)

"""Slots across workers: the exact bound of `in_flight=n`."""

from __future__ import annotations

from collections.abc import Sequence

from ..ipc.counters import Counter, counter
from ..ipc.descriptors import Descriptor

__all__ = ["Credits"]

FLOOD = 1 << 32  # more than there can ever be waiters


class Credits:
    """A count of free slots; taking one waits for somebody to give one back."""

    def __init__(self, count: Counter) -> None:
        self._count = count

    @classmethod
    def of(cls, slots: int) -> Credits:
        """Credits for this many items."""
        return cls(counter(slots, one_by_one=True))

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """What a forked worker must keep."""
        return self._count.descriptors

    def dup(self) -> Credits:
        """The same count behind descriptors of the caller's own."""
        return Credits(self._count.dup())

    def take(self) -> bool:
        """Take one if there is one."""
        try:
            self._count.take()
        except BlockingIOError:
            return False
        return True

    def wait(self) -> None:
        """Wait until there may be one. Who waits must look at the cancel flag afterwards."""
        self._count.wait()

    def give(self, slots: int = 1) -> None:
        """Give slots back."""
        self._count.give(slots)

    def flood(self) -> None:
        """Wake whoever waits, for good: the run is cancelled and nobody counts any more."""
        self.give(FLOOD)

    def close(self) -> None:
        """Close these descriptors of the count."""
        self._count.close()

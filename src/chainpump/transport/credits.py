"""Bounds across workers.

`Credits` are the exact bound of `in_flight=n`; a `Window` bounds how far whoever numbers items runs ahead of those
that are to come next, where their order is restored.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from .counters import Counter, counter
from .descriptors import Descriptor

__all__ = ["Credits", "Window"]

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


class Window:
    """How many more items may be numbered: taken by the one worker that numbers them, given by the one that orders."""

    def __init__(self, count: Counter) -> None:
        self._count = count
        self._left = 0  # taken from the counter, and not used

    @classmethod
    def of(cls, items: int) -> Window:
        """A window of this size, for a start."""
        return cls(counter(items, one_by_one=False))

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """What a forked worker must keep."""
        return self._count.descriptors

    def dup(self) -> Window:
        """The same count behind descriptors of the caller's own."""
        return Window(self._count.dup())

    def take(self, items: int) -> bool:
        """Use room for this many items, if there is any: the last frame may reach out of the window."""
        if self._left <= 0:
            with suppress(BlockingIOError):
                self._left += self._count.take()
        if self._left <= 0:
            return False
        self._left -= items
        return True

    def wait(self) -> None:
        """Wait until there may be more. Who waits must look at the cancel flag afterwards."""
        self._count.wait()

    def give(self, items: int) -> None:
        """Make room for this many more."""
        self._count.give(items)

    def flood(self) -> None:
        """Wake whoever waits, for good: the run is cancelled and nobody counts any more."""
        self.give(FLOOD)

    def close(self) -> None:
        """Close these descriptors of the count."""
        self._count.close()

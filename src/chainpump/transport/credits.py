"""Bounds across workers, as counters in the kernel that no dead process can hold locked.

`Credits` are the exact bound of `in_flight=n`; a `Window` bounds how far whoever numbers items runs ahead of those
that are to come next, where their order is restored.
"""

from __future__ import annotations

import os
import select
from collections.abc import Sequence
from contextlib import suppress

from .descriptors import Descriptor

__all__ = ["Credits", "Window"]

FLOOD = 1 << 32  # more than there can ever be waiters


class Credits:
    """A count of free slots (an eventfd); taking one waits for somebody to give one back."""

    def __init__(self, file: Descriptor) -> None:
        self._file = file

    @classmethod
    def of(cls, slots: int) -> Credits:
        """Credits for this many items."""
        return cls(Descriptor(os.eventfd(slots, os.EFD_CLOEXEC | os.EFD_NONBLOCK | os.EFD_SEMAPHORE)))

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """What a forked worker must keep."""
        return (self._file,)

    def dup(self) -> Credits:
        """The same count behind a descriptor of the caller's own."""
        return Credits(self._file.dup())

    def take(self) -> bool:
        """Take one if there is one."""
        try:
            os.eventfd_read(self._file.fileno())
        except BlockingIOError:
            return False
        return True

    def wait(self) -> None:
        """Wait until there may be one. Who waits must look at the cancel flag afterwards."""
        _wait_readable(self._file)

    def give(self, slots: int = 1) -> None:
        """Give slots back."""
        os.eventfd_write(self._file.fileno(), slots)

    def flood(self) -> None:
        """Wake whoever waits, for good: the run is cancelled and nobody counts any more."""
        self.give(FLOOD)

    def close(self) -> None:
        """Close this descriptor of the count."""
        self._file.close()


class Window:
    """How many more items may be numbered: taken by the one worker that numbers them, given by the one that orders."""

    def __init__(self, file: Descriptor) -> None:
        self._file = file
        self._left = 0  # taken from the counter, and not used

    @classmethod
    def of(cls, items: int) -> Window:
        """A window of this size, for a start."""
        return cls(Descriptor(os.eventfd(items, os.EFD_CLOEXEC | os.EFD_NONBLOCK)))

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """What a forked worker must keep."""
        return (self._file,)

    def dup(self) -> Window:
        """The same count behind a descriptor of the caller's own."""
        return Window(self._file.dup())

    def take(self, items: int) -> bool:
        """Use room for this many items, if there is any: the last frame may reach out of the window."""
        if self._left <= 0:
            with suppress(BlockingIOError):
                self._left += os.eventfd_read(self._file.fileno())
        if self._left <= 0:
            return False
        self._left -= items
        return True

    def wait(self) -> None:
        """Wait until there may be more. Who waits must look at the cancel flag afterwards."""
        _wait_readable(self._file)

    def give(self, items: int) -> None:
        """Make room for this many more."""
        os.eventfd_write(self._file.fileno(), items)

    def flood(self) -> None:
        """Wake whoever waits, for good: the run is cancelled and nobody counts any more."""
        self.give(FLOOD)

    def close(self) -> None:
        """Close this descriptor of the count."""
        self._file.close()


def _wait_readable(file: Descriptor) -> None:
    poll = select.poll()
    poll.register(file.fileno(), select.POLLIN)
    poll.poll()

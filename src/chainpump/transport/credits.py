"""Credits: the exact bound of `in_flight=n`, as a counter in the kernel that no dead process can hold locked."""

from __future__ import annotations

import os
import select
from collections.abc import Sequence

from .descriptors import Descriptor

__all__ = ["Credits"]

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
        poll = select.poll()
        poll.register(self._file.fileno(), select.POLLIN)
        poll.poll()

    def give(self, slots: int = 1) -> None:
        """Give slots back."""
        os.eventfd_write(self._file.fileno(), slots)

    def flood(self) -> None:
        """Wake whoever waits, for good: the run is cancelled and nobody counts any more."""
        self.give(FLOOD)

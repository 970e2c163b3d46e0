"""Counters in the kernel, which a dead process cannot keep locked: an eventfd, or a pipe on systems without eventfd."""

from __future__ import annotations

import os
import select
import struct
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from .descriptors import Descriptor, opened, pipe
from .system import is_portable

__all__ = ["Counter", "counter"]

# The most units in a pipe; this number fits on every system.
MOST = 16_384
RECORD = struct.Struct("<Q")


class Counter(Protocol):
    """A count that several processes share."""

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """Return the descriptors that a forked worker must keep."""
        ...

    def take(self) -> int:
        """Take one unit or all units, as chosen when the counter was made. Raises BlockingIOError if it is 0."""
        ...

    def give(self, count: int) -> None:
        """Add units to the count."""
        ...

    def wait(self) -> None:
        """Wait until there may be a unit to take."""
        ...

    def dup(self) -> Counter:
        """Return the same counter with new descriptors, which the caller owns."""
        ...

    def close(self) -> None:
        """Close the descriptors of this object."""
        ...


def counter(count: int, *, one_by_one: bool) -> Counter:
    """Make a new counter. one_by_one: whether `take` takes one unit; otherwise it takes all units.

    The portable kind, one by one, holds 16,384 units at most: a lower number of credits still works as a bound.
    """
    if is_portable():
        reading, writing = pipe()
        for end in (reading, writing):
            os.set_blocking(end.fileno(), False)
        made = PipeCounter(reading, writing, one_by_one)
        # A record of 0 units could be taken.
        if count:
            made.give(count)
        return made
    flags = os.EFD_CLOEXEC | os.EFD_NONBLOCK | (os.EFD_SEMAPHORE if one_by_one else 0)
    return EventCounter(opened(os.eventfd, count, flags))


class EventCounter:
    """A counter on an eventfd."""

    def __init__(self, file: Descriptor) -> None:
        self._file = file

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """Return the descriptors that a forked worker must keep."""
        return (self._file,)

    def take(self) -> int:
        """Take one unit or all units, as chosen when the counter was made. Raises BlockingIOError if it is 0."""
        return os.eventfd_read(self._file.fileno())

    def give(self, count: int) -> None:
        """Add units to the count."""
        os.eventfd_write(self._file.fileno(), count)

    def wait(self) -> None:
        """Wait until there may be a unit to take."""
        _wait_readable(self._file)

    def dup(self) -> EventCounter:
        """Return the same counter with a new descriptor, which the caller owns."""
        return EventCounter(self._file.dup())

    def close(self) -> None:
        """Close the descriptor of this object."""
        self._file.close()


class PipeCounter:
    """A counter on a pipe: it contains a byte for each unit, or numbers that are added up when they are taken."""

    def __init__(self, reading: Descriptor, writing: Descriptor, one_by_one: bool) -> None:
        self._reading = reading
        self._writing = writing
        self._one_by_one = one_by_one

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """Return the descriptors that a forked worker must keep."""
        return (self._reading, self._writing)

    def take(self) -> int:
        """Take one byte, or all numbers. Raises BlockingIOError if the pipe is empty."""
        if self._one_by_one:
            return len(os.read(self._reading.fileno(), 1))
        return sum(count for (count,) in RECORD.iter_unpack(os.read(self._reading.fileno(), MOST)))

    def give(self, count: int) -> None:
        """Add units to the count. Units that do not fit into the pipe are dropped: no process waits for so many."""
        with suppress(BlockingIOError):
            os.write(self._writing.fileno(), bytes(min(count, MOST)) if self._one_by_one else RECORD.pack(count))

    def wait(self) -> None:
        """Wait until there may be a unit to take."""
        _wait_readable(self._reading)

    def dup(self) -> PipeCounter:
        """Return the same counter with new descriptors, which the caller owns."""
        return PipeCounter(self._reading.dup(), self._writing.dup(), self._one_by_one)

    def close(self) -> None:
        """Close the descriptors of this object."""
        self._reading.close()
        self._writing.close()


def _wait_readable(file: Descriptor) -> None:
    poll = select.poll()
    poll.register(file.fileno(), select.POLLIN)
    poll.poll()

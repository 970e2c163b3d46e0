"""Counts in the kernel, which no dead process can hold locked: an eventfd, or a pipe where there is none."""

from __future__ import annotations

import os
import select
import struct
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from .descriptors import Descriptor, pipe
from .system import is_portable

__all__ = ["Counter", "counter"]

# Units in a pipe: so much fits on every system.
MOST = 16_384
RECORD = struct.Struct("<Q")


class Counter(Protocol):
    """A count that several processes share."""

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """The descriptors that a forked worker keeps open."""
        ...

    def take(self) -> int:
        """Take one, or all there is, as it was made to do. Raises BlockingIOError if there is nothing."""
        ...

    def give(self, count: int) -> None:
        """Add to it."""
        ...

    def wait(self) -> None:
        """Wait until there may be something to take."""
        ...

    def dup(self) -> Counter:
        """The same count behind descriptors of the caller's own."""
        ...

    def close(self) -> None:
        """Close these descriptors of the count."""
        ...


def counter(count: int, *, one_by_one: bool) -> Counter:
    """A new count. one_by_one: `take` takes one; else all there is.

    On the portable kind, one by one, there are never more than 16,384: fewer slots are a bound, too.
    """
    if is_portable():
        reading, writing = pipe()
        for end in (reading, writing):
            os.set_blocking(end.fileno(), False)
        made = PipeCounter(reading, writing, one_by_one)
        made.give(count)
        return made
    flags = os.EFD_CLOEXEC | os.EFD_NONBLOCK | (os.EFD_SEMAPHORE if one_by_one else 0)
    return EventCounter(Descriptor(os.eventfd(count, flags)))


class EventCounter:
    """The number in an eventfd."""

    def __init__(self, file: Descriptor) -> None:
        self._file = file

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """The descriptors that a forked worker keeps open."""
        return (self._file,)

    def take(self) -> int:
        """Take what the eventfd was made to give. Raises BlockingIOError."""
        return os.eventfd_read(self._file.fileno())

    def give(self, count: int) -> None:
        """Add to it."""
        os.eventfd_write(self._file.fileno(), count)

    def wait(self) -> None:
        """Wait until there may be something to take."""
        _wait_readable(self._file)

    def dup(self) -> EventCounter:
        """The same count behind a descriptor of the caller's own."""
        return EventCounter(self._file.dup())

    def close(self) -> None:
        """Close this descriptor of the count."""
        self._file.close()


class PipeCounter:
    """What is in a pipe: a byte for each unit, or records of how many, which are added up as they are taken."""

    def __init__(self, reading: Descriptor, writing: Descriptor, one_by_one: bool) -> None:
        self._reading = reading
        self._writing = writing
        self._one_by_one = one_by_one

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """The descriptors that a forked worker keeps open."""
        return (self._reading, self._writing)

    def take(self) -> int:
        """Take one byte, or all records. Raises BlockingIOError."""
        if self._one_by_one:
            return len(os.read(self._reading.fileno(), 1))
        return sum(count for (count,) in RECORD.iter_unpack(os.read(self._reading.fileno(), MOST)))

    def give(self, count: int) -> None:
        """Add to it; what does not fit is more than anybody waits for."""
        with suppress(BlockingIOError):
            os.write(self._writing.fileno(), bytes(min(count, MOST)) if self._one_by_one else RECORD.pack(count))

    def wait(self) -> None:
        """Wait until there may be something to take."""
        _wait_readable(self._reading)

    def dup(self) -> PipeCounter:
        """The same count behind descriptors of the caller's own."""
        return PipeCounter(self._reading.dup(), self._writing.dup(), self._one_by_one)

    def close(self) -> None:
        """Close these descriptors of the count."""
        self._reading.close()
        self._writing.close()


def _wait_readable(file: Descriptor) -> None:
    poll = select.poll()
    poll.register(file.fileno(), select.POLLIN)
    poll.poll()

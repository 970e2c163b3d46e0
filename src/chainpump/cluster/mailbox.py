"""A mailbox: other threads put messages in, for a thread that waits for descriptors."""

from __future__ import annotations

import os
from collections import deque
from contextlib import suppress
from typing import Generic, TypeVar

from ..ipc.descriptors import pipe

__all__ = ["Mailbox"]

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Any thread may put; one thread takes."""

    def __init__(self) -> None:
        self._messages: deque[T] = deque()
        self._reading, self._writing = pipe()
        for end in (self._reading, self._writing):
            os.set_blocking(end.fileno(), False)

    def fileno(self) -> int:
        """The descriptor that is readable while there are messages."""
        return self._reading.fileno()

    def put(self, message: T) -> None:
        """Put a message in. Never waits."""
        self._messages.append(message)
        # A full pipe wakes the thread already. After the end, nobody reads.
        with suppress(BlockingIOError, OSError):
            os.write(self._writing.fileno(), b"!")

    def take(self) -> list[T]:
        """All messages so far, oldest first."""
        with suppress(BlockingIOError):
            os.read(self._reading.fileno(), 65_536)
        taken = []
        with suppress(IndexError):
            while True:
                taken.append(self._messages.popleft())
        return taken

    def close(self) -> None:
        """Close the descriptors. No other thread puts messages in any more."""
        self._reading.close()
        self._writing.close()

"""The channel between threads of one process: frames pass by reference, through a bounded deque."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from ..errors import Cancelled
from ..ipc.checkpoint import Checkpoint
from ..ipc.descriptors import Descriptor
from ..ipc.wait_times import UNTOLD
from ..pickling.sizes import Weigher
from .credits import Credits
from .flow import FRAME_BYTES, has_room
from .frames import Frame, Span

__all__ = ["MemoryChannel", "MemoryReceiver", "MemorySender"]

# Frames that may wait per consumer, where they are small; each holds about 1 ms of its work.
FRAMES_EACH = 4
CREDIT_NONE: Sequence[Descriptor] = ()


class MemorySender:
    """One producer's end."""

    # Of what items keep alive: nothing is copied.
    flush_bytes = FRAME_BYTES

    def __init__(self, channel: MemoryChannel, producer: int) -> None:
        self._channel = channel
        self._producer = producer
        self.credits = channel.credits
        self._open = True
        # One for the worker's own thread, which admits items, and one for who sends: that or the flusher, under a lock.
        self._admitting, self._sending = Weigher(), Weigher()

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """None of its own: it never leaves this process."""
        return CREDIT_NONE

    def admit(self, item: Any) -> tuple[Any, int]:
        """The item itself, and about how many bytes it keeps alive: threads share objects, as plain generators do."""
        return item, self._admitting.weigh(item)

    def send(
        self,
        entries: list[Any],
        snapshots: bool,
        span: Span,
        numbers: Sequence[int] | None,
        waits: AbstractContextManager[None] = UNTOLD,
    ) -> int:
        """Pass a frame on; blocks while the channel is full. Raises Cancelled when it has been hung up."""
        nbytes = self._sending.together(entries)
        self._channel.put(Frame(self._producer, span, entries, numbers, nbytes=nbytes), waits)
        return nbytes

    def open(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """The last producer to close ends the channel."""
        if self._open:
            self._open = False
            self._channel.producer_closed()


class MemoryReceiver:
    """One consumer's end."""

    def __init__(self, channel: MemoryChannel) -> None:
        self._channel = channel
        self.credits = channel.credits

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """None of its own: it never leaves this process."""
        return CREDIT_NONE

    def receive(self, wait: bool) -> Frame | None:
        """The next frame; None at the end. Raises BlockingIOError if none is there and `wait` is False."""
        return self._channel.get(wait)

    @property
    def checkpoint(self) -> None:
        """Threads have no successors."""

    def settle(self) -> None:
        """Nothing to do."""

    def wait(self, seconds: float) -> bool:
        """Wait until a frame is there, or the end; False if that takes longer."""
        return self._channel.wait(seconds)

    def open(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to close."""


class MemoryChannel:
    """The junction itself. `_lock` guards all that changes; threads do not die holding it.

    All locks are bare: whoever is broken into by Ctrl-C, or by `kill`, leaves none of them taken. A Condition takes its
    own in Python code, where that can happen.

    renewable: there may be more producers while it runs: it ends by being sealed, not as the last of them closes.
    """

    def __init__(self, producers: int, consumers: int, in_flight: int | None, renewable: bool = False) -> None:
        self._lock = threading.Lock()
        self._waiting: set[threading.Lock] = set()
        self._frames: deque[Frame] = deque()
        # Of these.
        self._nbytes = 0
        self._consumers = consumers
        # If they may be replaced, all of them are as one.
        self._producers = 1 if renewable else producers
        self._renewable = renewable
        self._hung_up = False
        self.credits = None if in_flight is None else Credits.of(in_flight)

    def sender(self, producer: int) -> MemorySender:
        """The end of one producer, counted from 0."""
        return MemorySender(self, producer)

    def receiver(self, checkpoint: Checkpoint | None = None) -> MemoryReceiver:
        """The end of one consumer."""
        return MemoryReceiver(self)

    def put(self, frame: Frame, waits: AbstractContextManager[None] = UNTOLD) -> None:
        """Add a frame, waiting for room. Raises Cancelled when hung up."""
        while True:
            with self._lock:
                if self._hung_up:
                    raise Cancelled("the channel was closed")
                if has_room(len(self._frames), self._nbytes, self._consumers, FRAMES_EACH * self._consumers):
                    self._frames.append(frame)
                    self._nbytes += frame.nbytes
                    self._wake()
                    return
                change = self._next_change()
            with waits:
                change.acquire()

    def get(self, wait: bool) -> Frame | None:
        """Take a frame; None when hung up, or when all producers have closed and nothing is left."""
        while True:
            with self._lock:
                if self._has_ended:
                    return None
                if self._frames:
                    self._wake()
                    frame = self._frames.popleft()
                    self._nbytes -= frame.nbytes
                    return frame
                if not wait:
                    raise BlockingIOError
                change = self._next_change()
            change.acquire()

    def wait(self, seconds: float) -> bool:
        """Wait until `get` has something to say; False if that takes longer."""
        until = time.monotonic() + seconds
        while True:
            with self._lock:
                if self._frames or self._has_ended:
                    return True
                change = self._next_change()
            if not change.acquire(timeout=max(0.0, until - time.monotonic())):
                with self._lock:
                    self._waiting.discard(change)
                return False

    @property
    def _has_ended(self) -> bool:
        return self._hung_up or not (self._producers or self._frames)

    def _next_change(self) -> threading.Lock:
        """To be acquired once more, when the lock of the channel has been released: that waits for a change."""
        change = threading.Lock()
        change.acquire()
        self._waiting.add(change)
        return change

    def _wake(self) -> None:
        """Something has changed."""
        for change in self._waiting:
            # Ctrl-C may have broken in here before.
            if change.locked():
                change.release()
        self._waiting.clear()

    def producer_closed(self) -> None:
        """One producer fewer; another may come where they are replaced."""
        if not self._renewable:
            self._end()

    def _end(self) -> None:
        with self._lock:
            self._producers -= 1
            self._wake()

    def started(self) -> None:
        """Nothing was duplicated."""

    def seal(self) -> None:
        """Every producer has closed its end by itself, and where they are replaced, no others come."""
        if self._renewable:
            self._end()

    def hang_up(self) -> None:
        """Wake every sender and receiver for good."""
        with self._lock:
            self._hung_up = True
            self._wake()
        if self.credits:
            self.credits.flood()

    def close(self) -> None:
        """Release what the credits hold."""
        if self.credits:
            self.credits.close()

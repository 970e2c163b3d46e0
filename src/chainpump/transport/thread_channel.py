"""The channel between threads of one process: a bounded deque that passes frames by reference."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from ..errors import Cancelled
from ..ipc.checkpoint import Checkpoint
from ..ipc.descriptors import Descriptor
from ..ipc.wait_times import UNCOUNTED
from ..ipc.wakeups import LoopWakeup, Wakeup
from ..pickling.sizes import Weigher
from .channel import EventLoop
from .credits import Credits
from .flow import FIRST_ITEMS, FRAME_BYTES, has_room
from .frames import Frame, Span

__all__ = ["MemoryChannel", "MemoryReceiver", "MemorySender"]

# Frames that may wait for each consumer, if they are small. Each holds about 1 ms of work.
FRAMES_EACH = 4
CREDIT_NONE: Sequence[Descriptor] = ()
# Threads share objects.
NO_COPIES: Mapping[type, Callable[[Any], Any]] = {}


class MemorySender:
    """The end of one producer."""

    # The bytes are those that items keep alive, because items are not copied.
    flush_bytes = FRAME_BYTES
    copies = NO_COPIES

    def __init__(self, channel: MemoryChannel, producer: int) -> None:
        self._channel = channel
        self._producer = producer
        self.credits = channel.credits.taker() if channel.credits else None
        self._open = True
        # The worker's own thread uses the first one to admit items. The sending thread uses the second one: that is the
        # worker's thread or the flusher, and a lock allows only one at a time.
        self._admitting, self._sending = Weigher(), Weigher()

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """It has none, because it never leaves this process."""
        return CREDIT_NONE

    def admit(self, item: Any) -> tuple[Any, int]:
        """Return the item itself, and the approximate bytes that it keeps alive. Threads share objects, as plain
        generators do.
        """
        return item, self._admitting.weigh(item)

    def send(
        self,
        entries: list[Any],
        snapshots: bool,
        span: Span,
        numbers: Sequence[int] | None,
        waits: AbstractContextManager[None] = UNCOUNTED,
    ) -> int:
        """Pass a frame on. It blocks while the channel is full. Raises Cancelled after a hang-up."""
        nbytes = self._sending.together(entries)
        self._channel.put(Frame(self._producer, span, entries, numbers, nbytes=nbytes), waits)
        return nbytes

    def open(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Close the end. The last producer to close ends the channel."""
        if self._open:
            self._open = False
            self._channel.producer_closed()


class MemoryReceiver:
    """The end of one consumer."""

    def __init__(self, channel: MemoryChannel) -> None:
        self._channel = channel
        self.credits = channel.credits

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """It has none, because it never leaves this process."""
        return CREDIT_NONE

    def receive(self, wait: bool) -> Frame | None:
        """Return the next frame, or None at the end. Raises BlockingIOError if there is no frame yet and `wait` is
        False.
        """
        return self._channel.get(wait)

    @property
    def checkpoint(self) -> None:
        """None: threads are not replaced."""

    def settle(self) -> None:
        """Do nothing."""

    def wait(self, seconds: float) -> bool:
        """Wait until there is a frame or the end. Returns False after this many seconds."""
        return self._channel.wait(seconds)

    def watch(self, loop: EventLoop, ready: Callable[[], object]) -> Callable[[], None]:
        """Have a loop call `ready` when there is a frame or the end."""
        return self._channel.watch(LoopWakeup(loop.call_soon_threadsafe, ready))

    def open(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class MemoryChannel:
    """The channel itself. `_lock` guards all state that changes, except `_hung_up` (see `hang_up`). A thread does not
    die while it holds the lock.

    All locks are plain: Ctrl-C or `kill` may interrupt a thread anywhere, and no lock stays taken. A
    `threading.Condition` runs Python code to take its lock, and an interruption there would leave it taken.

    renewable: more producers may start during the run. Then `seal` ends the channel, and not the last producer.
    """

    def __init__(self, producers: int, consumers: int, in_flight: int | None, renewable: bool = False) -> None:
        self._lock = threading.Lock()
        self._waiting: set[Wakeup | LoopWakeup] = set()
        self._frames: deque[Frame] = deque()
        # The bytes and the number of their items.
        self._nbytes = 0
        self._items = 0
        self._consumers = consumers
        # If producers may be replaced, all of them count as one, and `seal` closes it.
        self._producers = 1 if renewable else producers
        self._renewable = renewable
        self._hung_up = False
        one_taker = producers == 1 and not renewable
        self.credits = None if in_flight is None else Credits.of(in_flight, one_taker=one_taker, one_process=True)

    def sender(self, producer: int) -> MemorySender:
        """Make the end of one producer. Producers are counted from 0."""
        return MemorySender(self, producer)

    def receiver(self, checkpoint: Checkpoint | None = None) -> MemoryReceiver:
        """Make the end of one consumer."""
        return MemoryReceiver(self)

    def put(self, frame: Frame, waits: AbstractContextManager[None] = UNCOUNTED) -> None:
        """Add a frame, waiting for room. Raises Cancelled after a hang-up."""
        while True:
            with self._lock:
                if self._hung_up:
                    raise Cancelled("the channel was closed")
                # A run of few items never waits, although each of its frames has one item only.
                most = FRAMES_EACH * self._consumers
                if self._items < FIRST_ITEMS:
                    most = max(most, FIRST_ITEMS)
                if has_room(len(self._frames), self._nbytes, self._consumers, most):
                    self._frames.append(frame)
                    self._nbytes += frame.nbytes
                    self._items += len(frame.entries)
                    self._wake()
                    return
                change = self._next_change()
            with waits:
                change.wait()

    def get(self, wait: bool) -> Frame | None:
        """Remove and return a frame. None after a hang-up, or when all producers have closed and no frame is left."""
        while True:
            with self._lock:
                if self._has_ended:
                    return None
                if self._frames:
                    self._wake()
                    frame = self._frames.popleft()
                    self._nbytes -= frame.nbytes
                    self._items -= len(frame.entries)
                    return frame
                if not wait:
                    raise BlockingIOError
                change = self._next_change()
            change.wait()

    def wait(self, seconds: float) -> bool:
        """Wait until `get` does not block. Returns False after this many seconds."""
        until = time.monotonic() + seconds
        while True:
            with self._lock:
                if self._frames or self._has_ended:
                    return True
                change = self._next_change()
            if not change.wait(max(0.0, until - time.monotonic())):
                self._forget(change)
                return False

    def watch(self, change: LoopWakeup) -> Callable[[], None]:
        """Set it when `get` does not block. Returns the function that ends this."""
        with self._lock:
            self._wake_by(change)
            if self._frames or self._has_ended:
                change.set()
        return partial(self._forget, change)

    def _forget(self, change: Wakeup | LoopWakeup) -> None:
        with self._lock:
            self._waiting.discard(change)

    @property
    def _has_ended(self) -> bool:
        return self._hung_up or not (self._producers or self._frames)

    def _next_change(self) -> Wakeup:
        """Return what `_wake` and `hang_up` set. Wait for it only after the channel's lock is released."""
        change = Wakeup()
        self._wake_by(change)
        return change

    def _wake_by(self, change: Wakeup | LoopWakeup) -> None:
        self._waiting.add(change)
        # `hang_up` changes the flag before it reads the set, so it finds this one there, or the flag is found here.
        if self._hung_up:
            change.set()

    def _wake(self) -> None:
        """Wake all waiting threads: the state has changed."""
        for change in self._waiting:
            change.set()
        self._waiting.clear()

    def producer_closed(self) -> None:
        """A producer has closed its end. If producers may be replaced, another one may follow."""
        if not self._renewable:
            self._end()

    def _end(self) -> None:
        with self._lock:
            self._producers -= 1
            self._wake()

    def started(self) -> None:
        """Do nothing: there are no copies."""

    def seal(self) -> None:
        """All producers have closed their ends, and no more replacements follow."""
        if self._renewable:
            self._end()

    def hang_up(self) -> None:
        """Wake all senders and receivers permanently. Any thread and any signal handler may call this.

        It takes no lock: a handler that cancels a run may have interrupted the thread that holds it.
        """
        self._hung_up = True
        for change in self._waiting.copy():
            change.set()
        if self.credits:
            self.credits.wake_all()

    def close(self) -> None:
        """Close the descriptors of the credits."""
        if self.credits:
            self.credits.close()

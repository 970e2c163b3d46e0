"""The contract of a channel: what each junction of stages offers to its workers and to the main process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from ..ipc.checkpoint import Checkpoint
from ..ipc.descriptors import Descriptor
from ..ipc.wait_times import UNCOUNTED
from .credits import Credits
from .frames import Frame, Span

__all__ = ["Channel", "EventLoop", "Receiver", "Sender"]


class EventLoop(Protocol):
    """What a channel needs of an event loop, to wake it. The loops of asyncio have these methods."""

    def call_soon_threadsafe(self, callback: Callable[[], object], /) -> object:
        """Call a function in the loop. Any thread may call this."""
        ...

    def add_reader(self, fd: int, callback: Callable[[], object], /) -> object:
        """Call a function in each iteration of the loop in which a descriptor is readable."""
        ...

    def remove_reader(self, fd: int, /) -> object:
        """Do so no longer."""
        ...


class End(Protocol):
    """The common part of both ends of a channel. A worker owns its end and closes it."""

    @property
    def credits(self) -> Credits | None:
        """The credits of `in_flight=n`. None if the channel is bounded by bytes."""
        ...

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """The descriptors that a forked worker keeps open."""
        ...

    def open(self) -> None:
        """Prepare the end in the worker that uses it. This call must not be interrupted."""
        ...

    def close(self) -> None:
        """Close the end. A second call does nothing."""
        ...


class Sender(End, Protocol):
    """The end of one producer."""

    @property
    def flush_bytes(self) -> int:
        """The bytes of items that fill a frame, counted as `admit` and `send` count them."""
        ...

    @property
    def copies(self) -> Mapping[type, Callable[[Any], Any]]:
        """How to copy items of some types instead of `admit`. The copies are entries that do not come from `admit`.

        A copy of None means that this item must be admitted.
        """
        ...

    def admit(self, item: Any) -> tuple[Any, int]:
        """Convert an item that may change later to the entry of a frame, and return the entry with its size in bytes.

        Raises ItemFault if the item cannot be pickled.
        """
        ...

    def send(
        self,
        entries: list[Any],
        snapshots: bool,
        span: Span,
        numbers: Sequence[int] | None,
        waits: AbstractContextManager[None] = UNCOUNTED,
    ) -> int:
        """Send a frame of entries and return its approximate size in bytes. Either all entries come from `admit`, or
        none.

        While the channel is full, the call blocks inside `waits`. Raises Cancelled after a hang-up, and ItemFault.
        """
        ...


class Receiver(End, Protocol):
    """The end of one consumer."""

    def receive(self, wait: bool) -> Frame | None:
        """Return the next frame, or None at the end of the channel and after a hang-up.

        Raises BlockingIOError if there is no frame yet and `wait` is False, and ItemFault if an item cannot be rebuilt.
        """
        ...

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The memory from which a replacement of this worker continues. None if the worker cannot be replaced."""
        ...

    def settle(self) -> None:
        """The worker has finished the frame that it received last."""
        ...

    def wait(self, seconds: float) -> bool:
        """Wait until `receive` does not block. Returns False after this many seconds."""
        ...

    def watch(self, loop: EventLoop, ready: Callable[[], object]) -> Callable[[], None]:
        """Have a loop call `ready`, at least once, as soon as `receive` does not block. The loop's thread calls this.

        Returns the function that ends this.
        """
        ...


class Channel(Protocol):
    """The main process's side of a channel."""

    def sender(self, producer: int) -> Sender:
        """Make the end of one producer. Producers are counted from 0."""
        ...

    def receiver(self, checkpoint: Checkpoint | None = None) -> Receiver:
        """Make the end of one consumer. checkpoint: memory for the received frame; a replacement continues from it."""
        ...

    def started(self) -> None:
        """All ends belong to their workers now. Close the copies that would hide the death of a worker."""
        ...

    def seal(self) -> None:
        """All producers have finished. Consumers receive the queued frames and then the end, even if a stray process
        keeps a descriptor open.
        """
        ...

    def hang_up(self) -> None:
        """Wake all senders and receivers permanently."""
        ...

    def close(self) -> None:
        """Release all resources. All workers have ended."""
        ...

"""The contract of a channel: what every kind of junction offers to its workers and to the main process."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from ..ipc.checkpoint import Checkpoint
from ..ipc.descriptors import Descriptor
from ..ipc.wait_times import UNTOLD
from .credits import Credits
from .frames import Frame, Span

__all__ = ["Channel", "Receiver", "Sender"]


class End(Protocol):
    """What both ends of a channel have in common. A worker owns its end and closes it."""

    @property
    def credits(self) -> Credits | None:
        """The slots of `in_flight=n`, or None where bytes are the bound."""
        ...

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """What a forked worker must keep."""
        ...

    def open(self) -> None:
        """Get ready, in the worker that uses it. Must not be interrupted."""
        ...

    def close(self) -> None:
        """Close the end; a second call does nothing."""
        ...


class Sender(End, Protocol):
    """One producer's end."""

    @property
    def flush_bytes(self) -> int:
        """How many bytes of items make a frame, as `admit` and `send` count them."""
        ...

    def admit(self, item: Any) -> tuple[Any, int]:
        """The entry that a frame carries for an item that may change later, and its bytes. Raises ItemFault."""
        ...

    def send(
        self,
        entries: list[Any],
        snapshots: bool,
        span: Span,
        numbers: Sequence[int] | None,
        waits: AbstractContextManager[None] = UNTOLD,
    ) -> int:
        """Send a frame of entries, all from `admit` or none; returns about how many bytes it takes.

        Blocks while the channel is full, and only then enters `waits`. Raises Cancelled once it is hung up, and
        ItemFault.
        """
        ...


class Receiver(End, Protocol):
    """One consumer's end."""

    def receive(self, wait: bool) -> Frame | None:
        """The next frame, or None once nothing will come: at the end, or when hung up.

        Raises BlockingIOError if nothing is there and `wait` is False; ItemFault if an item cannot be rebuilt.
        """
        ...

    @property
    def checkpoint(self) -> Checkpoint | None:
        """What its successor would find, if it has one when it dies."""
        ...

    def settle(self) -> None:
        """The frame received last has been dealt with."""
        ...

    def wait(self, seconds: float) -> bool:
        """Wait until `receive` has something to say; False if that takes longer."""
        ...


class Channel(Protocol):
    """The main process's hold on a junction."""

    def sender(self, producer: int) -> Sender:
        """The end of one producer, counted from 0."""
        ...

    def receiver(self, checkpoint: Checkpoint | None = None) -> Receiver:
        """The end of one consumer. hand: where its successor finds what it has received."""
        ...

    def started(self) -> None:
        """Every end is with its worker: drop whatever would hide the death of a peer."""
        ...

    def seal(self) -> None:
        """Every producer is done: after what is queued comes the end, whoever else holds a descriptor."""
        ...

    def hang_up(self) -> None:
        """Wake every sender and receiver for good."""
        ...

    def close(self) -> None:
        """Release everything; all workers have ended."""
        ...

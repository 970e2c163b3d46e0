"""The contract of a wire: what carries whole packets between processes, each to exactly one of its readers.

A packet is never split between two readers, those of one writer keep their order, and nothing is lost or locked if
one of them is killed at any moment.
"""

from __future__ import annotations

import select
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from ..ipc.descriptors import Descriptor
from ..ipc.wait_times import UNTOLD

__all__ = ["Wire", "WireIn", "WireOut"]


class WireOut(Protocol):
    """A writing end. Pickling it for a worker hands its descriptors over."""

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """What a forked worker must keep."""
        ...

    @property
    def room(self) -> int:
        """How many bytes a packet may have, as a rule."""
        ...

    def open(self) -> None:
        """Get ready, in the worker that uses it. Must not be interrupted."""
        ...

    def send(self, packet: bytes, waits: AbstractContextManager[None] = UNTOLD) -> bool:
        """Send it, waiting for room within `waits`; False if it is too large. Raises Cancelled once it is hung up."""
        ...

    def watch(self, poll: select.poll) -> None:
        """Have this poll report when the wire is hung up."""
        ...


class WireIn(Protocol):
    """A reading end. Pickling it for a worker hands its descriptors over."""

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """What a forked worker must keep."""
        ...

    def open(self) -> None:
        """Get ready, in the worker that uses it. Must not be interrupted."""
        ...

    def receive_into(self, buffer: memoryview, wait: bool) -> int:
        """Have the kernel write the next packet there; returns its length, or 0 at the end, or when hung up.

        Raises BlockingIOError if nothing is there and `wait` is False.
        """
        ...

    def wait(self, seconds: float) -> bool:
        """Wait until `receive_into` has something to say; False if that takes longer."""
        ...


class Wire(Protocol):
    """The main process's hold on it."""

    def out(self) -> WireOut:
        """A writing end, with descriptors of its own."""
        ...

    def into(self) -> WireIn:
        """A reading end, with descriptors of its own."""
        ...

    def started(self) -> None:
        """Every end is with its worker: drop whatever would hide the death of all writers."""
        ...

    def seal(self) -> None:
        """Every writer is done: after what is queued comes the end, whoever else holds a descriptor."""
        ...

    def hang_up(self) -> None:
        """Wake every writer and reader for good."""
        ...

    def close(self) -> None:
        """Release everything."""
        ...

"""The contract of a wire. A wire carries whole packets between processes, each packet to exactly one reader.

A packet is never split between two readers. Packets of one writer keep their order. If a process is killed at any
moment, no packet of another process is lost, and no lock stays taken.
"""

from __future__ import annotations

import select
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Protocol

from ..ipc.descriptors import Descriptor
from ..ipc.wait_times import UNCOUNTED
from .channel import EventLoop

__all__ = ["PACKET_BYTES", "Wire", "WireIn", "WireOut", "watch_files"]

# Bytes. A receive buffer of this size is larger than any packet of a wire, so that no packet is cut off.
PACKET_BYTES = 262_144


class WireOut(Protocol):
    """A writing end. If it is pickled for a worker, its descriptors are passed on."""

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """The descriptors that a forked worker keeps open."""
        ...

    @property
    def room(self) -> int:
        """The usual limit of a packet's size in bytes."""
        ...

    def open(self) -> None:
        """Prepare the end in the worker that uses it. This call must not be interrupted."""
        ...

    def send(self, packet: bytes, waits: AbstractContextManager[None] = UNCOUNTED) -> bool:
        """Send a packet, waiting for room inside `waits`. Returns False if it is too large. Raises Cancelled after a
        hang-up.
        """
        ...

    def watch(self, poll: select.poll) -> None:
        """Register the hang-up of the wire with this poll."""
        ...


class WireIn(Protocol):
    """A reading end. If it is pickled for a worker, its descriptors are passed on."""

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """The descriptors that a forked worker keeps open."""
        ...

    def open(self) -> None:
        """Prepare the end in the worker that uses it. This call must not be interrupted."""
        ...

    def receive_into(self, buffer: memoryview, wait: bool) -> int:
        """Have the kernel write the next packet to the buffer. Returns its length, or 0 at the end and after a hang-up.

        Raises BlockingIOError if there is no packet yet and `wait` is False.
        """
        ...

    def wait(self, seconds: float) -> bool:
        """Wait until `receive_into` does not block. Returns False after this many seconds."""
        ...

    def watch(self, loop: EventLoop, ready: Callable[[], object]) -> Callable[[], None]:
        """Have a loop call `ready` as soon as `receive_into` does not block. Returns the function that ends this."""
        ...


class Wire(Protocol):
    """The main process's side of a wire."""

    def out(self) -> WireOut:
        """Make a writing end with descriptors of its own."""
        ...

    def into(self) -> WireIn:
        """Make a reading end with descriptors of its own."""
        ...

    def started(self) -> None:
        """All ends belong to their workers now. Close the copies that would hide the death of all writers."""
        ...

    def seal(self) -> None:
        """All writers have finished. Readers receive the queued packets and then the end, even if a stray process keeps
        a descriptor open.
        """
        ...

    def hang_up(self) -> None:
        """Wake all writers and readers permanently."""
        ...

    def close(self) -> None:
        """Release all resources."""
        ...


def watch_files(files: Sequence[Descriptor], loop: EventLoop, ready: Callable[[], object]) -> Callable[[], None]:
    """Have a loop call `ready` when one of these is readable. Returns the function that ends this.

    The loop gets copies. If a worker has left it behind, the number of a closed descriptor may belong to the program.
    """
    with ExitStack() as undo:
        for file in files:
            copy = file.dup()
            undo.callback(copy.close)
            loop.add_reader(copy.fileno(), ready)
            undo.callback(loop.remove_reader, copy.fileno())
        return undo.pop_all().close

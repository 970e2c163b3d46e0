"""The control pipe of a slot whose workers run on another machine: whole messages between two processes of this one.

    main process                              switchboard, which passes them on to the machine of the worker
    Start, Interrupt, Kill, Strike, AskStack, Taken  ------>
    <------  Placed, Report, Died, Stack, Remains, Gone

A message is a pickle behind its length and the generation of the worker that it is about.
"""

from __future__ import annotations

import pickle
import socket
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from ..ipc.checkpoint import Position
from ..ipc.descriptors import Descriptor, opened_pair
from ..worker.operator_run import Condemned
from ..worker.outcome import Message

__all__ = [
    "AskStack",
    "Command",
    "ControlPipe",
    "Died",
    "Event",
    "Gone",
    "Interrupt",
    "Kill",
    "Placed",
    "Remains",
    "Report",
    "Stack",
    "Start",
    "Strike",
    "Taken",
    "control_pipe",
    "pack",
]

HEAD = struct.Struct("<QI")
# Bytes.
BUFFER_BYTES = 1 << 18


class Start(NamedTuple):
    """Start a worker. rows: its rows of the board, as they are now. condemned: see `Worker`.

    host: the number of the machine that is meant. Its places may be those of another one meanwhile.
    """

    host: int
    rows: Sequence[tuple[int, bytes]]
    condemned: Mapping[int, Condemned]


class Interrupt(NamedTuple):
    """Interrupt the worker, or the processes that it has left behind."""


class Kill(NamedTuple):
    """Kill the worker, or the processes that it has left behind."""


class Strike(NamedTuple):
    """Kill the worker so that it counts as lost, if it is still in this item, whose call began then."""

    item: int
    since: int


class AskStack(NamedTuple):
    """Send the stack of the worker."""


class Taken(NamedTuple):
    """The main process has taken so many dead letters of the worker."""

    letters: int


Command: TypeAlias = Start | Interrupt | Kill | Strike | AskStack | Taken


class Placed(NamedTuple):
    """The worker has started in this process."""

    pid: int


class Report(NamedTuple):
    """What a worker process sends on its report pipe, as it has sent it."""

    message: Message


class Died(NamedTuple):
    """The worker died without an outcome. position: where its replacement continues, if it can be replaced."""

    exit_code: int | None
    position: Position | None


class Stack(NamedTuple):
    """The stack of the worker."""

    text: str


class Remains(NamedTuple):
    """The processes that the dead worker left behind, as texts."""

    names: Sequence[str]


class Gone(NamedTuple):
    """The process of the worker has ended, and has left none behind."""


Event: TypeAlias = Placed | Report | Died | Stack | Remains | Gone


def control_pipe() -> tuple[Descriptor, Descriptor]:
    """Make the two ends."""
    return opened_pair(_connected)


def _connected() -> tuple[int, int]:
    ends = socket.socketpair()
    for end in ends:
        end.setblocking(False)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
    return ends[0].detach(), ends[1].detach()


def pack(message: Command | Event) -> bytes:
    """The pickle of a message. The processes in between pass it on unread."""
    return pickle.dumps(message, pickle.HIGHEST_PROTOCOL)


class ControlPipe:
    """One end. One thread uses it. It never waits.

    is_broken: the other process has died.
    """

    def __init__(self, end: Descriptor) -> None:
        self._end = end
        self._received = bytearray()
        self._unsent = bytearray()
        self.is_broken = False

    def fileno(self) -> int:
        """The descriptor that becomes readable when there is a message."""
        return self._end.fileno()

    @property
    def has_unsent(self) -> bool:
        """Whether to call `flush` as soon as the descriptor becomes writable."""
        return bool(self._unsent) and not self.is_broken

    def send(self, generation: int, message: bytes) -> None:
        """Send a packed message about a worker. Does nothing if the pipe is broken."""
        self._unsent += HEAD.pack(len(message), generation) + message
        self.flush()

    def flush(self) -> None:
        """Send what has not been sent, as far as there is room."""
        try:
            while self.has_unsent:
                del self._unsent[: self._end.socket().send(memoryview(self._unsent)[:BUFFER_BYTES])]
        except BlockingIOError:
            pass
        except OSError:
            self.is_broken = True

    def receive(self) -> list[tuple[int, bytes]]:
        """The messages that have arrived, each with the generation of its worker."""
        try:
            while chunk := self._end.socket().recv(BUFFER_BYTES):
                self._received += chunk
            self.is_broken = True
        except BlockingIOError:
            pass
        except OSError:
            self.is_broken = True
        return list(self._messages())

    def _messages(self) -> Iterator[tuple[int, bytes]]:
        while len(self._received) >= HEAD.size:
            length, generation = HEAD.unpack_from(self._received)
            end = HEAD.size + length
            if len(self._received) < end:
                return
            yield generation, bytes(memoryview(self._received)[HEAD.size : end])
            del self._received[:end]

    def close(self) -> None:
        """Close this end."""
        self._end.close()

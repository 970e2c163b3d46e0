"""The control link of an agent, and its standard input: without either of them, the agent ends."""

from __future__ import annotations

import json
import os
import select
from collections.abc import Sequence
from typing import Any, TypeVar

from ..lazy_dataclass import dataclass
from ..transport.link import Kind, Message, from_granted
from .ferry import Ferry
from .links import Link
from .mailbox import Mailbox
from .messages import Address, Broken, Failed, Full, Hold, Parted, Successor, Unlinked, pack, unpack

__all__ = ["STANDARD_INPUT", "Control", "Expected", "Invitation", "Lost", "wait"]

T = TypeVar("T")

STANDARD_INPUT = 0


@dataclass(frozen=True, slots=True)
class Invitation:
    """What an agent reads from its standard input.

    address: of the switchboard. host: the number of this machine. lost_after: seconds of silence after which a machine
    counts as lost.
    """

    address: Address
    host: int
    key: bytes
    lost_after: float

    def line(self) -> bytes:
        """The line of text that an agent reads."""
        fields = {
            "address": self.address,
            "host": self.host,
            "key": self.key.hex(),
            "lost_after": self.lost_after,
        }
        return json.dumps(fields).encode() + b"\n"

    @classmethod
    def read(cls, descriptor: int) -> Invitation:
        """Read the line, and nothing that follows it. Raises EOFError if there is none."""
        line = b""
        while not line.endswith(b"\n"):
            byte = os.read(descriptor, 1)
            if not byte:
                raise EOFError("there is no invitation on standard input: chainpump starts this program itself")
            line += byte
        fields = json.loads(line)
        address, port = fields["address"]
        return cls((address, port), fields["host"], bytes.fromhex(fields["key"]), fields["lost_after"])


class Lost(Exception):
    """The run is over for this machine. The text says why."""


class Control:
    """The control link of this agent. Any thread may send."""

    def __init__(self, link: Link, mailbox: Mailbox[Any]) -> None:
        self._link = link
        self._mailbox = mailbox

    def start(self, ferry: Ferry) -> None:
        """Start the threads of the link. Messages go to the mailbox, except those for the ferry."""

        def take(message: Message) -> None:
            if message.kind is Kind.GRANT:
                host, frames = from_granted(message.second)
                for _ in range(frames):
                    ferry.granted(message.first, host)
                return
            told = unpack(message.parts[0])
            if isinstance(told, Successor):
                ferry.succeed(told.dead, told.new)
            elif isinstance(told, Hold):
                ferry.hold(told.junction, told.holds)
            else:
                self._mailbox.put(told)

        self._link.start(take, lambda reason: self._mailbox.put(Lost(reason)))

    def send(self, message: object) -> None:
        """Send a message. Never waits."""
        self._link.send(Kind.CONTROL, 0, pack(message))

    def close(self) -> None:
        """Send what is left, and close the link."""
        self._link.close()

    # What the ferry tells to whoever pairs its frames.

    def has(self, junction: int, n: int) -> None:
        """Tell that this machine has so many more frames."""
        self._link.send(Kind.HAS, junction, second=n)

    def wants(self, junction: int, n: int) -> None:
        """Tell that this machine wants so many more frames."""
        self._link.send(Kind.WANTS, junction, second=n)

    def parted(self, junction: int, dead: int, again: int, arrived: int) -> None:
        """Tell that this machine has no link to a dead one any more."""
        self.send(Parted(junction, dead, again, arrived))

    def full(self, junction: int, is_full: bool) -> None:
        """Tell that this machine keeps too many bytes of a junction, or no more."""
        self.send(Full(junction, is_full))

    def failed(self, junction: int, reason: str) -> None:
        """Frames of a junction cannot be carried here any more."""
        self.send(Failed(junction, reason))

    def unlinked(self, reason: str) -> None:
        """Tell that the system refuses the links of other machines for now."""
        self.send(Unlinked(reason))

    def lost(self, host: int, reason: str) -> None:
        """The link to another machine has failed."""
        self.send(Broken(host, reason))


def wait(ends: Sequence[int], seconds: float | None) -> None:
    """Wait until one of these descriptors or standard input is readable. Raises Lost at the end of standard input."""
    poll = select.poll()
    for fd in (STANDARD_INPUT, *ends):
        poll.register(fd, select.POLLIN)
    ready = poll.poll(None if seconds is None else seconds * 1000)
    if any(fd == STANDARD_INPUT for fd, _ in ready) and not os.read(STANDARD_INPUT, 4096):
        raise Lost("standard input has ended")


class Expected:
    """Waits for the first messages of the switchboard, before there is an agent to take messages."""

    def __init__(self, mailbox: Mailbox[Any]) -> None:
        self._mailbox = mailbox
        self.others: list[Any] = []

    def next(self, kind: type[T]) -> T:
        """Wait for a message of this kind. Others are kept. Raises Lost if the switchboard is lost."""
        while True:
            found: T | None = None
            for message in self._mailbox.take():
                if isinstance(message, Lost):
                    raise message
                if found is None and isinstance(message, kind):
                    found = message
                else:
                    self.others.append(message)
            if found is not None:
                return found
            wait([self._mailbox.fileno()], None)

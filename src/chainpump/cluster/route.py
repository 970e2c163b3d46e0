"""A junction whose frames cross hosts, as the ferry of one host sees it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple, Protocol

from ..ipc.board import Board, Cell
from ..transport.process_channel import PacketChannel
from ..transport.raw_ends import RawFrame
from .messages import Replay

__all__ = ["Destination", "Pairing", "Replayed", "Route", "replayed"]


class Replayed(NamedTuple):
    """A junction of a section whose frames are sent again when a host dies.

    passed: how many items of the origin the reorder buffer at the end of the section has passed; called often.
    is_first: no junction of the section before this one crosses hosts. So its end is the end of all others, and comes
    only once all that was sent has passed. in_order: the origin itself sends to the junction. keeps: what is sent may
    be needed again; not so if the end of the section receives it, whose loss ends the run.
    """

    passed: Callable[[], int]
    is_first: bool
    in_order: bool
    keeps: bool


class Route(NamedTuple):
    """One junction on one host. The ferry makes its own ends of both channels.

    left: the channel from the workers that send here, with one consumer; None if there are none. right: the channel to
    the workers that receive here, with one producer, which counts taken frames; None if there are none. workers: their
    number. left_hosts, right_hosts: all hosts with such workers; a host that was replaced stands for its successor.
    states: what this host says at the end; called when the left channel has ended. ended: gets the number of each left
    host and what it says, before the right channel ends. replayed: None if a host that dies ends the run.
    """

    junction: int
    left: PacketChannel | None
    right: PacketChannel | None
    workers: int
    left_hosts: Collection[int]
    right_hosts: Collection[int]
    states: Callable[[], bytes]
    ended: Callable[[int, bytes], object]
    replayed: Replayed | None = None


class Pairing(Protocol):
    """Pairs the hosts that have frames with those that want some. Threads of the ferry call it; it must not wait."""

    def has(self, junction: int, n: int) -> object:
        """The host of the ferry has so many more frames. Each one leaves by `Ferry.granted`."""
        ...

    def wants(self, junction: int, n: int) -> object:
        """The workers of the host want so many more frames."""
        ...

    def parted(self, junction: int, dead: int, again: int, arrived: int) -> object:
        """The host of the ferry has no link to a dead host any more.

        again: frames that were sent there and wait again. arrived: how many frames have ever come from there.
        """
        ...

    def full(self, junction: int, is_full: bool) -> object:
        """The host of the ferry keeps too much of a junction that is not the first one of its section, or no more."""
        ...

    def lost(self, host: int, reason: str) -> object:
        """The link to another host has broken. reason: begins with a verb, whose subject is that host."""
        ...

    def failed(self, junction: int, reason: str) -> object:
        """The host of the ferry cannot carry the frames of a junction any more. reason: begins with a verb."""
        ...


class Destination(Protocol):
    """A host to which frames of one junction go: this host or another one. No call waits."""

    def take_frame(self, frame: RawFrame, then: Callable[[], object]) -> None:
        """Take one frame. then: called once the frame may be released; from any thread."""
        ...

    def take_end(self, host: int, states: bytes) -> None:
        """No more frames come from a host."""
        ...


def replayed(replay: Replay | None, board: Board) -> Replayed | None:
    """What the ferry of one host must know of a junction. It looks at the board."""
    if replay is None:
        return None
    row, *others = replay
    cells = board.row(row)
    return Replayed(lambda: int(cells[Cell.PASSED]), *others)

"""What agents and the switchboard tell each other on their control links.

Each message is one pickle. HAS, WANTS and GRANT come with each frame, so they are kinds of messages of a link.

    agent                                       switchboard
    Measure, then Hello ─────────────────────►
                     ◄───────────────────────── Measured, then the Plan
    Ready: it has made its links ────────────►
    HAS, WANTS; Broken, Failed, Unlinked ────►
    Parted, Full ────────────────────────────►
                     ◄───────────────────────── GRANT, Hold, Successor
    FromWorker, Log ─────────────────────────►
                     ◄───────────────────────── ToWorker, LogTaken, Seal, End
    Copy: changes of the board ◄─────────────►  Copy

    main process                                switchboard
    Seal, Cancel; Broken, Launched ──────────►
                     ◄───────────────────────── Alive, HostDied, Unlinked
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from ..engine.groups import Section
from ..ipc.board_copies import Changes
from ..lazy_dataclass import dataclass
from ..logs.records import Levels
from ..worker.seeds import Seed
from ..worker.work import Work

__all__ = [
    "CONTROL",
    "DATA",
    "Address",
    "Alive",
    "Broken",
    "Cancel",
    "Copy",
    "End",
    "Failed",
    "FromWorker",
    "Full",
    "Hello",
    "Hold",
    "HostDied",
    "JunctionPlan",
    "Launched",
    "Log",
    "LogTaken",
    "Measure",
    "Measured",
    "Parted",
    "Place",
    "Plan",
    "Ready",
    "Replay",
    "Seal",
    "Successor",
    "ToWorker",
    "Unlinked",
    "pack",
    "unpack",
]

# The names of links, in front of the number of a machine.
CONTROL = b"control "
DATA = b"data "
Address: TypeAlias = tuple[str, int]
# The index of its group, and its number there.
Place: TypeAlias = tuple[int, int]


class Hello(NamedTuple):
    """An agent has started. address: where it waits for links of other machines."""

    address: Address
    pid: int


class Measure(NamedTuple):
    """Tell the time of the monotonic clock. asked: the time here, which is returned."""

    asked: int


class Measured(NamedTuple):
    """The time of the switchboard's clock."""

    asked: int
    there: int


class Replay(NamedTuple):
    """What the machines must know of a junction whose frames are sent again if a machine is lost.

    row: the board row of the worker that restores the order. is_first: no junction before it in its section crosses
    machines. in_order: its frames come in the order of their numbers. keeps: the workers that receive here can be
    replaced on another machine.
    """

    row: int
    is_first: bool
    in_order: bool
    keeps: bool


class JunctionPlan(NamedTuple):
    """A junction of which frames cross machines. left, right: the machines with workers that send and that receive.

    replay: None if the loss of a machine on either side ends the run.
    """

    producers: int
    consumers: int
    left: Sequence[int]
    right: Sequence[int]
    replay: Replay | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What an agent must know to run its workers.

    host: its number. names: of all machines, by number; 0 is that of the main process. addresses: of the machines that
    have started before it, to which it makes links. rows, sections, works, seed: of the whole run. junctions: None if
    no frame of the junction crosses machines. places: on which machine each worker runs, by group and number. codes:
    packed, of the groups with workers here. variables: additional environment variables of the workers here. path,
    directory: where the program finds its modules, if they exist on the machine of the agent. levels: of the program's
    log. cells: the board rows of its workers, which have run on a lost machine before if it is a successor.
    """

    host: int
    names: Sequence[str]
    addresses: Mapping[int, Address]
    rows: int
    sections: Sequence[Section]
    junctions: Sequence[JunctionPlan | None]
    works: Sequence[Work]
    places: Sequence[Sequence[int]]
    codes: Mapping[int, bytes]
    seed: Seed
    variables: Mapping[Place, Mapping[bytes, bytes]]
    path: Sequence[str]
    directory: str | None
    levels: Levels | None
    cells: Sequence[tuple[int, bytes]] = ()


class Ready(NamedTuple):
    """An agent has made links to all machines that had started before it."""


class Broken(NamedTuple):
    """The link between this machine and another one has failed, or the command that starts an agent has ended."""

    host: int
    reason: str


class HostDied(NamedTuple):
    """A machine is lost. reason: names it. successor: has all its places now; None if the run must end."""

    host: int
    reason: str
    successor: int | None


class Successor(NamedTuple):
    """A machine is lost. Another one has its place in all junctions from now on; its links will come."""

    dead: int
    new: int


class Launched(NamedTuple):
    """The agent of a successor is being started on the machine of this name."""

    host: int
    name: str


class Unlinked(NamedTuple):
    """The system of the sender's machine refuses the links of other machines for now. reason: why.

    The switchboard passes it on with the name of the machine.
    """

    reason: str
    name: str = ""


class Failed(NamedTuple):
    """The sender cannot carry the frames of a junction any more."""

    junction: int
    reason: str


class Parted(NamedTuple):
    """A machine has no link to a dead one any more, and is ready for its successor.

    again: frames that it had sent there, or was to send, and that wait again. arrived: frames that have ever come from
    there.
    """

    junction: int
    dead: int
    again: int
    arrived: int


class Full(NamedTuple):
    """A machine keeps too many bytes of a junction, or no more: see `Hold`."""

    junction: int
    is_full: bool


class Hold(NamedTuple):
    """Take no more frames from the origin of a section, or again: some machine is full at a later junction of it."""

    junction: int
    holds: bool


class ToWorker(NamedTuple):
    """A command of the supervisor: see `executors.control_pipe`. message: packed."""

    place: Place
    generation: int
    message: bytes


class FromWorker(NamedTuple):
    """An event for the supervisor: see `executors.control_pipe`. message: packed."""

    place: Place
    generation: int
    message: bytes


class Log(NamedTuple):
    """What a worker has written to its log pipe."""

    place: Place
    data: bytes


class LogTaken(NamedTuple):
    """The main process has taken so many bytes of what a worker has logged."""

    place: Place
    nbytes: int


class Seal(NamedTuple):
    """All producers of a junction have finished."""

    junction: int


class Cancel(NamedTuple):
    """The main process has cancelled the groups before this one. Their flags are on the board."""

    before: int


class Alive(NamedTuple):
    """The switchboard runs. It tells the main process regularly."""


class End(NamedTuple):
    """The run is over."""


class Copy(NamedTuple):
    """Changes of the sender's board."""

    changes: Changes


def pack(message: Any) -> bytes:
    """The pickle of a message."""
    return pickle.dumps(message, pickle.HIGHEST_PROTOCOL)


def unpack(data: bytes | bytearray | memoryview) -> Any:
    """The message. It comes from a process that has the key of the run."""
    return pickle.loads(data)

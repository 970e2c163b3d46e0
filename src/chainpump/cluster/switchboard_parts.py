"""Parts of the switchboard: what it gets at its start, its writer of logs, and what its threads tell it."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from ..ipc.board import Board
from ..ipc.descriptors import Descriptor
from ..lazy_dataclass import dataclass
from ..transport.process_channel import PacketChannel
from ..transport.send_limit import Limit
from .mailbox import Mailbox
from .members import MAIN
from .messages import Broken, Failed, FromWorker, Full, Parted, Place, Plan
from .pairings import Pairings

__all__ = ["Holds", "LinkLost", "LogWriter", "Logged", "OwnPairing", "Setup"]


@dataclass(frozen=True, slots=True)
class Setup:
    """What the switchboard gets from the main process. It owns the descriptors.

    connection: to the main process. listener: the socket for links. limits: move the limits of the gates of workers of
    the main process. parts: the left and the right part of each split junction on the machine of the main process.
    controls, logs: of each worker of another machine. plans: one for each agent, without addresses. restoring: the
    board rows that restore order, which all machines copy. moves: how often the workers of each group may go on
    elsewhere after the loss of their machine. join_within: seconds for an agent to start.
    lost_after: seconds of silence after which a machine counts as lost.
    """

    key: bytes
    connection: Descriptor
    listener: Descriptor
    board: Board
    limits: Sequence[Limit]
    parts: Mapping[int, tuple[PacketChannel | None, PacketChannel | None]]
    controls: Mapping[Place, Descriptor]
    logs: Mapping[Place, Descriptor]
    plans: Sequence[Plan]
    restoring: Sequence[int]
    moves: Mapping[int, int]
    join_within: float
    lost_after: float


class Holds:
    """Which sections may take no more items, because a machine keeps too many bytes of one of their junctions.

    Both methods return the changes: for the first junction of a section, whether to hold it now. Sections whose first
    junction is on one machine are bounded by their send limit alone.
    """

    def __init__(self, plan: Plan) -> None:
        # The first junction of the section, by junction.
        self._first = {
            junction: section.origin
            for section in plan.sections
            if section.is_replayed and plan.junctions[section.origin] is not None
            for junction in range(section.origin, section.end)
        }
        # The machines and junctions that are full.
        self._full: set[tuple[int, int]] = set()

    def full(self, host: int, junction: int, is_full: bool) -> Mapping[int, bool]:
        """A machine keeps too much of a junction, or does not any more."""
        return self._changed({(host, junction)} if is_full else set(), set() if is_full else {(host, junction)})

    def died(self, host: int) -> Mapping[int, bool]:
        """What a machine has kept is lost with it."""
        return self._changed(set(), {each for each in self._full if each[0] == host})

    def _changed(self, new: set[tuple[int, int]], gone: set[tuple[int, int]]) -> Mapping[int, bool]:
        before = self._held
        self._full = (self._full | new) - gone
        after = self._held
        return {junction: junction in after for junction in before ^ after}

    @property
    def _held(self) -> set[int]:
        return {self._first[junction] for _, junction in self._full if junction in self._first}


class LinkLost:
    """The control link of an agent has failed."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


class LogWriter:
    """A thread that writes to the log pipes of the main process, whose reader may be slow.

    done: called in that thread, after all that was written before.
    """

    def __init__(self, logs: Mapping[Place, Descriptor]) -> None:
        self._logs = logs
        self._jobs: queue.SimpleQueue[tuple[Place, bytes] | Callable[[], object]] = queue.SimpleQueue()
        threading.Thread(target=self._write, name="chainpump logs", daemon=True).start()

    def put(self, place: Place, data: bytes) -> None:
        """Write to the pipe of one worker."""
        self._jobs.put((place, data))

    def then(self, done: Callable[[], object]) -> None:
        """Call a function after all that has been put."""
        self._jobs.put(done)

    def _write(self) -> None:
        while True:
            job = self._jobs.get()
            if callable(job):
                job()
                continue
            place, data = job
            # The main process does not read any more.
            with suppress(OSError):
                while data:
                    data = data[os.write(self._logs[place].fileno(), data) :]


class OwnPairing:
    """Tells the switchboard about the frames of its own machine."""

    def __init__(self, mailbox: Mailbox[Any], pairings: Pairings) -> None:
        self._mailbox = mailbox
        self._pairings = pairings

    def has(self, junction: int, n: int) -> None:
        """Tell that this machine has so many more frames."""
        self._pairings.has(MAIN, junction, n)

    def wants(self, junction: int, n: int) -> None:
        """Tell that this machine wants so many more frames."""
        self._pairings.wants(MAIN, junction, n)

    def parted(self, junction: int, dead: int, again: int, arrived: int) -> None:
        """Tell that this machine has no link to a dead one any more."""
        self._mailbox.put((MAIN, Parted(junction, dead, again, arrived)))

    def full(self, junction: int, is_full: bool) -> None:
        """Tell that this machine keeps too many bytes of a junction, or no more."""
        self._mailbox.put((MAIN, Full(junction, is_full)))

    def failed(self, junction: int, reason: str) -> None:
        """Frames of a junction cannot be carried here any more."""
        self._mailbox.put((MAIN, Failed(junction, reason)))

    def lost(self, host: int, reason: str) -> None:
        """The link to another machine has failed."""
        self._mailbox.put((MAIN, Broken(host, reason)))


class Logged:
    """An event of a worker, after all that the worker had logged before was written."""

    def __init__(self, event: FromWorker) -> None:
        self.event = event

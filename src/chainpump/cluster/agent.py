"""The part of a run on one machine: its board, its channels and its workers, as the main process commands them.

They are ordinary worker processes with the usual channels between them and a ferry that carries frames to and from
other machines. This process imports nothing of the program.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NoReturn

from ..engine.connections import Connections, Junction
from ..engine.worker_maker import WorkerMaker
from ..executors.control_pipe import Event
from ..executors.control_pipe import pack as pack_event
from ..ipc.board import Cell
from ..ipc.board_copies import Changes, Clock, Watch, write
from ..lazy_dataclass import replace
from ..logs.records import LogsEnd
from ..messages.names import WorkerName
from ..messages.printable import printable
from ..pickling.shared_functions import SharedFunctions
from ..worker.surroundings import Surroundings
from .agent_control import Control, Lost, wait
from .agent_slots import AgentSlot, NextLog
from .ferry import Ferry
from .mailbox import Mailbox
from .messages import Copy, End, FromWorker, Log, LogTaken, Place, Plan, Seal, ToWorker
from .route import Route, replayed
from .split_channel import SplitChannel, SplitJunction

__all__ = ["Agent"]

# Seconds between two copies of the board. So long may a worker wait for a limit that was moved on another machine.
COPY_EVERY = 0.02


class Agent:
    """The run on this machine. One thread uses it."""

    def __init__(self, plan: Plan, clock: Clock, control: Control, mailbox: Mailbox[Any], ferry: Ferry) -> None:
        self._plan = plan
        self._clock = clock
        self._control = control
        self._mailbox = mailbox
        self._cancelled = 0
        with ExitStack() as undo:
            self._connections = Connections(plan.rows, self._junctions(), plan.sections)
            undo.callback(self._connections.close)
            self.ferry = ferry
            undo.callback(self.ferry.close)
            limits = self._connections.limits()
            self._limits = [limit for end, limit in limits.items() if plan.places[end][0] != plan.host]
            for limit in self._limits:
                undo.callback(limit.close)
                limit.open(self._connections.board)
            self._surroundings = _surroundings(plan.path, plan.directory)
            undo.callback(self._surroundings.close)
            self._slots = self._made_slots()
            for slot in self._slots.values():
                undo.callback(slot.close)
            write(self._connections.board, Changes(plan.cells), clock)
            self._watch = Watch(
                self._connections.board,
                rows=[row for slot in self._slots.values() for row in slot.rows],
                hints=[number for number, each in enumerate(plan.junctions) if each and plan.host in each.right],
            )
            # The main process knows what it has sent.
            self._watch.changed()
            # What to do with a message, by its type.
            self._takes: Mapping[type, Callable[[Any], None]] = {
                Copy: lambda copy: self._take_copy(copy.changes),
                End: self._end,
                LogTaken: lambda taken: self._slots[taken.place].logs_taken(taken.nbytes),
                Lost: self._end,
                Seal: lambda seal: self._channel(seal.junction).seal(),
                ToWorker: self._take_command,
            }
            self._closing = undo.pop_all()

    # --------------------------------------------------------------------------------------------------- its parts

    def _junctions(self) -> list[Junction]:
        """The junctions of the run, each with the part of this machine, which may be none."""
        return [
            SplitJunction(
                each.producers if each else 0,
                each.consumers if each else 0,
                None,
                renewable=True,
                sends_packets=True,
                senders=self._workers_here(junction) if each else (),
                receivers=len(self._workers_here(junction + 1)) if each else 0,
            )
            for junction, each in enumerate(self._plan.junctions)
        ]

    def _workers_here(self, group: int) -> list[int]:
        return [number for number, host in enumerate(self._plan.places[group]) if host == self._plan.host]

    def _channel(self, junction: int) -> SplitChannel:
        channel = self._connections.channels[junction]
        assert isinstance(channel, SplitChannel)
        return channel

    def _made_slots(self) -> Mapping[Place, AgentSlot]:
        plan, nothing = self._plan, SharedFunctions(())
        codes = {group: SharedFunctions.unpacked(code) for group, code in plan.codes.items()}
        made: dict[Place, AgentSlot] = {}
        logs = NextLog()
        maker = WorkerMaker(
            plan.works,
            [codes.get(group, nothing) for group in range(len(plan.works))],
            self._connections,
            plan.seed,
            [() for _ in plan.works],
            lambda _: LogsEnd(logs.next, plan.levels),
            self._surroundings_of,
        )
        for group, hosts in enumerate(plan.places):
            for number, host in enumerate(hosts):
                if host == plan.host:
                    key = group, number
                    made[key] = AgentSlot(
                        key,
                        plan.works[group],
                        maker,
                        logs,
                        plan.host,
                        self._clock,
                        self._sender_of(key),
                        self._publish,
                        self._log_of(key),
                    )
        return made

    def _sender_of(self, key: Place) -> Callable[[int, Event], None]:
        return lambda generation, event: self._control.send(FromWorker(key, generation, pack_event(event)))

    def _log_of(self, key: Place) -> Callable[[bytes], None]:
        return lambda data: self._control.send(Log(key, data))

    def _surroundings_of(self, group: int, number: int, who: WorkerName) -> Surroundings:
        names = {b"CHAINPUMP_STAGE": printable(who.stage).encode(), b"CHAINPUMP_WORKER": b"%d" % number}
        return self._surroundings.with_variables({**self._plan.variables.get((group, number), {}), **names})

    # -------------------------------------------------------------------------------------------------- its frames

    def carry(self) -> None:
        """Carry frames that cross machines, as soon as their links are there."""
        for junction, each in enumerate(self._plan.junctions):
            channel = self._channel(junction)
            if each is None or (channel.left is None and channel.right is None):
                continue
            self.ferry.carry(
                Route(
                    junction,
                    channel.left,
                    channel.right,
                    len(self._workers_here(junction + 1)),
                    each.left,
                    each.right,
                    self._states_of(junction),
                    self._ended,
                    replayed(each.replay, self._connections.board),
                )
            )

    def _states_of(self, junction: int) -> Callable[[], bytes]:
        """What gives the final states of the workers here that send to a junction."""
        rows = [self._plan.works[junction].stages[-1].siblings[number] for number in self._workers_here(junction)]
        board = self._connections.board
        return lambda: pickle.dumps([(row, board.row(row)[Cell.STATE]) for row in rows])

    def _ended(self, host: int, states: bytes) -> None:
        """All workers of a machine that send to a junction have ended."""
        if host != self._plan.host:
            for row, state in pickle.loads(states):
                self._connections.board.row(row)[Cell.STATE] = state

    # --------------------------------------------------------------------------------------------------- its board

    def _publish(self) -> None:
        """Send what has changed on the board."""
        changes = self._watch.changed()
        if changes is not None:
            rows = [(row, self._clock.there(cells)) for row, cells in changes.rows]
            self._control.send(Copy(changes._replace(rows=rows)))

    def _take_copy(self, changes: Changes) -> None:
        write(self._connections.board, changes, self._clock)
        board = self._connections.board
        cancelled = next(
            (group for group in range(len(self._plan.works)) if not board.flag(group)[0]), len(self._plan.works)
        )
        if cancelled > self._cancelled:
            self._cancelled = cancelled
            self._connections.cancel(cancelled)
            for slot in self._slots.values():
                if slot.key[0] < cancelled:
                    slot.wake()
            for junction in range(min(cancelled, len(self._plan.junctions))):
                self.ferry.hang_up(junction)
        self._use_copies()

    def _use_copies(self) -> None:
        """Use what other machines have written: wake workers that wait for a limit, and drop what has passed."""
        for limit in self._limits:
            limit.wake()
        self.ferry.look()

    # ---------------------------------------------------------------------------------------------------- its loop

    def take(self, message: object) -> None:
        """Take a message of the switchboard. Raises Lost at the end of the run."""
        self._takes[type(message)](message)

    def _take_command(self, command: ToWorker) -> None:
        self._slots[command.place].obey(command.generation, pickle.loads(command.message))

    def _end(self, why: End | Lost) -> NoReturn:
        raise why if isinstance(why, Lost) else Lost("the run is over")

    def run(self) -> None:
        """Serve the run until the switchboard or standard input has ended. Raises Lost then."""
        next_copy = 0.0
        while True:
            now = time.monotonic()
            if now >= next_copy:
                next_copy = now + COPY_EVERY
                self._publish()
                self._use_copies()
            self._wait(next_copy)
            for message in self._mailbox.take():
                self.take(message)
            for slot in self._slots.values():
                slot.look()

    def _wait(self, next_copy: float) -> None:
        """Wait until there is something to do."""
        dues = [slot.due for slot in self._slots.values() if slot.due is not None]
        if any(slot.is_running for slot in self._slots.values()):
            dues.append(next_copy)
        seconds = max(0.0, min(dues) - time.monotonic()) if dues else None
        ends = [self._mailbox.fileno(), *(fd for slot in self._slots.values() for fd in slot.waitables)]
        wait(ends, seconds)

    def close(self) -> None:
        """Kill all workers, and release all resources."""
        for slot in self._slots.values():
            slot.kill()
        self._closing.close()


def _surroundings(path: list[str] | Any, directory: str | None) -> Surroundings:
    """The surroundings of this process for its workers, with the places where the program finds its modules."""
    around = Surroundings.now().without_input()
    own = [each for each in around.path if each]
    place = directory if directory is not None and Path(directory).is_dir() else around.directory
    more = [each for each in path if each not in own]
    return replace(around, path=[*own, *more], directory=place, imports_main=False)

"""Workers on other machines, as seen from the main process.

    main process                    switchboard                     agent, on the other machine
    RemoteHandle ── RemoteSlot ──── control pipe ──── link ──────── handle of a worker process there

`RemoteSlot` is the main process's end of the control pipe of one slot. `RemoteHandle` is one worker that runs there.
All decisions are those of the supervisor, as for a worker of this machine.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping, Sequence

from ..durable.notes import Notes
from ..errors import DeadItem
from ..ipc.board import Board, Cell
from ..ipc.checkpoint import Checkpoint
from ..ipc.descriptors import pipe
from ..lazy_dataclass import replace
from ..messages import host_texts
from ..messages.names import WorkerName
from ..worker.operator_run import Condemned
from ..worker.outcome import Failed, Message, Outcome, PackedDeadItem, SuccessorWanted
from .base import Lost, LostWithMachine, WorkerHandle
from .control_pipe import (
    AskStack,
    Command,
    ControlPipe,
    Died,
    Event,
    Gone,
    Interrupt,
    Kill,
    Placed,
    Remains,
    Report,
    Stack,
    Start,
    Strike,
    Taken,
    pack,
)

__all__ = ["RemoteHandle", "RemoteSlot"]

# Why the workers of all other machines are lost, if the process between has died.
SWITCHBOARD_DIED = "the process that connects this machine with the others has died"


class RemoteSlot:
    """The place of one worker on another machine.

    who: its worker, with the name of the machine. host: the number of the machine. rows: its board rows. takers: take
    the dead letters of its stage. note: takes what it tells the journal of a durable run. checkpoint: gets the position
    of a worker that has died; None before the first worker, and if workers are not replaced. reports_loss: a worker
    reports, or has reported, that no other one can follow.
    """

    def __init__(
        self,
        control: ControlPipe,
        who: WorkerName,
        host: int,
        board: Board,
        rows: Sequence[int],
        takers: Sequence[Callable[[DeadItem], object]],
        note: Callable[[Notes], object],
    ) -> None:
        self._control = control
        self.who = who
        self._host = host
        self._board = board
        self._rows = rows
        self.takers = takers
        self.note = note
        self.checkpoint: Checkpoint | None = None
        self._handles: dict[int, RemoteHandle] = {}
        # Why no worker can run there any more.
        self._lost = ""
        self.reports_loss = False
        # Always readable, because its writing end is closed.
        self._readable, writing = pipe()
        writing.close()

    def start(
        self, generation: int, checkpoint: Checkpoint | None = None, condemned: Mapping[int, Condemned] | None = None
    ) -> RemoteHandle:
        """Start a worker. If that fails, the handle reports it."""
        self.checkpoint = checkpoint
        handle = self._handles[generation] = RemoteHandle(self, generation)
        if self._lost:
            handle.lose(self._lost, is_final=True)
            return handle
        cells = {row: self._board.row(row) for row in self._rows}
        for each in cells.values():
            each[Cell.HOST] = self._host
        rows = [(row, each.tobytes()) for row, each in cells.items()]
        self.send(generation, Start(self._host, rows, condemned or {}))
        return handle

    def send(self, generation: int, command: Command) -> None:
        """Send a command to a worker."""
        self._control.send(generation, pack(command))

    def strike(self, generation: int) -> None:
        """Kill a worker, unless it has finished the item that it has according to the board."""
        row = self._board.row(self._rows[0])
        self.send(generation, Strike(row[Cell.ITEM], row[Cell.SINCE]))

    @property
    def waitables(self) -> Sequence[int]:
        """The pipe. While a handle has something to report that has arrived already: a descriptor that is readable."""
        if any(handle.has_report for handle in self._handles.values()):
            return (self._readable.fileno(),)
        return (self._control.fileno(),)

    def receive(self) -> None:
        """Hand all messages that have arrived to the handles of their workers. Never waits."""
        if self._lost:
            return
        for generation, message in self._control.receive():
            event: Event = pickle.loads(message)
            if generation in self._handles:
                self._handles[generation].take(event)
        if self._control.is_broken:
            self.lose(SWITCHBOARD_DIED)

    def lose(self, reason: str) -> None:
        """Nothing more will come from there, and no worker can start. reason: how that was noticed."""
        if self._lost:
            return
        self._lost = reason
        lost = [handle.lose(reason, is_final=True) for handle in self._handles.values()]
        self.reports_loss = any(lost)

    def move(self, host: int, name: str, reason: str) -> None:
        """The machine is lost, and workers start on another one from now on. reason: as above."""
        self.receive()
        for handle in self._handles.values():
            handle.lose(reason, is_final=False)
        self._host = host
        self.who = replace(self.who, host=name)

    def forget(self, generation: int) -> None:
        """A worker has ended, and its handle was closed."""
        self._handles.pop(generation, None)

    def close(self) -> None:
        """Release what it has. Its handles are of no more use."""
        self._control.close()
        self._handles.clear()
        self.checkpoint = None
        self._readable.close()


class RemoteHandle(WorkerHandle):
    """A handle on a worker of another machine."""

    def __init__(self, slot: RemoteSlot, generation: int) -> None:
        self._slot = slot
        self._generation = generation
        self._pid = 0
        self._request: SuccessorWanted | None = None
        self._outcome: Outcome | Lost | None = None
        self._has_outcome = False
        self._is_gone = False
        self._stack = ""
        self._remains: Sequence[str] = ()
        # How many dead letters it has sent.
        self._letters = 0

    @property
    def pid(self) -> int:
        """The process id on the other machine. 0 until the process has started."""
        return self._pid

    @property
    def dies_within(self) -> float:
        """As for a process of this machine. A machine that does not answer is lost before that."""
        return 30.0

    @property
    def waitables(self) -> Sequence[int]:
        """The pipe of the slot. None once the worker has ended, or its machine is lost."""
        return () if self._is_gone and not self.has_report else self._slot.waitables

    @property
    def has_report(self) -> bool:
        """Whether `poll` will return something that has arrived already."""
        return self._outcome is not None or self._request is not None

    def poll(self) -> Outcome | Lost | SuccessorWanted | None:
        """Return how the worker ended, as soon as it has reported that or has died. Before that, its request."""
        self._slot.receive()
        report = self._outcome or self._request
        self._outcome = self._request = None
        return report

    def take(self, event: Event) -> None:
        """Take a message about this worker."""
        if isinstance(event, Report):
            self._take_report(event.message)
        elif isinstance(event, Died):
            if event.position is not None and self._slot.checkpoint is not None:
                self._slot.checkpoint.put_position(event.position)
            self._report(Lost(event.exit_code))
        elif isinstance(event, Placed):
            self._pid = event.pid
        elif isinstance(event, Stack):
            self._stack = event.text
        elif isinstance(event, Remains):
            self._remains = event.names
        elif isinstance(event, Gone):
            self._is_gone, self._remains = True, ()

    def _take_report(self, message: Message) -> None:
        if isinstance(message, PackedDeadItem):
            # A worker process that sends dead letters has only one stage.
            self._slot.takers[0](message.unpacked())
            self._letters += 1
            self._slot.send(self._generation, Taken(self._letters))
        elif isinstance(message, Notes):
            self._slot.note(message)
        elif isinstance(message, SuccessorWanted):
            self._request = message
        else:
            self._report(message.unpacked(self._slot.who))

    def _report(self, outcome: Outcome | Lost) -> None:
        if not self._has_outcome:
            self._outcome, self._has_outcome = outcome, True

    def lose(self, reason: str, *, is_final: bool) -> bool:
        """Its machine is lost, and nothing more will come from there. Returns whether the worker had no outcome.

        is_final: no other worker can follow.
        """
        if self._is_gone:
            return False
        had_outcome = self._has_outcome
        self._is_gone, self._remains = True, ()
        final = Failed(host_texts.lost_with_host(self._slot.who, self._pid or None, reason))
        self._report(final if is_final else LostWithMachine(machine=reason))
        return not had_outcome

    @property
    def remains(self) -> Sequence[str]:
        """The processes that the dead worker left behind."""
        return self._remains

    def interrupt(self) -> None:
        """Request that the worker stops what it is doing. Its clean-up runs."""
        self._slot.send(self._generation, Interrupt())

    def kill(self) -> None:
        """Kill the worker."""
        self._slot.send(self._generation, Kill())

    def strike(self) -> None:
        """Kill the worker so that it counts as lost, unless it has finished its item meanwhile."""
        self._slot.strike(self._generation)

    def ask_stack(self) -> None:
        """Request the stack of the worker, which is sent without delay."""
        self._stack = ""
        self._slot.send(self._generation, AskStack())

    def read_stack(self) -> str:
        """The stack that has arrived last."""
        return self._stack

    def close(self) -> None:
        """Release the resources of the handle."""
        self._slot.forget(self._generation)

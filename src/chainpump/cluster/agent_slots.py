"""The workers of one agent. Each slot answers on the control pipe of the main process for the workers that run in it.

The supervisor decides everything. A slot starts worker processes as it is told, sends them signals, and tells what they
report and how they end. What they report stays packed: an agent imports nothing of the program.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence

from ..durable.notes import Notes
from ..engine.worker_maker import WorkerMaker
from ..executors.base import Lost
from ..executors.control_pipe import (
    AskStack,
    Command,
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
)
from ..executors.process_handle import ProcessHandle
from ..executors.start_methods import METHODS
from ..ipc.board import Cell
from ..ipc.board_copies import Clock, put_row
from ..ipc.checkpoint import Checkpoint
from ..ipc.descriptors import Descriptor, pipe
from ..messages import failure_texts
from ..messages.names import WorkerName
from ..transport.wire import PACKET_BYTES
from ..worker.outcome import Failed, Outcome, PackedDeadItem
from ..worker.receipts import ReceiptGiver
from ..worker.work import Work
from ..worker.worker import Worker

__all__ = ["AgentSlot", "LogPipe", "NextLog"]

# Seconds after a request for the stack of a worker at which it is read. A worker writes it within a few milliseconds
# unless the machine is overloaded. The supervisor waits 0.1 s.
STACK_AFTER = (0.02, 0.07)
READ_BYTES = 1 << 16
# This is more than a pipe has room for.
MOST_READS = 32
# Bytes of logs that may be on their way to the main process, for each slot. A worker waits if its handlers are slow.
MOST_LOGS = 1 << 18


class RelayedHandle(ProcessHandle):
    """A handle on a worker process whose reports are passed on as they are."""

    def __init__(self, worker: Worker, pass_on: Callable[[Event], None]) -> None:
        self._pass_on = pass_on
        super().__init__(worker, METHODS["forkserver"].start)

    def _take_dead_item(self, item: PackedDeadItem) -> None:
        self._pass_on(Report(item))

    def _take_notes(self, notes: Notes) -> None:
        self._pass_on(Report(notes))

    def _opened(self, outcome: Outcome) -> Outcome:
        return outcome


class LogPipe:
    """The log pipe of one worker: its bytes are passed on unread. pass_on: gets them."""

    def __init__(self, pass_on: Callable[[bytes], None]) -> None:
        self._reading, self.writing = pipe()
        self._pass_on = pass_on
        os.set_blocking(self._reading.fileno(), False)

    @property
    def waitables(self) -> Sequence[int]:
        """The descriptor that is readable when there is something to pass on. None after the end."""
        return () if self._reading.closed else (self._reading.fileno(),)

    def read(self) -> bool:
        """Pass on some of what has arrived. Returns whether there was anything."""
        if self._reading.closed:
            return False
        try:
            data = os.read(self._reading.fileno(), READ_BYTES)
        except BlockingIOError:
            return False
        if data:
            self._pass_on(data)
        else:
            self._reading.close()
        return bool(data)

    def drain(self) -> None:
        """Pass on what the worker has left. Another process may hold the other end, and write for ever."""
        for _ in range(MOST_READS):
            if not self.read():
                return

    def close(self) -> None:
        """Close both ends."""
        self._reading.close()
        self.writing.close()


class NextLog:
    """The end of the log pipe for the worker that is being made. All slots of an agent share it: names may be equal."""

    next: Descriptor


class _Running:
    """A worker process of a slot."""

    def __init__(self, handle: RelayedHandle, log: LogPipe, receipts: ReceiptGiver) -> None:
        self.handle = handle
        self.log = log
        self.receipts = receipts
        self.remains: Sequence[str] = ()
        # When to read the stack, in seconds of the monotonic clock.
        self.stack_due: list[float] = []


class AgentSlot:
    """A slot of this machine.

    key: the index of its group, and its number. host: the number of this machine. clock: of the main process's machine.
    send: sends an event about the worker of a generation. publish: sends what has changed on the board; called before
    each report. log: sends what a worker has logged.
    """

    def __init__(
        self,
        key: tuple[int, int],
        work: Work,
        maker: WorkerMaker,
        next_log: NextLog,
        host: int,
        clock: Clock,
        send: Callable[[int, Event], None],
        publish: Callable[[], None],
        log: Callable[[bytes], None],
    ) -> None:
        self.key = key
        self._work = work
        self._maker = maker
        self._next_log = next_log
        self._host = host
        self._clock = clock
        self._send = send
        self._publish = publish
        self._log = log
        self._checkpoint: Checkpoint | None = None
        self._running: dict[int, _Running] = {}
        # Bytes of logs that the main process has not taken.
        self._logs = 0

    @property
    def who(self) -> WorkerName:
        """The name of its worker."""
        return self._work.assignments(self.key[1], 0)[0].who

    @property
    def rows(self) -> Sequence[int]:
        """Its rows of the board."""
        return [each.row for each in self._work.assignments(self.key[1], 0)]

    @property
    def waitables(self) -> Sequence[int]:
        """The descriptors that become readable when `look` has something to do."""
        found: list[int] = []
        for running in self._running.values():
            found += running.handle.waitables
            if self._logs < MOST_LOGS:
                found += running.log.waitables
        return found

    @property
    def is_running(self) -> bool:
        """Whether a worker process, or one that it has left behind, has not ended."""
        return bool(self._running)

    @property
    def due(self) -> float | None:
        """When `look` has something to do in any case, in seconds of the monotonic clock."""
        return min((due for running in self._running.values() for due in running.stack_due), default=None)

    def obey(self, generation: int, command: Command) -> None:
        """Do what the supervisor has told."""
        if isinstance(command, Start):
            self._start(generation, command)
            return
        running = self._running.get(generation)
        if running is None:
            return
        handle = running.handle
        if isinstance(command, Interrupt):
            handle.interrupt()
        elif isinstance(command, Kill):
            handle.kill()
        elif isinstance(command, Strike):
            row = self._maker.connections.board.row(self.rows[0])
            if (command.item, self._clock.time_here(command.since)) == (row[Cell.ITEM], row[Cell.SINCE]):
                handle.strike()
        elif isinstance(command, AskStack):
            handle.ask_stack()
            running.stack_due = [time.monotonic() + after for after in STACK_AFTER]
        elif generation == max(self._running):
            # A worker that follows one has letters of its own.
            running.receipts.taken(command.letters)

    def _start(self, generation: int, start: Start) -> None:
        if start.host != self._host:
            # It was meant for the lost machine that had this place: the main process did not know yet.
            return
        board = self._maker.connections.board
        for row, cells in start.rows:
            put_row(board, row, self._clock.here(cells))
        log = LogPipe(self._pass_log_on)
        self._next_log.next = log.writing
        receipts = ReceiptGiver(board.row(self.rows[0]))
        try:
            if self._work.is_replaceable and self._checkpoint is None:
                self._checkpoint = Checkpoint(PACKET_BYTES)
            worker = self._maker.worker(
                *self.key,
                generation,
                checkpoint=self._checkpoint,
                condemned=start.condemned or None,
                receipts=receipts.receipts(),
            )
            try:
                handle = RelayedHandle(worker, lambda event: self._send(generation, event))
            except BaseException:
                worker.hand_over()
                raise
        except Exception as error:
            log.close()
            receipts.close()
            failed = Failed(failure_texts.not_started(self.who, error), error)
            self._send(generation, Report(failed.packed(self.who)))
            self._send(generation, Gone())
            return
        log.writing.close()
        self._running[generation] = _Running(handle, log, receipts)
        for row, _ in start.rows:
            board.row(row)[Cell.PID] = handle.pid
        self._send(generation, Placed(handle.pid))

    def wake(self) -> None:
        """Its workers are cancelled: wake those that wait for a receipt."""
        for running in self._running.values():
            running.receipts.wake()

    def _pass_log_on(self, data: bytes) -> None:
        self._logs += len(data)
        self._log(data)

    def logs_taken(self, nbytes: int) -> None:
        """The main process has taken so many bytes of logs."""
        self._logs -= nbytes

    def look(self) -> None:
        """Pass on what the worker processes report, and how they have ended. Never waits."""
        for generation, running in list(self._running.items()):
            self._look_at(generation, running)

    def _look_at(self, generation: int, running: _Running) -> None:
        report = running.handle.poll()
        if report is not None:
            # What a worker has published comes first.
            self._publish()
            if isinstance(report, Lost):
                position = self._checkpoint.position if self._checkpoint is not None else None
                self._send(generation, Died(report.exit_code, position))
            else:
                self._send(generation, Report(report))
        if self._logs < MOST_LOGS:
            running.log.read()
        if running.stack_due and running.stack_due[0] <= time.monotonic():
            running.stack_due.pop(0)
            self._send(generation, Stack(running.handle.read_stack()))
        if not running.handle.waitables:
            self._end(generation, running)
        elif (remains := running.handle.remains) != running.remains:
            running.remains = remains
            self._send(generation, Remains(list(remains)))

    def _end(self, generation: int, running: _Running) -> None:
        """A worker process has ended, and has left none behind."""
        del self._running[generation]
        running.log.drain()
        running.log.close()
        running.receipts.close()
        self._publish()
        running.handle.close()
        self._send(generation, Gone())

    def kill(self) -> None:
        """Kill all worker processes: there is no main process any more."""
        for running in self._running.values():
            running.handle.kill()

    def close(self) -> None:
        """Release all resources."""
        for running in self._running.values():
            running.handle.close()
            running.log.close()
            running.receipts.close()
        self._running.clear()
        if self._checkpoint is not None:
            self._checkpoint.close()

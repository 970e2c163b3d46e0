"""A slot is a position for one worker of a group. One worker after another may run in it.

    slot of a group ── rows of the board, checkpoint, history: they exist as long as the run
      │
      ├── worker   the current or last worker: its handle, its outcome, the steps of its forced end
      ├── successor  a started worker that waits until the current one has retired
      └── leaving  earlier workers whose processes, or what they have left behind, are ending

A worker may be replaced because it has died, has done its share or exceeds its time limit, or because its stage needs
one more worker again. The next worker finds in the slot all that it needs to go on.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from ..ipc import wait_times
from ..ipc.board import Cell, State
from ..ipc.checkpoint import Checkpoint
from ..lazy_dataclass import dataclass, field
from ..messages.names import WorkerName
from ..progress.reading import Reading, Rows, WorkerReading, read_worker
from ..transport.wire import PACKET_BYTES
from ..worker.operator_run import Condemned
from ..worker.outcome import Finished
from ..worker.turn import TurnGiver
from .groups import Group
from .started_worker import StartedWorker

__all__ = ["ReplacementRecord", "Successor", "WorkerSlot"]


@dataclass(slots=True)
class ReplacementRecord:
    """The history of the workers that have died in a slot.

    restarts: how many workers have died by themselves. overdue: the item for which the current worker will be killed,
    and when its call began. frame: the current frame, as the number of items before it. suspect: where the last worker
    has died: the position in the frame, and one more than that in a batch that was split, or 0. cost: how many workers
    in a row have died there. condemned: items that replacements must not process, by their position in the frame. Each
    replacement may reach all of them again.
    """

    restarts: int = 0
    overdue: tuple[int, int] | None = None
    frame: int = 0
    suspect: tuple[int, int] | None = None
    cost: int = 0
    condemned: dict[int, Condemned] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Successor:
    """A worker that waits for its turn."""

    worker: StartedWorker
    turn: TurnGiver


class WorkerSlot:
    """A position for one worker. Run and wiring use it before the supervisor starts; afterwards only the supervisor.

    group_index: the index of its group in the chain. number: its number in the group, counted from 0.
    rows: its rows of the board, one for each stage of the group. All of its workers continue their counts.
    checkpoint: tells a replacement which items its predecessor was processing; None if workers are not replaced.
    worker: None before the first worker, and if the caller's thread is the worker.
    finished: the outcome of its last worker with the returned value; None if that has not finished.
    ended_in_set_up: its last worker has died while its factories made their functions.
    is_retired: its worker was asked to retire, and no other worker was started since then.
    input_before: the input of its worker on the board at the start of the worker; see `WorkerReading.input_mark`.
    """

    def __init__(self, group_index: int, group: Group, number: int, rows: Sequence[memoryview]) -> None:
        self.group_index = group_index
        self.group = group
        self.number = number
        self.rows: Sequence[memoryview] = rows
        self.who: WorkerName = group.who(group.main, number)
        self.checkpoint: Checkpoint | None = None
        self.replacements = ReplacementRecord()
        self.worker: StartedWorker | None = None
        self.successor: Successor | None = None
        self.leaving: Sequence[StartedWorker] = ()
        self.finished: Finished | None = None
        self.is_retired = False
        self.ended_in_set_up = False
        self.input_before = WorkerReading().input_mark
        # How many workers have been made for the slot.
        self._generations = 0

    @property
    def key(self) -> tuple[int, int]:
        """The index of its group, and its number. They identify the slot in other processes."""
        return self.group_index, self.number

    @property
    def workers(self) -> Sequence[StartedWorker]:
        """Its worker, its successor, and earlier workers whose processes have not ended."""
        waiting = (self.successor.worker,) if self.successor is not None else ()
        return (self.worker, *waiting, *self.leaving) if self.worker is not None else ()

    @property
    def running(self) -> Sequence[StartedWorker]:
        """The workers whose end, or the end of their processes, is still awaited."""
        return [each for each in self.workers if each.is_running]

    @property
    def is_occupied(self) -> bool:
        """Whether its worker has no outcome yet, or a process of it still runs. No other worker may start then."""
        return self.worker is not None and (self.worker.outcome is None or self.worker.is_running)

    @property
    def is_at_work(self) -> bool:
        """Whether its worker runs and has not reported its outcome."""
        return self.worker is not None and self.worker.is_running and self.worker.outcome is None

    def release_ended(self) -> None:
        """Release the handles of workers that have completely ended. Their records remain."""
        for each in self.workers:
            if not each.is_running:
                each.handle.close()

    def fill(self, worker: StartedWorker) -> None:
        """Set the worker that was started in the slot. The previous one has reported its end, or has died."""
        self.leaving = [each for each in self.running if each is not worker]
        for each in self.leaving:
            each.was_replaced = True
        self.worker = worker

    # ------------------------------------------------------------------------------------------------- on the board

    def mark_spare(self) -> None:
        """Mark on the board that no worker has run in the slot so far."""
        for row in self.rows:
            row[Cell.STATE] = State.SPARE

    def begin_again(self) -> None:
        """Prepare the rows for a worker, which continues the counts."""
        for row in self.rows:
            wait_times.begin_again(row)
        self.ended_in_set_up = False

    def next_generation(self) -> int:
        """Prepare the slot for one more worker. Returns how many have been made before it."""
        if self.group.replaceable is not None and self.checkpoint is None:
            self.checkpoint = Checkpoint(PACKET_BYTES)
        self._generations += 1
        return self._generations - 1

    def set_pid(self, pid: int) -> None:
        """Write the process of its worker to the board."""
        for row in self.rows:
            row[Cell.PID] = pid

    @property
    def pid(self) -> int:
        """The process of its current or last worker."""
        return int(self.rows[0][Cell.PID])

    def end(self) -> None:
        """Mark on the board that its worker has ended, if the worker could not do so itself."""
        for row in self.rows:
            was_set_up = wait_times.is_waiting(row, Cell.SET_UP)
            self.ended_in_set_up |= was_set_up
            if (row[Cell.STARTED] or was_set_up) and not row[Cell.ENDED]:
                wait_times.end(row, time.monotonic_ns())

    def read(self) -> WorkerReading:
        """Read the board for its worker only, at the main stage of the group."""
        return read_worker(Rows(self.rows[self.group.main], self.rows[0], self.rows[-1]), time.monotonic_ns())

    def read_in(self, reading: Reading) -> WorkerReading:
        """The part of a reading of the whole run for its worker, at the first stage of the group."""
        return reading.stages[self.group.first_stage][self.number]

    @property
    def in_hand(self) -> range:
        """The numbers of the items that its worker has received and not finished."""
        worker = self.read()
        if worker.item is not None and self.group.replaceable is not None:
            return range(worker.item, worker.item + 1)
        return worker.in_hand

    def set_successor(self, successor: Successor | None) -> None:
        """Set the worker that waits for its turn; None if none waits any more. Write its process to the board."""
        self.successor = successor
        self.rows[0][Cell.SUCCESSOR] = successor.worker.pid if successor is not None else 0

    def retire(self) -> None:
        """Ask its worker to end after its current items."""
        self.rows[0][Cell.RETIRES] = 1
        self.is_retired = True

    def has_done_share(self, outcome: object) -> bool:
        """Whether its worker has retired by itself, and a fresh one must receive the rest of the input.

        If the supervisor has asked it to retire, too, no other worker is needed.
        """
        return isinstance(outcome, Finished) and outcome.retired and not self.rows[0][Cell.RETIRES]

    def keep(self) -> None:
        """Take back the request to retire."""
        self.rows[0][Cell.RETIRES] = 0

    def close(self) -> None:
        """Release all resources at the end of the run. The outcome in `finished` remains."""
        for worker in self.workers:
            worker.handle.close()
        if self.checkpoint is not None:
            self.checkpoint.close()
        if self.successor is not None:
            self.successor.turn.close()
        self.worker, self.successor, self.leaving, self.checkpoint, self.rows = None, None, (), None, ()

"""A slot: one place for a worker in a group, which is filled by one worker after another.

    slot of a group ── rows of the board, checkpoint, history: they last as long as the run
      │
      ├── worker   the one that fills it now, or filled it last: its handle, its outcome, the steps of its forced end
      └── leaving  those before it whose processes have left others behind, which are being ended

A worker may be replaced because it has died or takes too long, or because its stage needs one more again. What comes
after it finds here what it needs to go on.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from ..ipc import wait_times
from ..ipc.board import Cell, State
from ..ipc.checkpoint import Checkpoint
from ..lazy_dataclass import dataclass, field
from ..messages.names import Who
from ..progress.reading import Reading, Rows, WorkerReading, read_worker
from ..transport.process_channel import PACKET_BYTES
from ..worker.operator_run import Condemned
from ..worker.outcome import Finished
from .groups import Group
from .started_worker import StartedWorker

__all__ = ["ReplacementRecord", "WorkerSlot"]


@dataclass(slots=True)
class ReplacementRecord:
    """What is remembered of the workers that have died in a slot.

    restarts: how many of them have died by themselves. overdue: the item that the present one is to die for, and when
    its call began. frame: the one in hand, told apart by how many items came before it. suspect: the position in it
    that the last one was in; cost: how many have died there, one after the other. condemned: what replacements are told
    of items in it, by position: each of them may come to all of these again.
    """

    restarts: int = 0
    overdue: tuple[int, int] | None = None
    frame: int = 0
    suspect: int | None = None
    cost: int = 0
    condemned: dict[int, Condemned] = field(default_factory=dict)


class WorkerSlot:
    """One place for a worker. Run and wiring use it until the supervisor starts, and from then on the supervisor alone.

    group_index: where its group is in the chain. number: its own within the group, counted from 0.
    rows: its rows of the board, one for each stage of the group, which all of its workers continue.
    checkpoint: what its worker has in hand, where a replacement finds it; None where no worker is replaced.
    worker: None before the first one, and where the caller's own thread is the worker.
    finished: how its last worker finished, with what it returned; None unless it has.
    is_retired: a worker in it was asked to retire, and none was started since.
    input_before: what the board told of its input when its worker was started; see `WorkerReading.input_mark`.
    """

    def __init__(self, group_index: int, group: Group, number: int, rows: Sequence[memoryview]) -> None:
        self.group_index = group_index
        self.group = group
        self.number = number
        self.rows: Sequence[memoryview] = rows
        self.who: Who = group.who(0, number)
        self.checkpoint: Checkpoint | None = None
        self.replacements = ReplacementRecord()
        self.worker: StartedWorker | None = None
        self.leaving: Sequence[StartedWorker] = ()
        self.finished: Finished | None = None
        self.is_retired = False
        self.input_before = WorkerReading().input_mark
        # How many workers it has had.
        self._generation = 0

    @property
    def place(self) -> tuple[int, int]:
        """Its group's index and its number: what identifies it outside of this process."""
        return self.group_index, self.number

    @property
    def workers(self) -> Sequence[StartedWorker]:
        """Its worker, and those before it that have left something behind."""
        return (self.worker, *self.leaving) if self.worker is not None else ()

    @property
    def running(self) -> Sequence[StartedWorker]:
        """Those of its workers for which there is still something to wait for."""
        return [each for each in self.workers if each.is_running]

    @property
    def is_occupied(self) -> bool:
        """Whether its worker has not told how it ended, or something of it still runs: then no other may be started."""
        return self.worker is not None and (self.worker.outcome is None or self.worker.is_running)

    @property
    def is_at_work(self) -> bool:
        """Whether its worker is to tell how it ended."""
        return self.worker is not None and self.worker.is_running and self.worker.outcome is None

    def release_ended(self) -> None:
        """Release the handles of workers of which nothing runs any more, but for their records."""
        for each in self.workers:
            if not each.is_running:
                each.handle.close()

    def fill(self, worker: StartedWorker) -> None:
        """Another worker has been started in it; the one before has died, or has ended."""
        self.leaving = self.running
        for each in self.leaving:
            each.was_replaced = True
        self.worker = worker

    # ------------------------------------------------------------------------------------------------- on the board

    def mark_spare(self) -> None:
        """No worker has been in it so far."""
        for row in self.rows:
            row[Cell.STATE] = State.SPARE

    def begin_again(self) -> int:
        """Make it ready for a worker, which goes on with the counts of those before it; returns how many these were."""
        for row in self.rows:
            wait_times.begin_again(row)
        if self.group.guarded is not None and self.checkpoint is None:
            self.checkpoint = Checkpoint(PACKET_BYTES)
        generation = self._generation
        self._generation += 1
        return generation

    def say_pid(self, pid: int) -> None:
        """Say on the board in which process its worker runs."""
        for row in self.rows:
            row[Cell.PID] = pid

    @property
    def pid(self) -> int:
        """The process that its worker runs in, or ran in."""
        return int(self.rows[0][Cell.PID])

    def end(self) -> None:
        """Its worker is over, whether it could still say so on the board or not."""
        for row in self.rows:
            if row[Cell.STARTED] and not row[Cell.ENDED]:
                wait_times.end(row, time.monotonic_ns())

    def read(self) -> WorkerReading:
        """A reading of its worker alone, by its first stage."""
        return read_worker(Rows(self.rows[0], self.rows[0], self.rows[-1]), time.monotonic_ns())

    def read_in(self, reading: Reading) -> WorkerReading:
        """The same, of a reading of the whole run."""
        return reading.stages[self.group.first_stage][self.number]

    @property
    def in_hand(self) -> range:
        """The numbers of the items that its worker had received and not finished."""
        worker = self.read()
        if worker.item is not None and self.group.guarded is not None:
            return range(worker.item, worker.item + 1)
        return worker.in_hand

    def retire(self) -> None:
        """Ask its worker to end after what it has in hand."""
        self.rows[0][Cell.RETIRES] = 1
        self.is_retired = True

    def keep(self) -> None:
        """Its worker, which was asked to retire, is to stay after all."""
        self.rows[0][Cell.RETIRES] = 0

    def close(self) -> None:
        """The run is over: release what it holds, but for how its worker finished."""
        for worker in self.workers:
            worker.handle.close()
        if self.checkpoint is not None:
            self.checkpoint.close()
        self.worker, self.leaving, self.checkpoint, self.rows = None, (), None, ()

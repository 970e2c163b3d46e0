"""One reading of the board: what every worker of a run has done so far, and how it has spent its time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..ipc.board import Cell
from ..ipc.wait_times import waited
from ..lazy_dataclass import dataclass

__all__ = ["Place", "Reading", "Rows", "WorkerReading", "finished_in", "read_worker"]


@dataclass(frozen=True, slots=True)
class Place:
    """What is known of a stage before its run starts.

    workers: how many items it may process at once. slots: the same number if they are tasks of one worker, else None.
    group: equal for neighbours that share their workers. grows: whether it could have more workers without another
    change to the pipeline. on_processes: whether each of its workers is a process. is_auto: whether its workers are
    scaled automatically; `workers` is the most then.
    """

    stage: str
    role: str
    executor: str
    workers: int
    group: int
    slots: int | None = None
    grows: bool = False
    on_processes: bool = False
    is_auto: bool = False


@dataclass(frozen=True, slots=True)
class WorkerReading:
    """One worker of one stage; times in ns. Busy, starved and blocked times add up to the time that it has lived.

    alive: it has started and not ended. memory, cpu, delayed: bytes and ns of a process that reported its end, or 0.
    """

    alive: bool = False
    received: int = 0
    finished: int = 0
    sent: int = 0
    skipped: int = 0
    dead: int = 0
    retried: int = 0
    restarts: int = 0
    lived: int = 0
    starved: int = 0
    blocked: int = 0
    memory: int = 0
    cpu: int = 0
    delayed: int = 0

    @property
    def busy(self) -> int:
        """Time in which it did not wait."""
        return self.lived - self.starved - self.blocked


@dataclass(frozen=True, slots=True)
class Reading:
    """All workers at one time, by stage.

    at: ns since the run was opened. began: the same for the first worker.
    """

    at: int
    began: int
    stages: Sequence[Sequence[WorkerReading]]
    is_over: bool = False


class Rows(NamedTuple):
    """The rows of a worker: its own, and those of the first and last stage that share it, which do the waiting."""

    own: memoryview
    first: memoryview
    last: memoryview


def finished_in(row: memoryview) -> int:
    """How many items a worker has finished, without those that are still in a task.

    A worker of tasks counts a whole frame as finished when it asks for the next one.
    """
    if not row[Cell.AT_ONCE]:
        return int(row[Cell.FINISHED])
    left_out = row[Cell.SKIPPED] + row[Cell.DEAD]
    return int(max(min(row[Cell.FINISHED], row[Cell.RECEIVED] - left_out - row[Cell.AT_ONCE]), 0))


def read_worker(rows: Rows, now: int, slots: int | None = None) -> WorkerReading:
    """Read the rows of a worker.

    slots: the number of its tasks, if it runs tasks: those with an item are busy, the others wait.
    """
    row, first, last = rows
    started, ended = row[Cell.STARTED], row[Cell.ENDED]
    lived = row[Cell.LIVED] + (max((ended or now) - started, 0) if started else 0)
    if slots is None:
        starved = min(waited(first, Cell.STARVED, now), lived)
        blocked = min(waited(last, Cell.BLOCKED, now), lived - starved)
    else:
        since = max(now - row[Cell.SINCE], 0) if row[Cell.AT_ONCE] else 0
        idle = max(lived - (row[Cell.OCCUPIED] + row[Cell.AT_ONCE] * since) // slots, 0)
        blocked = min(waited(last, Cell.BLOCKED, now), idle)
        starved = idle - blocked
    return WorkerReading(
        alive=bool(started and not ended),
        received=row[Cell.RECEIVED],
        finished=finished_in(row),
        sent=row[Cell.SENT],
        skipped=row[Cell.SKIPPED],
        dead=row[Cell.DEAD],
        retried=row[Cell.RETRIED],
        restarts=row[Cell.RESTARTS],
        lived=lived,
        starved=starved,
        blocked=blocked,
        memory=row[Cell.MEMORY],
        cpu=row[Cell.CPU],
        delayed=row[Cell.DELAYED],
    )

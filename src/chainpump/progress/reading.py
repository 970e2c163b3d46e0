"""One reading of the board: what every worker of a run is at and has done so far, and how it has spent its time.

Whatever the library says about a run is made of this: the ledger, progress and reports, stalls, how many workers an
auto stage has, and what `chainpump stacks` shows. So each of them sees the counts of one moment, and what the cells of
the board mean is known in one module. Reading takes no lock and writes nothing: any thread, signal handler or process
may do it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ..ipc.board import Cell, State
from ..ipc.wait_times import is_waiting, waited
from ..lazy_dataclass import dataclass
from ..messages.names import Role

__all__ = ["Reading", "Rows", "StageFacts", "WorkerReading", "by_host", "count_items", "name_of_host", "read_worker"]


@dataclass(frozen=True, slots=True)
class StageFacts:
    """What is known of a stage before its run starts.

    workers: how many items it may process at once. slots: the same number if they are tasks of one worker, else None.
    group: equal for neighbours that share their workers. grows: whether it could have more workers without another
    change to the pipeline. on_processes: whether each of its workers is a process. is_auto: whether its workers are
    scaled automatically; `workers` is the most then.
    """

    stage: str
    role: Role
    executor: str
    workers: int
    group: int
    slots: int | None = None
    grows: bool = False
    on_processes: bool = False
    is_auto: bool = False


class WorkerReading(NamedTuple):
    """One worker of one stage; times in ns. Busy, starved and blocked times add up to the time that it has lived.

    alive: it has started, or is being set up, and has not ended. set_up: the time that its factories took before; it is
    no part of `lived`.
    memory, cpu, delayed: bytes and ns of a process that reported its end, or 0.
    threads: how many threads computed in it, if it reported its end and a library has started some; or 0.
    skipped_parts, dead_parts: items of split batches; their batches are finished.
    finished_frames: items finished by whole frames, as the ledger counts them; `finished` counts those of tasks singly.
    state: as it has reported it. started, ended: when it did; 0 before. moved: when it last reported an item.
    pid: the process that it runs in. successor: the process that waits to take its place, or 0.
    host: the name of its machine; empty for that of the main process.
    retires: it was asked to end after what it has in hand.
    waits_for_items, waits_for_room, sets_up: whether it does now.
    at_once: items in hand as tasks. item: the one that its function was called for, where it reports that. first: the
    number of the first item of the frame in hand. turn: where order is restored, the next item that may pass.
    numbered: how many items it has numbered, of those that it makes itself.
    called: the time that calls of its function of one item have taken, where that is known.
    """

    alive: bool = False
    received: int = 0
    finished: int = 0
    sent: int = 0
    skipped: int = 0
    dead: int = 0
    retried: int = 0
    restarts: int = 0
    recycled: int = 0
    lived: int = 0
    starved: int = 0
    blocked: int = 0
    set_up: int = 0
    memory: int = 0
    cpu: int = 0
    delayed: int = 0
    threads: int = 0
    finished_frames: int = 0
    state: int = State.SPARE
    started: int = 0
    ended: int = 0
    moved: int = 0
    pid: int = 0
    host: str = ""
    successor: int = 0
    retires: bool = False
    waits_for_items: bool = False
    waits_for_room: bool = False
    sets_up: bool = False
    at_once: int = 0
    item: int | None = None
    first: int = 0
    turn: int = 0
    numbered: int = 0
    skipped_parts: int = 0
    dead_parts: int = 0
    called: int = 0

    @property
    def busy(self) -> int:
        """Time in which it did not wait."""
        return self.lived - self.starved - self.blocked

    @property
    def in_hand(self) -> range:
        """The numbers of the items that it has received and not dealt with: frames hold consecutive ones."""
        left = self.received - self.finished_frames - self.skipped - self.dead
        return range(self.first, self.first + max(left, 0))

    @property
    def input_mark(self) -> tuple[int, int, bool]:
        """Changes as soon as it asks for input, or receives some."""
        return self.received, self.starved, self.waits_for_items


@dataclass(frozen=True, slots=True)
class Reading:
    """All workers at one time, by stage.

    at: ns since the run was opened. began: the same for the first worker. now: ns of the monotonic clock.
    """

    at: int
    began: int
    stages: Sequence[Sequence[WorkerReading]]
    is_over: bool = False
    now: int = 0


class Rows(NamedTuple):
    """The rows of a worker: its own, and those of the first and last stage that share it, which do the waiting."""

    own: memoryview
    first: memoryview
    last: memoryview


def _finished_in(row: Sequence[int] | memoryview) -> int:
    """How many items a worker has finished.

    A worker of tasks counts a whole frame as finished when it asks for the next one: its tasks are counted instead.
    """
    if not (row[Cell.AT_ONCE] or row[Cell.BY_TASKS]):
        return int(row[Cell.FINISHED])
    # A policy counts an item before its task does.
    return int(max(row[Cell.BY_TASKS] - row[Cell.SKIPPED] - row[Cell.DEAD], 0))


def count_items(workers: Sequence[Rows]) -> tuple[int, int, int]:
    """Items received, dealt with (finished, skipped or put aside) and sent by a stage: a part of what reading it costs.

    For whoever looks many times a second.
    """
    return (
        sum(row[Cell.RECEIVED] for row, _, _ in workers),
        sum(_finished_in(row) + row[Cell.SKIPPED] + row[Cell.DEAD] for row, _, _ in workers),
        sum(row[Cell.SENT] for row, _, _ in workers),
    )


def by_host(workers: Sequence[WorkerReading]) -> Mapping[str, Sequence[int]]:
    """The numbers of the workers on each machine, by its name. None of those on the machine of the main process."""
    found: dict[str, list[int]] = {}
    for number, each in enumerate(workers):
        if each.host:
            found.setdefault(each.host, []).append(number)
    return found


def name_of_host(hosts: Sequence[str], number: int) -> str:
    """The name of a machine. A machine that has joined the run later may be unknown to another process."""
    return hosts[number] if number < len(hosts) else "another machine"


def read_worker(rows: Rows, now: int, slots: int | None = None, hosts: Sequence[str] = ("",)) -> WorkerReading:
    """Read the rows of a worker.

    slots: the number of its tasks, if it runs tasks: those with an item are busy, the others wait. hosts: the names of
    the machines of the run, by number.
    """
    row, first, last = rows.own.tolist(), rows.first, rows.last  # one look, from the first cell to the last
    started, ended = row[Cell.STARTED], row[Cell.ENDED]
    sets_up = is_waiting(rows.own, Cell.SET_UP)
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
        alive=bool((started or sets_up) and not ended),
        received=row[Cell.RECEIVED],
        finished=_finished_in(row),
        sent=row[Cell.SENT],
        skipped=row[Cell.SKIPPED],
        dead=row[Cell.DEAD],
        retried=row[Cell.RETRIED],
        restarts=row[Cell.RESTARTS],
        recycled=row[Cell.RECYCLED],
        lived=lived,
        starved=starved,
        blocked=blocked,
        set_up=waited(rows.own, Cell.SET_UP, now),
        memory=row[Cell.MEMORY],
        cpu=row[Cell.CPU],
        delayed=row[Cell.DELAYED],
        threads=row[Cell.THREADS],
        finished_frames=row[Cell.FINISHED],
        state=row[Cell.STATE],
        started=started,
        ended=ended,
        moved=max(row[Cell.SINCE], row[Cell.MOVED]),
        pid=row[Cell.PID],
        host=name_of_host(hosts, row[Cell.HOST]),
        successor=row[Cell.SUCCESSOR],
        retires=bool(row[Cell.RETIRES]),
        waits_for_items=is_waiting(first, Cell.STARVED),
        waits_for_room=is_waiting(last, Cell.BLOCKED),
        sets_up=sets_up,
        at_once=row[Cell.AT_ONCE],
        item=row[Cell.INDEX] if row[Cell.ITEM] else None,
        first=row[Cell.FIRST],
        turn=row[Cell.PASSED],
        numbered=row[Cell.NUMBERED],
        skipped_parts=row[Cell.SKIPPED_PARTS],
        dead_parts=row[Cell.DEAD_PARTS],
        called=row[Cell.CALLED],
    )

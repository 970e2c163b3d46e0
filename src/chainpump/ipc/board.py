"""The board: a shared mapping on which workers publish their state and counters, and the supervisor sets cancel flags.

Each worker has a row of 64-bit cells. While the worker lives, only this worker writes its row, except a few cells: the
supervisor writes `RETIRES` and `SUCCESSOR`, the recorder writes `ALLOWED`, and the thread that starts the worker writes
its process id and `LETTERS`. Each junction has a hint, which any of its consumers may write. Each stage has a cancel
flag, which the supervisor writes. Each cell is written in one step, so no lock is needed.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Sequence
from enum import IntEnum
from typing import Final

from .descriptors import Descriptor
from .system import shared_file

__all__ = ["BOARD", "CELLS", "Board", "Cell", "State"]

# The name of the shared memory, for tools that inspect a process.
BOARD = "chainpump-board"
# Cells per row. They fill six cache lines, so that the writes of neighbouring workers do not slow each other down.
CELLS = 48


class Cell:
    """The cells of a worker. Times are in nanoseconds of the monotonic clock; all other cells are counts of items.

    These are plain numbers: members of an enumeration cost five times as much as an index, and a frame takes forty.
    """

    STATE: Final = 0
    STARTED: Final = 1
    ENDED: Final = 2
    RECEIVED: Final = 3
    FINISHED: Final = 4
    SENT: Final = 5
    # The time that it has waited for items; `wait_times` explains the value during a wait.
    STARVED: Final = 6
    # The time that it has waited for a credit, a slab or room in the channel; the value works like `STARVED`.
    BLOCKED: Final = 7
    # The time at which it last received or sent an item.
    MOVED: Final = 8
    # The index of the first item of its current frame.
    FIRST: Final = 9
    # The number of items that a policy has skipped.
    SKIPPED: Final = 10
    # The number of items that a policy has put aside, as dead letters.
    DEAD: Final = 11
    # The number of items of the origin that the reorder buffer has passed on. It is updated with each frame at least.
    PASSED: Final = 12
    # One more than the position in its frame of the item that a function is called for; 0 between two calls.
    ITEM: Final = 13
    # The time at which that call began, or an item last began or ended.
    SINCE: Final = 14
    # How many results it is sending, or 1 for none; 0 while it does not send.
    SENDING: Final = 15
    # The number of the item of `ITEM`, counted at the origin.
    INDEX: Final = 16
    # How many of its own results it has numbered.
    NUMBERED: Final = 17
    # The total lifetime of the earlier workers of this slot.
    LIVED: Final = 18
    # The number of items that it processes as tasks.
    AT_ONCE: Final = 19
    # The time that its tasks have taken, summed over all tasks, until `SINCE`.
    OCCUPIED: Final = 20
    # The number of calls that a policy has repeated.
    RETRIED: Final = 21
    # How many earlier workers of this slot have died.
    RESTARTS: Final = 22
    # The peak memory of its process, in bytes; it is written at the end of the worker.
    MEMORY: Final = 23
    # The CPU time of its process; it is written at the end of the worker.
    CPU: Final = 24
    # The time that its process was ready to run and had no processor; it is written at the end of the worker.
    DELAYED: Final = 25
    # 1 if the next request for an item must return the end of the input. The supervisor writes it.
    RETIRES: Final = 26
    # The id of its process.
    PID: Final = 27
    # The send limit of a reorder buffer: items of the origin with lower numbers may be sent.
    LIMIT: Final = 28
    # The send limit for parts of items.
    LIMIT_OF_PARTS: Final = 29
    # What it waits to send until the limit allows it: twice (the number of the item + 1), plus 1 for a part. Otherwise
    # 0.
    WAITS_FOR: Final = 30
    # The time that its factories have taken before its first item; the value works like `STARVED`.
    SET_UP: Final = 31
    # How many threads of its process have computed; it is written at the end of the worker.
    THREADS: Final = 32
    # How many earlier workers of this slot have retired after their share.
    RECYCLED: Final = 33
    # The id of the process that waits to take its place; 0 if none does. The supervisor writes it.
    SUCCESSOR: Final = 34
    # The number of the machine on which it runs; 0 is that of the main process. It is written before the worker starts.
    HOST: Final = 35
    # The numbers of items of split batches that a policy has skipped, and put aside. Their batches count as finished.
    SKIPPED_PARTS: Final = 36
    DEAD_PARTS: Final = 37
    # One more than the position in its batch of the item that a function is called for; 0 if no batch is split.
    PART: Final = 38
    # The limit of a stage that numbers items in a durable run: it may send items with lower numbers. The main process
    # writes it.
    ALLOWED: Final = 39
    # How many items its tasks have dealt with.
    BY_TASKS: Final = 40
    # The time that calls of a function of one item have taken, where it is called for items of a frame in a row.
    CALLED: Final = 41
    # How many dead letters of a worker on another machine the main process has taken. Its agent writes it.
    LETTERS: Final = 42


class State(IntEnum):
    """The state that a worker has published."""

    STARTING = 0
    RUNNING = 1
    # Its input has ended, its function has returned, and all results are sent.
    DONE = 2
    # It has returned before its input had ended, as `may_stop=True` allows; all results are sent.
    STOPPED = 3
    # No worker has used this row so far.
    SPARE = 4
    # It has done its share and sent all results. A fresh worker of the slot receives the rest of the input.
    RETIRED = 5


class Board:
    """The shared mapping. Pickling it for a worker passes the descriptor to the worker."""

    def __init__(self, workers: int, junctions: int, stages: int) -> None:
        self._sizes = (workers, junctions, stages)
        self._file = shared_file(BOARD, 8 * self._length, reserved=True)
        self._open()

    def _open(self) -> None:
        # Every view that was returned, by its start and stop. The mapping exists as long as one of them.
        self._views: dict[tuple[int, int], memoryview] = {}
        self._cells = memoryview(mmap.mmap(self._file.fileno(), 8 * self._length)).cast("Q")

    @property
    def _length(self) -> int:
        workers, junctions, stages = self._sizes
        return CELLS * (workers + junctions) + stages

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """Return the descriptors that a forked worker must keep."""
        return (self._file,)

    @property
    def number(self) -> int:
        """Return the number of the memory in the system; it is the same in every process."""
        return os.fstat(self._file.fileno()).st_ino

    def row(self, worker: int) -> memoryview:
        """Return the cells of one worker, indexed by `Cell`."""
        return self._view(worker * CELLS, (worker + 1) * CELLS)

    def hint(self, junction: int) -> memoryview:
        """Return one cell: how many items the consumers of this junction want in a frame; 0 if not known yet."""
        start = (self._sizes[0] + junction) * CELLS
        return self._view(start, start + 1)

    def flag(self, stage: int) -> memoryview:
        """Return one cell: 1 if the stage is cancelled."""
        start = (self._sizes[0] + self._sizes[1]) * CELLS + stage
        return self._view(start, start + 1)

    def _view(self, start: int, stop: int) -> memoryview:
        return self._views.setdefault((start, stop), self._cells[start:stop])

    def all_done(self, workers: Sequence[int]) -> bool:
        """Return whether all of these workers have published that they are done."""
        return all(self._cells[worker * CELLS + Cell.STATE] >= State.DONE for worker in workers)

    def close(self) -> None:
        """Close the descriptor when every worker has started. The cells stay readable."""
        self._file.close()

    def release(self, *, with_views: bool) -> None:
        """Unmap the cells, for good.

        with_views: whether to release all returned views as well, so that the memory does not wait for the garbage
        collector. Otherwise the cells exist until the last view is deleted, because a thread that is left behind may
        still write there.
        """
        self.close()
        if with_views:
            for view in self._views.values():
                view.release()
        self._views.clear()
        self._cells.release()

    def __getstate__(self) -> tuple[tuple[int, int, int], Descriptor]:
        return self._sizes, self._file

    def __setstate__(self, state: tuple[tuple[int, int, int], Descriptor]) -> None:
        self._sizes, self._file = state
        self._open()

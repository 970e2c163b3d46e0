"""The board: one shared mapping in which each worker tells how far it is, and the supervisor who is cancelled.

A row of 64-bit cells per worker, written by that worker alone while it lives, but for `RETIRES`, and for its process
id, which comes from whoever starts it; a hint per junction, which any of its consumers may write; a cancel flag per
stage, written by the supervisor. Each cell is written whole, so nothing needs a lock.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Sequence
from enum import IntEnum

from .descriptors import Descriptor
from .system import shared_file

__all__ = ["BOARD", "CELLS", "Board", "Cell", "State"]

# The name of its memory, for those who look on.
BOARD = "chainpump-board"
# Cells per row: four cache lines, so that neighbouring workers do not slow each other down.
CELLS = 32


class Cell(IntEnum):
    """A worker's cells; times are in nanoseconds of the monotonic clock, all others are counts of items."""

    STATE = 0
    STARTED = 1
    ENDED = 2
    RECEIVED = 3
    FINISHED = 4
    SENT = 5
    # Time spent waiting for items; see `waits` for what it holds meanwhile.
    STARVED = 6
    # Time spent waiting for credit, a slab or room in the channel; the same.
    BLOCKED = 7
    # When an item last came or went.
    MOVED = 8
    # Index of the first item of the frame in hand.
    FIRST = 9
    # Items that a policy left out.
    SKIPPED = 10
    # Items that a policy put aside, as dead letters.
    DEAD = 11
    # Items of the origin whose turn has come, where their order is restored; told before each wait.
    PASSED = 12
    # 1 and the place in its frame of the item that a function is called for; 0 between two calls.
    ITEM = 13
    # When that call began, or an item last began or ended.
    SINCE = 14
    # 1 while results are being sent.
    SENDING = 15
    # Number of that item, where it comes from.
    INDEX = 16
    # How many items it has numbered, of those that it makes itself.
    NUMBERED = 17
    # For how long those lived who had its place before.
    LIVED = 18
    # Items that it has in hand as tasks.
    AT_ONCE = 19
    # Time that tasks have taken, summed over them, until `SINCE`.
    OCCUPIED = 20
    # Calls that a policy has had repeated.
    RETRIED = 21
    # How many that had its place before have died.
    RESTARTS = 22
    # The most that its process has taken, in bytes; told at its end.
    MEMORY = 23
    # Time that it had a processor; the same.
    CPU = 24
    # Time that it was ready to run and had none; the same.
    DELAYED = 25
    # 1 once it is to see the end of its input when it asks for more; written by the supervisor.
    RETIRES = 26
    # The process that it runs in.
    PID = 27
    # Where order is restored: items of the origin with lower numbers may be sent on.
    LIMIT = 28
    # The same for parts of items.
    LIMIT_OF_PARTS = 29
    # Twice 1 and the number of the item that it waits to send until it may, 1 more for a part; else 0.
    WAITS_FOR = 30


class State(IntEnum):
    """What a worker has said of itself."""

    STARTING = 0
    RUNNING = 1
    # Its input ended, it returned, and everything that it made has been sent.
    DONE = 2
    # The same, but it returned before its input had ended, as it may.
    STOPPED = 3
    # Nobody has had this row so far.
    SPARE = 4


class Board:
    """The shared mapping; pickling it for a worker hands the descriptor over."""

    def __init__(self, workers: int, junctions: int, stages: int) -> None:
        self._sizes = (workers, junctions, stages)
        self._file = shared_file(BOARD, 8 * self._length, reserved=True)
        self._open()

    def _open(self) -> None:
        # By where it begins and ends: every view that was handed out. The mapping lives as long as one of them does.
        self._views: dict[tuple[int, int], memoryview] = {}
        self._cells = memoryview(mmap.mmap(self._file.fileno(), 8 * self._length)).cast("Q")

    @property
    def _length(self) -> int:
        workers, junctions, stages = self._sizes
        return CELLS * (workers + junctions) + stages

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """The descriptors that a forked worker keeps open."""
        return (self._file,)

    @property
    def number(self) -> int:
        """By which the system knows the memory, in every process that has it."""
        return os.fstat(self._file.fileno()).st_ino

    def row(self, worker: int) -> memoryview:
        """The cells of one worker, indexed by `Cell`."""
        return self._view(worker * CELLS, (worker + 1) * CELLS)

    def hint(self, junction: int) -> memoryview:
        """One cell: how many items of this junction its consumers want at a time; 0 until one has said."""
        start = (self._sizes[0] + junction) * CELLS
        return self._view(start, start + 1)

    def flag(self, stage: int) -> memoryview:
        """One cell: 1 once the stage is cancelled."""
        start = (self._sizes[0] + self._sizes[1]) * CELLS + stage
        return self._view(start, start + 1)

    def _view(self, start: int, stop: int) -> memoryview:
        return self._views.setdefault((start, stop), self._cells[start:stop])

    def all_done(self, workers: Sequence[int]) -> bool:
        """Whether every one of these workers has said that it is done."""
        return all(self._cells[worker * CELLS + Cell.STATE] >= State.DONE for worker in workers)

    def close(self) -> None:
        """Close the descriptor: every worker has started. The cells stay readable."""
        self._file.close()

    def release(self, *, with_views: bool) -> None:
        """Unmap the cells, for good.

        with_views: what was handed out is released as well, so that nothing waits for the garbage collector. Without,
        the cells stay until the last view is gone: for a thread that is left behind, and may still write there.
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

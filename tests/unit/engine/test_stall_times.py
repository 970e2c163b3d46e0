"""When a stall is reported and when it ends the run, by readings of a board whose clock the test sets."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from chainpump.engine.run_stacks import STACKS_WITHIN
from chainpump.engine.stalls import START_UP, WARN_AFTER, Stall, Stalls
from chainpump.engine.worker_status import Roster, RosterGroup
from chainpump.ipc.board import CELLS, Cell, State
from chainpump.ipc.wait_times import MASK
from chainpump.lazy_dataclass import replace
from chainpump.progress.reading import Reading

LOAD, DECODE, LOOP = ("source", "load", None), ("stage", "decode", "jobs.py:7"), ("sink", "iteration", None)
ROSTER = Roster(
    [RosterGroup([name], [row], 1, 1, restores=False) for row, name in enumerate((LOAD, DECODE, LOOP))], opened=0
)
# The rows.
SOURCE, STAGE, CALLER = range(3)


class Board:
    """A run of three workers, all of which are at work. asked: how often their stacks were requested."""

    def __init__(self, limit: float | None = None, timed: Collection[int] = ()) -> None:
        self._rows = [memoryview(bytearray(8 * CELLS)).cast("Q") for _ in range(3)]
        self.warnings: list[str] = []
        self.asked = 0
        # Whether the last worker is the caller's loop, and has not requested an item.
        self.in_loop = False
        self.stalls = Stalls(ROSTER, limit, self.warnings.append, "a lock is held", timed)
        for row in self._rows:
            row[Cell.STATE] = State.RUNNING

    def put(self, row: int, cell: int, value: int) -> None:
        self._rows[row][cell] = value

    def move(self, seconds: float) -> None:
        """An item moves at this time."""
        self.put(STAGE, Cell.MOVED, int(seconds * 1e9))

    def wait(self, *rows: int) -> None:
        """These workers wait for items."""
        for row in rows:
            self.put(row, Cell.STARVED, -1 & MASK)

    def at(self, seconds: float) -> Reading:
        return replace(ROSTER.read(self._rows.__getitem__), now=int(seconds * 1e9))

    def look(self, seconds: float) -> Stall | None:
        return self.stalls.check(self.at(seconds), self._ask, lambda: (), in_loop=self.in_loop)

    def looks(self, until: float) -> list[float]:
        """When the supervisor looks for a stall, until this time."""
        times = []
        while self.stalls.next_look <= until:
            times.append(self.stalls.next_look)
            self.look(self.stalls.next_look)
        return times

    def _ask(self) -> None:
        self.asked += 1


def test_a_run_in_which_nothing_moves_is_reported_after_a_minute_and_after_ten() -> None:
    board = Board()
    board.move(7)
    assert board.looks(until=7 + 59) == [60]
    assert board.warnings == []
    board.looks(until=7 + 60)
    assert len(board.warnings) == 1
    board.looks(until=7 + 599)
    assert len(board.warnings) == 1
    board.looks(until=100_000)
    assert len(board.warnings) == 2
    assert board.asked == 0, "a signal could end a wait of the user's code"


def test_a_warning_has_the_status_of_every_worker_and_what_to_do_next() -> None:
    board = Board()
    board.move(7)
    board.wait(SOURCE, CALLER)
    board.put(STAGE, Cell.ITEM, 1)
    board.put(STAGE, Cell.INDEX, 12)
    board.look(7 + 60)
    (text,) = board.warnings
    first, heads, load, decode, loop, lock, advice, definition = text.splitlines()
    assert first == "no item moved for 60 s; stage 'decode' (worker 1 of 1, pid 0) is in item 12."
    assert heads.split() == ["stage", "worker", "is"]
    assert [line.split("  ")[-1] for line in (load, decode, loop)] == [
        "waiting for items",
        "in item 12 for 60 s",
        "waiting for items",
    ]
    assert lock == "  a lock is held"
    assert advice.startswith("  The run goes on; stall_timeout= would end it. `python -m chainpump stacks ")
    assert definition == "  decode is defined at jobs.py:7."


def test_a_warning_says_when_the_run_will_end() -> None:
    board = Board(limit=90)
    board.look(60)
    assert "The run goes on; stall_timeout=90 ends it. " in board.warnings[0]


@pytest.mark.parametrize("limit", [None, 100])
def test_while_items_move_the_board_is_read_once_a_minute(limit: float | None) -> None:
    board = Board(limit)
    for minute in range(1, 10):
        board.move(minute * 60)
        assert board.looks(until=minute * 60) == [minute * 60]
    assert board.warnings == []


def test_each_stall_is_reported_and_one_that_has_passed_doubles_the_times_of_later_warnings() -> None:
    board = Board()
    board.move(1000)
    board.look(1000 + WARN_AFTER[0])
    board.move(2000)
    board.look(2000 + 2 * WARN_AFTER[0] - 1)
    assert len(board.warnings) == 1
    board.look(2000 + 2 * WARN_AFTER[0])
    assert board.warnings[1].startswith("no item moved for 120 s; ")
    board.look(2000 + 2 * WARN_AFTER[1] - 1)
    board.look(2000 + 2 * WARN_AFTER[1])
    assert len(board.warnings) == 3
    # A stall without a warning changes nothing.
    board.move(5000)
    board.look(5000 + 4 * WARN_AFTER[0] - 1)
    board.move(6000)
    board.look(6000 + 4 * WARN_AFTER[0])
    assert len(board.warnings) == 4


def test_the_limit_ends_the_run_after_its_workers_have_written_their_stacks() -> None:
    board = Board(limit=5)
    board.move(7)
    assert board.look(7 + 4) is None
    assert board.look(7 + 5) is None
    assert board.asked == 1
    assert board.stalls.next_look == 7 + 5 + STACKS_WITHIN
    stall = board.look(7 + 5 + STACKS_WITHIN)
    assert stall is not None
    assert stall.failure.headline.startswith("no item moved for 5 s; ")
    assert "a lock is held" in stall.failure.details
    assert "" not in stall.failure.details
    assert board.warnings == []


def test_a_worker_that_wakes_when_it_is_asked_has_not_stalled() -> None:
    board = Board(limit=5)
    board.look(5)
    board.move(5.1)
    assert board.look(5 + STACKS_WITHIN) is None
    assert board.look(10) is None
    assert board.stalls.next_look == 10.1
    board.look(10.1)
    assert board.asked == 2


@pytest.mark.parametrize("limit, warnings", [(60, 0), (61, 1), (600, 1), (601, 2)])
def test_a_limit_comes_before_a_warning_at_the_same_time(limit: float, warnings: int) -> None:
    board = Board(limit)
    found = None
    while found is None:
        found = board.look(board.stalls.next_look)
    assert len(board.warnings) == warnings


def test_a_starting_worker_delays_a_stall_to_one_minute() -> None:
    short, long = Board(limit=5), Board(limit=50)
    for board in (short, long):
        board.move(7)
        board.put(CALLER, Cell.STATE, State.STARTING)
        assert board.stalls.due(board.at(8)) == 7 + START_UP
        # Nobody wakes the supervisor when the worker has started.
        board.look(8)
    assert (short.stalls.next_look, long.stalls.next_look) == (8 + 5, 8 + 50)
    short.put(CALLER, Cell.STATE, State.RUNNING)
    assert short.stalls.due(short.at(8)) == 7 + 5


def test_a_run_that_only_waits_for_the_loop_of_its_caller_is_not_reported() -> None:
    board = Board()
    board.wait(SOURCE, STAGE)
    board.in_loop = True
    assert len(board.looks(until=1000)) == 1000 // 60
    assert board.warnings == []
    # The loop requests an item, and a worker does not yield it. Its time begins at the last look before this.
    board.in_loop = False
    board.wait(CALLER)
    board.put(STAGE, Cell.STARVED, 0)
    board.looks(until=1000 + 60)
    assert len(board.warnings) == 1


def test_a_run_that_waits_for_its_caller_and_for_a_worker_is_reported() -> None:
    board = Board()
    board.wait(SOURCE)
    board.in_loop = True
    board.look(60)
    assert len(board.warnings) == 1


def test_a_sink_is_to_blame_for_a_stall() -> None:
    board = Board()
    board.wait(SOURCE, STAGE)
    board.look(60)
    assert len(board.warnings) == 1


@pytest.mark.parametrize("cell", [Cell.RECEIVED, Cell.AT_ONCE])
def test_items_with_a_time_limit_of_their_own_are_not_reported(cell: int) -> None:
    board = Board(timed=[STAGE])
    board.wait(SOURCE, CALLER)
    board.put(STAGE, cell, 1)
    board.looks(until=1000)
    assert board.warnings == []


@pytest.mark.parametrize("received", [0, 1])
def test_the_start_of_a_worker_has_no_time_limit_and_is_reported(received: int) -> None:
    """Also of a replacement, which has received the items of its predecessor."""
    board = Board(timed=[STAGE])
    board.wait(SOURCE, CALLER)
    board.put(STAGE, Cell.STATE, State.STARTING)
    board.put(STAGE, Cell.RECEIVED, received)
    board.look(START_UP)
    assert board.warnings[0].startswith("no item moved for 60 s; stage 'decode' (worker 1 of 1, pid 0) is starting.")


def test_a_run_in_which_all_wait_for_each_other_is_reported() -> None:
    board = Board(timed=[STAGE])
    board.wait(SOURCE, STAGE, CALLER)
    board.look(60)
    assert board.warnings[0].startswith("no item moved for 60 s; source 'load' (worker 1 of 1, pid 0) is waiting for ")


def test_a_run_whose_workers_have_all_ended_is_no_stall() -> None:
    board = Board(limit=60)
    for row in (SOURCE, STAGE, CALLER):
        board.put(row, Cell.STATE, State.DONE)
    assert board.look(60) is None
    assert (board.warnings, board.asked) == ([], 0)
    assert board.stalls.next_look > 60

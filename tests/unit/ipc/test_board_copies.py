"""Copies of a board on another machine: every change arrives, and times keep their meaning."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from chainpump.ipc import wait_times
from chainpump.ipc.board import CELLS, Board, Cell, State
from chainpump.ipc.board_copies import Changes, Clock, Watch, put_row, write

# Nanoseconds by which the clock of the other machine is ahead.
AHEAD = 10**15


@pytest.fixture
def boards() -> Iterator[tuple[Board, Board]]:
    here, there = Board(3, 2, 3), Board(3, 2, 3)
    yield here, there
    here.release(with_views=True)
    there.release(with_views=True)


def row(**cells: int) -> bytes:
    made = memoryview(bytearray(8 * CELLS)).cast("Q")
    for name, value in cells.items():
        made[getattr(Cell, name)] = value
    return made.tobytes()


def value(data: bytes, cell: int) -> int:
    return int(memoryview(data).cast("Q")[cell])


def test_nothing_has_changed_at_first(boards: tuple[Board, Board]) -> None:
    assert Watch(boards[1], rows=range(3), hints=range(2), flags=range(3)).changed() is None


def test_each_change_is_reported_once_and_only_where_it_is_watched(boards: tuple[Board, Board]) -> None:
    _, there = boards
    watch = Watch(there, rows=[1], hints=[0], flags=[2])
    there.row(0)[Cell.SENT] = there.row(1)[Cell.SENT] = 5
    there.hint(0)[0] = there.hint(1)[0] = 64
    there.flag(1)[0] = there.flag(2)[0] = 1

    assert watch.changed() == Changes(((1, row(SENT=5)),), ((0, 64),), ((2, 1),))
    assert watch.changed() is None
    there.row(1)[Cell.SENT] = 6
    assert watch.changed() == Changes(((1, row(SENT=6)),))


def test_changes_make_the_copy_equal(boards: tuple[Board, Board]) -> None:
    here, there = boards
    watch = Watch(there, rows=range(3), hints=range(2), flags=range(3))
    there.row(2)[Cell.STATE], there.row(2)[Cell.RECEIVED] = State.DONE, 12
    there.hint(1)[0] = 7
    there.flag(0)[0] = 1
    changes = watch.changed()
    assert changes is not None

    write(here, changes)

    assert [here.row(number).tobytes() for number in range(3)] == [there.row(number).tobytes() for number in range(3)]
    assert (here.hint(1)[0], here.flag(0)[0]) == (7, 1)
    assert here.all_done([2])


def test_a_row_that_was_put_back_counts_as_changed_only_where_it_differs(boards: tuple[Board, Board]) -> None:
    _, there = boards
    watch = Watch(there, rows=[0])
    there.row(0)[Cell.SENT] = 3
    assert watch.changed() is not None
    put_row(there, 0, row(SENT=3))
    assert watch.changed() is None


def test_clocks_that_cannot_be_told_apart_are_one() -> None:
    assert Clock.measured(100, 100, 100) == Clock.measured(100, 150, 200) == Clock(0)


@pytest.mark.parametrize("ahead", [AHEAD, -50])
def test_the_measured_clock_makes_no_time_of_this_machine_later_than_it_is(ahead: int) -> None:
    asked, answered = 100, 130
    for at in (asked, 117, answered):
        clock = Clock.measured(asked, at + ahead, answered)
        assert 0 <= ahead - clock.ahead <= answered - asked
        assert clock.time_here(at + clock.ahead) == at


def test_times_are_moved_and_counts_are_not() -> None:
    now = time.monotonic_ns()
    there = row(STARTED=now + AHEAD - 300, SINCE=now + AHEAD - 20, RECEIVED=9, LIVED=4, ENDED=0, STARVED=77)
    here = Clock(AHEAD).here(there)

    assert (value(here, Cell.STARTED), value(here, Cell.SINCE)) == (now - 300, now - 20)
    assert [value(here, cell) for cell in (Cell.RECEIVED, Cell.LIVED, Cell.ENDED, Cell.STARVED)] == [9, 4, 0, 77]
    assert Clock(AHEAD).there(here) == there


def test_a_wait_that_lasts_is_as_long_here_as_there() -> None:
    now = time.monotonic_ns()
    cells = memoryview(bytearray(row(STARVED=500))).cast("Q")
    cells[Cell.STARVED] = (500 - (now + AHEAD - 2000)) & wait_times.MASK

    here = memoryview(bytearray(Clock(AHEAD).here(cells.tobytes()))).cast("Q")

    assert wait_times.is_waiting(here, Cell.STARVED)
    assert wait_times.waited(here, Cell.STARVED, now) == 2500


def test_no_time_is_in_the_future_where_the_clocks_have_drifted() -> None:
    now = time.monotonic_ns()
    future = now + AHEAD + 10**12
    cells = memoryview(bytearray(row(MOVED=future, SINCE=future))).cast("Q")
    cells[Cell.BLOCKED] = -future & wait_times.MASK

    here = memoryview(bytearray(Clock(AHEAD).here(cells.tobytes()))).cast("Q")

    later = time.monotonic_ns()
    assert now <= here[Cell.MOVED] <= later
    # It identifies a call.
    assert here[Cell.SINCE] == future - AHEAD
    assert 0 <= wait_times.waited(here, Cell.BLOCKED, later) <= later - now

"""How long a worker waits, in one cell that also tells whether it does."""

from __future__ import annotations

import pytest

from chainpump.ipc import wait_times
from chainpump.ipc.board import CELLS, Cell, State

SECOND = 1_000_000_000


class Clock:
    """Stands in for the `time` module: time passes only when a test says so."""

    def __init__(self) -> None:
        self.now = 100 * SECOND

    def monotonic_ns(self) -> int:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(wait_times, "time", clock)
    return clock


@pytest.fixture
def row() -> memoryview:
    return memoryview(bytearray(8 * CELLS)).cast("Q")


def test_a_wait_is_counted_while_it_lasts_and_afterwards(clock: Clock, row: memoryview) -> None:
    seen = []
    for _ in range(2):
        with wait_times.Wait(row, Cell.STARVED):
            clock.now += 3 * SECOND
            seen.append((wait_times.is_waiting(row, Cell.STARVED), wait_times.waited(row, Cell.STARVED, clock.now)))
        clock.now += SECOND
        seen.append((wait_times.is_waiting(row, Cell.STARVED), wait_times.waited(row, Cell.STARVED, clock.now)))
    assert seen == [(True, 3 * SECOND), (False, 3 * SECOND), (True, 6 * SECOND), (False, 6 * SECOND)]
    assert row[Cell.BLOCKED] == 0


def test_a_wait_that_is_broken_off_has_ended(clock: Clock, row: memoryview) -> None:
    def interrupted() -> None:
        with wait_times.Wait(row, Cell.BLOCKED):
            clock.now += SECOND
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert row[Cell.BLOCKED] == SECOND


def test_who_dies_in_a_wait_waits_no_longer(clock: Clock, row: memoryview) -> None:
    row[Cell.STARTED] = clock.now
    wait_times.Wait(row, Cell.STARVED).__enter__()
    clock.now += 2 * SECOND
    wait_times.end(row, clock.now)
    assert (row[Cell.STARVED], row[Cell.ENDED]) == (2 * SECOND, clock.now)


def test_a_successor_goes_on_with_the_times_of_those_before(clock: Clock, row: memoryview) -> None:
    for _ in range(2):
        row[Cell.STARTED] = clock.now
        clock.now += 5 * SECOND
        wait_times.end(row, clock.now)
        wait_times.begin_again(row)
        # Until the next one has started.
        clock.now += SECOND
    assert [row[cell] for cell in (Cell.LIVED, Cell.STARTED, Cell.ENDED)] == [10 * SECOND, 0, 0]


def test_who_has_died_before_it_began_has_not_lived(row: memoryview) -> None:
    wait_times.begin_again(row)
    assert row[Cell.LIVED] == 0


def test_a_successor_is_in_no_item_and_has_yet_to_start(row: memoryview) -> None:
    row[Cell.STATE], row[Cell.ITEM], row[Cell.SENDING] = State.DONE, 3, 1
    wait_times.begin_again(row)
    assert [row[cell] for cell in (Cell.STATE, Cell.ITEM, Cell.SENDING)] == [State.STARTING, 0, 0]

"""What the row of a worker says of it, at any time of its life."""

from __future__ import annotations

import pytest

from chainpump.ipc.board import CELLS, Cell
from chainpump.progress.reading import Rows, WorkerReading, count_items, read_worker

SECOND = 1_000_000_000
MASK = (1 << 64) - 1
NOW = 100 * SECOND


def row(**cells: int) -> memoryview:
    """A worker's row of the board."""
    made = memoryview(bytearray(8 * CELLS)).cast("Q")
    for name, value in cells.items():
        made[getattr(Cell, name)] = value & MASK
    return made


def read(slots: int | None = None, **cells: int) -> WorkerReading:
    own = row(**cells)
    return read_worker(Rows(own, own, own), NOW, slots)


def times(reading: WorkerReading) -> tuple[float, float, float, float]:
    """Lived, busy, starved and blocked, in seconds."""
    return tuple(ns / SECOND for ns in (reading.lived, reading.busy, reading.starved, reading.blocked))  # type: ignore[return-value]


@pytest.mark.parametrize(
    "cells, expected",
    [
        pytest.param({}, (0, 0, 0, 0), id="has not started"),
        pytest.param({"STARTED": NOW - 9 * SECOND, "STARVED": 4 * SECOND}, (9, 5, 4, 0), id="at work"),
        pytest.param({"STARTED": NOW - 9 * SECOND, "STARVED": SECOND - (NOW - 2 * SECOND)}, (9, 6, 3, 0), id="waits"),
        pytest.param(
            {"STARTED": NOW - 9 * SECOND, "BLOCKED": 0 - (NOW - 7 * SECOND), "STARVED": SECOND},
            (9, 1, 1, 7),
            id="waits to send",
        ),
        pytest.param(
            {"STARTED": NOW - 9 * SECOND, "ENDED": NOW - 5 * SECOND, "BLOCKED": SECOND}, (4, 3, 0, 1), id="has ended"
        ),
        pytest.param({"LIVED": 3 * SECOND, "STARVED": SECOND}, (3, 2, 1, 0), id="a successor that has not started"),
        pytest.param({"LIVED": 3 * SECOND, "STARTED": NOW - SECOND, "STARVED": SECOND}, (4, 3, 1, 0), id="a successor"),
        pytest.param({"STARTED": NOW - SECOND, "STARVED": 2 * SECOND}, (1, 0, 1, 0), id="torn: no more than there was"),
    ],
)
def test_busy_starved_and_blocked_times_add_up_to_the_life_of_a_worker(
    cells: dict[str, int], expected: tuple[float, ...]
) -> None:
    assert times(read(**cells)) == expected


def test_the_time_of_a_set_up_is_no_part_of_the_life_of_a_worker() -> None:
    now = read(SET_UP=2 * SECOND - (NOW - 3 * SECOND))
    assert (now.sets_up, now.alive, now.set_up, now.lived) == (True, True, 5 * SECOND, 0)
    later = read(SET_UP=5 * SECOND, STARTED=NOW - 4 * SECOND)
    assert (later.sets_up, later.set_up, later.busy) == (False, 5 * SECOND, 4 * SECOND)


@pytest.mark.parametrize(
    "cells, expected",
    [
        pytest.param({"OCCUPIED": 10 * SECOND}, (10, 1, 9, 0), id="one of ten tasks at a time"),
        pytest.param({"OCCUPIED": 10 * SECOND, "BLOCKED": 4 * SECOND}, (10, 1, 5, 4), id="some wait to send"),
        pytest.param({"OCCUPIED": 90 * SECOND, "BLOCKED": 4 * SECOND}, (10, 9, 0, 1), id="while others work"),
        pytest.param(
            {"OCCUPIED": 10 * SECOND, "AT_ONCE": 5, "SINCE": NOW - 4 * SECOND}, (10, 3, 7, 0), id="and those in hand"
        ),
    ],
)
def test_an_event_loop_is_as_busy_as_its_tasks_are_many(cells: dict[str, int], expected: tuple[float, ...]) -> None:
    assert times(read(10, STARTED=NOW - 10 * SECOND, **cells)) == expected


def test_stages_that_share_a_worker_share_what_it_waits_for() -> None:
    life = {"STARTED": NOW - 10 * SECOND}
    first, own, last = row(**life, STARVED=2 * SECOND), row(**life, RECEIVED=7), row(**life, BLOCKED=3 * SECOND)
    reading = read_worker(Rows(own, first, last), NOW)
    assert (times(reading), reading.received) == ((10, 5, 2, 3), 7)


@pytest.mark.parametrize(
    "cells, alive",
    [({}, False), ({"STARTED": NOW - 5}, True), ({"STARTED": NOW - 5, "ENDED": NOW - 1}, False)],
)
def test_a_worker_is_alive_from_its_start_to_its_end(cells: dict[str, int], alive: bool) -> None:
    assert read(**cells).alive is alive


def test_counts_are_taken_as_they_are() -> None:
    names = ("RECEIVED", "FINISHED", "SENT", "SKIPPED", "DEAD", "RETRIED", "RESTARTS", "MEMORY", "CPU")
    counts = {name: number for number, name in enumerate(names, start=1)}
    reading = read(**counts)
    assert {name: getattr(reading, name.lower()) for name in counts} == counts


@pytest.mark.parametrize(
    "cells, item, in_hand",
    [
        ({"ITEM": 1, "INDEX": 12, "FIRST": 10, "RECEIVED": 8}, 12, range(10, 18)),
        ({"FIRST": 10, "RECEIVED": 9, "FINISHED": 4, "SKIPPED": 1, "DEAD": 1}, None, range(10, 13)),
        ({"FIRST": 10, "RECEIVED": 9, "FINISHED": 9, "INDEX": 18}, None, range(10, 10)),
        ({"FIRST": 10, "RECEIVED": 8, "FINISHED": 9}, None, range(10, 10)),
    ],
    ids=["in an item", "in a frame", "between two frames", "torn"],
)
def test_what_a_worker_has_in_hand_is_what_it_has_received_and_not_dealt_with(
    cells: dict[str, int], item: int | None, in_hand: range
) -> None:
    reading = read(**cells)
    assert (reading.item, reading.in_hand) == (item, in_hand)


def test_items_of_tasks_are_finished_one_by_one_whatever_becomes_of_their_frames() -> None:
    reading = read(RECEIVED=10, FINISHED=10, AT_ONCE=3, BY_TASKS=4, SKIPPED=1)
    assert (reading.finished, reading.finished_frames) == (3, 10)
    assert read(RECEIVED=10, FINISHED=10, AT_ONCE=3).finished == 0
    assert read(RECEIVED=10, FINISHED=0, BY_TASKS=10).finished == 10


def test_who_asks_for_input_or_receives_some_is_told_apart_from_who_has_not_begun() -> None:
    before = read(RECEIVED=5, LIVED=9 * SECOND, STARVED=2 * SECOND)
    asks = read(RECEIVED=5, LIVED=9 * SECOND, STARTED=NOW, STARVED=2 * SECOND - NOW)
    has_some = read(RECEIVED=6, LIVED=9 * SECOND, STARTED=NOW, STARVED=2 * SECOND)
    assert len({before.input_mark, asks.input_mark, has_some.input_mark}) == 3


def test_the_items_of_a_stage_are_counted_as_a_reading_counts_them() -> None:
    workers = [row(RECEIVED=7, FINISHED=3, SENT=2, SKIPPED=4), row(RECEIVED=9, FINISHED=9, SENT=8, DEAD=1, AT_ONCE=2)]
    readings = [read_worker(Rows(each, each, each), NOW) for each in workers]
    counted = sum(each.finished + each.skipped + each.dead for each in readings)
    assert count_items([Rows(each, each, each) for each in workers]) == (16, counted, 10)

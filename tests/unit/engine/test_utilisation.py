"""The utilisation of a run in a window, from two readings of the board and processor times of its processes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import pytest

from chainpump.engine.utilisation import Mark, Utilisation, taken, utilisation
from chainpump.messages.names import Role
from chainpump.progress.reading import Reading, StageFacts, WorkerReading

SECOND = 1_000_000_000
SOURCE, ONE, TWO, SINK = (
    StageFacts(name, role, "", 1, group, on_processes=name in {"one", "two"})
    for group, (name, role) in enumerate(
        [("range", Role.SOURCE), ("one", Role.STAGE), ("two", Role.STAGE), ("sum", Role.SINK)]
    )
)
PLACES = (SOURCE, ONE, TWO, SINK)


def worker(lived: float, received: int = 0, sent: int = 0, starved: float = 0, blocked: float = 0) -> WorkerReading:
    times: dict[str, Any] = {
        name: int(value * SECOND) for name, value in (("lived", lived), ("starved", starved), ("blocked", blocked))
    }
    return WorkerReading(alive=True, received=received, sent=sent, **times)


def mark(
    at: float, *stages: Sequence[WorkerReading], interpreter: float = 0, taken: dict[int, float | None] | None = None
) -> Mark:
    of = {pid: None if ns is None else int(ns * SECOND) for pid, ns in (taken or {}).items()}
    return Mark(Reading(int(at * SECOND), 0, stages), int(interpreter * SECOND), of)


BEGAN = mark(
    10,
    [worker(10, sent=100)],
    [worker(10, received=90, sent=90), worker(0)],
    [worker(10, received=90, sent=90, starved=8)],
    [worker(10, received=90, starved=9)],
    interpreter=3,
    taken={7: 9.0, 8: 1.0, 9: 0.5},
)


def after(made: int = 40, first: int = 40, second: int = 40, **options: Any) -> Utilisation:
    """The utilisation of the two seconds after `BEGAN`."""
    now = mark(
        12,
        [worker(12, sent=100 + made, blocked=1)],
        [worker(12, received=90 + first, sent=90 + first), worker(1)],
        [worker(12, received=90 + second, sent=90 + second, starved=9.5)],
        [worker(12, received=90 + second, starved=11)],
        interpreter=3.4,
        **options,
    )
    return utilisation(PLACES, BEGAN, now, {6: 2, 7: 1, 8: 2})


def test_utilisation_is_a_number_of_busy_workers() -> None:
    found = after(taken={})
    assert (found.at, found.seconds, found.busy, found.received) == (12, 2, [0.5, 1.5, 0.25, 0], [0, 40, 40, 40])


def test_a_group_that_runs_ahead_is_discounted_by_what_downstream_consumes() -> None:
    found = after(made=80, first=40, second=20, taken={})
    assert found.busy == [0.5 * 20 / 80, 1.5 * 20 / 40, 0.25, 0]


def test_a_few_items_do_not_show_that_a_group_runs_ahead() -> None:
    assert after(made=7, first=2, second=1, taken={}).busy == [0.5, 1.5, 0.25, 0]


def test_processes_that_exist_in_the_whole_window_count_with_their_processor_time() -> None:
    # Process 9 has ended in the window, and process 6 has started in it.
    demand = after(taken={7: 10.5, 8: 1.25, 6: 100.0}).demand
    assert demand == pytest.approx((1.5 + 0.25 + 0.4) / 2)


def test_processor_time_of_a_group_that_runs_ahead_is_discounted() -> None:
    demand = after(made=80, first=40, second=20, taken={7: 10.5, 8: 1.25}).demand
    assert demand == pytest.approx((1.5 * 20 / 40 + 0.25 + 0.4) / 2)


def test_without_processor_times_each_busy_worker_counts_as_a_processor() -> None:
    assert after(taken={7: 10.5, 8: None}).demand == pytest.approx(1.5 + 0.25 + 0.2)


def test_neighbours_that_share_their_workers_are_one_group() -> None:
    places = (SOURCE, StageFacts("one", Role.STAGE, "", 1, 0), StageFacts("two", Role.STAGE, "", 1, 1))
    began = mark(0, [worker(0)], [worker(0)], [worker(0)])
    now = mark(1, [worker(1, sent=30)], [worker(1, received=30, sent=10)], [worker(1, received=5, sent=5)])
    found = utilisation(places, began, now, {})
    assert (found.busy, found.received) == ([0.5, 1.0], [0, 5])


def test_the_processor_time_of_a_running_process_is_known_and_that_of_an_ended_one_is_not() -> None:
    assert (taken(os.getpid()) or 0) > 0
    # Linux does not use numbers of processes as large as this one.
    assert taken(2**22 + 1) is None

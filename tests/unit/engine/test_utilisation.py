"""What a window of a run has shown, from two readings of its board and what the system tells of its processes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import pytest

from chainpump.engine.utilisation import Mark, Utilisation, taken, utilisation
from chainpump.messages.names import Role
from chainpump.progress.reading import Place, Reading, WorkerReading

SECOND = 1_000_000_000
SOURCE, ONE, TWO, SINK = (
    Place(name, role, "", 1, group, on_processes=name in {"one", "two"})
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
    """Two seconds later."""
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


def test_who_was_busy_is_told_in_workers() -> None:
    found = after(taken={})
    assert (found.at, found.seconds, found.busy, found.received) == (12, 2, [0.5, 1.5, 0.25, 0], [0, 40, 40, 40])


def test_who_runs_ahead_is_as_busy_as_those_behind_it_need() -> None:
    found = after(made=80, first=40, second=20, taken={})
    assert found.busy == [0.5 * 20 / 80, 1.5 * 20 / 40, 0.25, 0]


def test_a_few_items_do_not_tell_who_is_ahead() -> None:
    assert after(made=7, first=2, second=1, taken={}).busy == [0.5, 1.5, 0.25, 0]


def test_processes_that_were_there_all_the_time_tell_what_they_asked_for() -> None:
    asked = after(taken={7: 10.5, 8: 1.25, 6: 100.0}).asked  # 9 has ended, 6 has come
    assert asked == pytest.approx((1.5 + 0.25 + 0.4) / 2)


def test_what_is_made_ahead_of_others_is_asked_for_by_nobody() -> None:
    asked = after(made=80, first=40, second=20, taken={7: 10.5, 8: 1.25}).asked
    assert asked == pytest.approx((1.5 * 20 / 40 + 0.25 + 0.4) / 2)


def test_where_the_system_does_not_tell_who_is_busy_asks_for_a_processor() -> None:
    assert after(taken={7: 10.5, 8: None}).asked == pytest.approx(1.5 + 0.25 + 0.2)


def test_neighbours_that_share_their_workers_are_one_group() -> None:
    joined = (SOURCE, Place("one", Role.STAGE, "", 1, 0), Place("two", Role.STAGE, "", 1, 1))
    began = mark(0, [worker(0)], [worker(0)], [worker(0)])
    now = mark(1, [worker(1, sent=30)], [worker(1, received=30, sent=10)], [worker(1, received=5, sent=5)])
    found = utilisation(joined, began, now, {})
    assert (found.busy, found.received) == ([0.5, 1.0], [0, 5])


def test_this_process_has_taken_something_and_one_that_is_gone_tells_nothing() -> None:
    assert (taken(os.getpid()) or 0) > 0
    assert taken(2**22 + 1) is None  # above what Linux gives

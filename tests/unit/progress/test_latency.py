"""How long items take, as the counts of stages tell."""

from __future__ import annotations

import pytest

from chainpump.progress.latency import AT_ONCE, MOST, Counts, Latencies, Latency, counted
from chainpump.progress.reading import WorkerReading


def found(*looks: tuple[float, tuple[int, ...]]) -> list[tuple[float, int]]:
    """Looks at a source, a stage and a sink: what was sent, received, dealt with and sent, and received at the end."""
    latencies = Latencies(3)
    for at, (made, received, dealt_with, sent, arrived) in looks:
        latencies.look([Counts(0, 0, made), Counts(received, dealt_with, sent), Counts(arrived, 0, 0)], at)
    return list(latencies.latency.classes) if latencies.latency is not None else []


def test_what_was_sent_is_found_once_as_many_have_arrived() -> None:
    looks = [(0, (12, 0, 0, 0, 0)), (1, (12, 12, 0, 0, 0)), (2, (12, 12, 9, 9, 9)), (4, (12, 12, 12, 12, 12))]
    assert found(*looks) == [(2.0, 9), (4.0, 3)]


def test_a_stage_that_leaves_items_out_is_followed_by_what_it_sends_next() -> None:
    looks = [(0, (12, 0, 0, 0, 0)), (2, (12, 12, 6, 3, 3)), (4, (12, 12, 12, 6, 3)), (8, (12, 12, 12, 6, 6))]
    assert found(*looks) == [(2.0, 6), (8.0, 6)]


def test_a_stage_that_keeps_all_to_the_end_takes_that_long() -> None:
    assert found((0, (10, 10, 10, 0, 0)), (1, (10, 10, 10, 0, 0)), (8, (10, 10, 10, 10, 10))) == [(8.0, 10)]


def test_a_look_without_new_items_marks_nothing() -> None:
    idle, over = (10, 0, 0, 0, 0), (10, 10, 10, 10, 11)
    assert found((0, idle), (1, idle), (2, idle), (4, over)) == [(4.0, 10)]


def test_what_is_sent_at_once_arrives_piece_by_piece() -> None:
    looks = [(0, (100, 0, 0, 0, 0)), (1, (100, 50, 50, 50, 51)), (2, (100, 99, 99, 99, 99)), (4, (100,) * 5)]
    classes = found(*looks)
    assert [seconds for seconds, _ in classes] == [1.0, 2.0, 4.0]
    assert [count for _, count in classes] == pytest.approx([50, 50 - 100 / AT_ONCE, 100 / AT_ONCE], abs=100 / AT_ONCE)
    assert sum(count for _, count in classes) == 100


def test_marks_are_bounded_where_nothing_arrives() -> None:
    latencies = Latencies(2)
    for look in range(2 * MOST):
        latencies.look([Counts(0, 0, 100 * look), Counts(0, 0, 0)], look)
    latencies.look([Counts(0, 0, 200 * MOST), Counts(200 * MOST, 0, 0)], 2 * MOST)
    assert latencies.latency is not None
    assert sum(count for _, count in latencies.latency.classes) == 100 * MOST // AT_ONCE


@pytest.mark.parametrize("share, seconds", [(0.01, 0.1), (0.5, 0.1), (0.51, 2.0), (0.9, 2.0), (0.99, 30.0), (1, 30.0)])
def test_a_quantile_is_the_end_of_its_class(share: float, seconds: float) -> None:
    assert Latency([(0.1, 50), (2.0, 40), (30.0, 10)]).quantile(share) == seconds


def test_a_latency_is_a_line() -> None:
    assert str(Latency([(0.0251, 60), (2.03, 40)])) == "50% within 25 ms, 90% within 2 s, 99% within 2 s"


def test_a_stage_is_counted_over_its_workers() -> None:
    workers = [WorkerReading(received=5, finished=2, skipped=1, sent=3), WorkerReading(received=4, dead=1)]
    assert counted(workers) == Counts(9, 4, 3)

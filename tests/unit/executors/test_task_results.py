"""The results of tasks until they are sent: in order with whole spans, or as they come."""

from __future__ import annotations

from collections.abc import Sequence

from chainpump.executors.task_results import AsTheyCome, InOrder, Part, TaskResults
from chainpump.transport.frames import Frame, Span


def frame(start: int, stop: int, numbers: Sequence[int] | None = None, prefix: tuple[int, ...] = ()) -> Frame:
    entries = list(range(start, stop)) if numbers is None else list(numbers)
    return Frame(0, Span(start, stop, prefix), entries, numbers)


def taken(results: TaskResults) -> list[tuple[int, int, list[int], int | None]]:
    """Start and end of the span of each part, its numbers, and where it ends."""
    return [_facts(part) for part in results.take()]


def _facts(part: Part) -> tuple[int, int, list[int], int | None]:
    return part.span.start, part.span.stop, [number for number, _ in part.finished], part.stop


def test_in_order_results_wait_for_those_before_them_and_spans_end_with_their_last_item() -> None:
    results = InOrder()
    first, second = results.begin(frame(0, 3)), results.begin(frame(3, 5))
    results.add(first, 1, (["b"], 1))
    results.add(second, 0, (["d"], 1))
    assert not results.is_ready
    results.add(first, 0, (["a"], 1))
    assert results.is_ready
    assert taken(results) == [(0, 3, [0, 1], None)]
    assert not results.is_ready
    results.add(first, 2, ([], 0))
    assert taken(results) == [(0, 3, [2], 3), (3, 5, [3], None)]
    results.add(second, 1, (["e"], 1))
    assert taken(results) == [(3, 5, [4], 5)]
    assert results.take() == []
    assert results.finished == 5


def test_in_order_a_span_without_items_is_given_in_its_turn() -> None:
    results = InOrder()
    first = results.begin(frame(0, 1))
    results.begin(frame(1, 4, numbers=[]))
    assert not results.is_ready
    results.add(first, 0, ([1], 8))
    assert taken(results) == [(0, 1, [0], 1), (1, 4, [], 4)]


def test_in_order_entries_of_one_number_are_given_together() -> None:
    results = InOrder()
    begun = results.begin(frame(0, 3, numbers=[0, 0, 2, 2, 2]))
    results.add(begun, 0, (["a"], 1))
    assert not results.is_ready
    for position in (1, 2, 3):
        results.add(begun, position, (["b"], 1))
    assert results.is_ready
    assert taken(results) == [(0, 3, [0, 0], None)]
    assert not results.is_ready
    results.add(begun, 4, (["c"], 1))
    assert taken(results) == [(0, 3, [2, 2, 2], 3)]


def test_as_they_come_results_are_sorted_and_have_one_span_for_each_prefix() -> None:
    results = AsTheyCome()
    plain, nested = results.begin(frame(0, 9)), results.begin(frame(0, 4, prefix=(9,)))
    for number in (7, 2, 5):
        results.add(plain, number, ([number], 10))
    results.add(nested, 3, ([], 0))
    assert results.is_ready
    parts = results.take()
    assert [_facts(part) for part in parts] == [(2, 8, [2, 5, 7], 8), (3, 4, [3], 4)]
    assert [(part.span.prefix, part.nbytes) for part in parts] == [((), 30), ((9,), 0)]
    assert not results.is_ready
    results.add(plain, 0, ([0], 10))
    assert taken(results) == [(0, 1, [0], 1)]

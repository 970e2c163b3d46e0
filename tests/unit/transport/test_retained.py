"""Which frames a host keeps, in which order it sends them again, and when it takes no more."""

from __future__ import annotations

from itertools import pairwise

import pytest

from chainpump.transport.frames import Span
from chainpump.transport.retained import Retained

OWN, HOST, OTHER = range(3)


def retained(*spans: Span, limit: int = 1000) -> Retained[Span]:
    """Frames of 100 bytes that wait. Each packet is its span."""
    made = Retained[Span](OWN, limit)
    for span in spans:
        made.take(span, span, 100)
    return made


def whole(*bounds: int) -> list[Span]:
    return [Span(start, stop) for start, stop in pairwise(bounds)]


def test_frames_are_sent_again_in_order_and_before_later_ones() -> None:
    spans = whole(0, 5, 9, 12, 20)
    kept = retained(*spans[:3])
    assert [kept.send(HOST), kept.send(OTHER), kept.send(HOST)] == spans[:3]
    kept.take(spans[3], spans[3], 100)
    assert kept.died(HOST) == 2
    assert [kept.send(OTHER) for _ in range(kept.waiting)] == [spans[0], spans[2], spans[3]]
    assert kept.died(HOST) == 0
    assert kept.died(OTHER) == 4


@pytest.mark.parametrize(
    "span,before,passed",
    [
        pytest.param(Span(5, 8), (7,), (8,), id="items"),
        pytest.param(Span(5, 8), (7, 99), (8, 1), id="items that later stages number the parts of"),
        pytest.param(Span(0, 100, (7,)), (7, 99, 5), (7, 100), id="the first parts of an item"),
        pytest.param(Span(100, 120, (7,), last=True), (7, 120), (8,), id="the last parts of an item"),
        pytest.param(Span(2, 4, (7, 119), last=True), (7, 119, 4), (7, 120), id="parts of a part"),
        pytest.param(Span(2, 4, (7, 0)), (7,), (8,), id="parts of an item that is named alone"),
    ],
)
def test_a_frame_is_dropped_once_all_of_it_has_passed(
    span: Span, before: tuple[int, ...], passed: tuple[int, ...]
) -> None:
    kept = retained(span)
    kept.send(HOST)
    kept.passed(before)
    assert kept.nbytes == 100
    kept.passed(passed)
    assert (kept.nbytes, kept.died(HOST)) == (0, 0)


def test_an_older_position_changes_nothing() -> None:
    kept = retained(Span(5, 8))
    kept.send(HOST)
    kept.passed((7,))
    kept.passed((3,))
    assert kept.has_room(Span(7, 9), 10_000)


def test_a_frame_that_passes_while_it_waits_is_sent_but_not_kept() -> None:
    """A receiver was promised a frame, and gets one."""
    kept = retained(*whole(0, 5, 9))
    kept.send(HOST)
    kept.died(HOST)
    kept.passed((5,))
    assert (kept.waiting, kept.nbytes) == (2, 200)
    assert kept.send(OTHER) == Span(0, 5)
    assert (kept.nbytes, kept.died(OTHER)) == (100, 0)


def test_a_frame_that_stays_on_its_host_is_not_kept() -> None:
    kept = retained(*whole(0, 5, 9))
    kept.send(OWN)
    kept.send(HOST)
    assert (kept.nbytes, kept.died(OWN), kept.died(HOST)) == (100, 0, 1)


def test_a_full_host_takes_no_frame_but_the_awaited_one() -> None:
    first, second, third, fourth = whole(0, 5, 9, 12, 20)
    kept = retained(second, third, limit=250)
    assert not kept.is_full
    assert kept.has_room(fourth, 50)
    assert not kept.has_room(fourth, 51)
    assert kept.has_room(first, 10_000)
    kept.take(first, first, 10_000)
    assert kept.is_full
    # It goes first. When it has passed, the next one is awaited, which is here.
    assert kept.send(HOST) == first
    kept.passed((5,))
    assert (kept.nbytes, kept.is_full, kept.has_room(fourth, 51)) == (200, False, False)


def test_one_awaited_frame_at_a_time_has_more_than_its_room() -> None:
    kept = retained(Span(0, 5), Span(5, 9), limit=200)
    kept.passed((3,))
    assert not kept.has_room(Span(2, 4), 100)
    kept.send(HOST)
    assert kept.has_room(Span(2, 4), 100)


@pytest.mark.parametrize("span", [Span(0, 3, (7,)), Span(3, 6, (7,)), Span(0, 9, (7, 2), last=True)])
def test_all_parts_of_an_item_that_is_named_alone_are_awaited(span: Span) -> None:
    kept = retained(Span(8, 9), limit=100)
    kept.passed((6,))
    assert not kept.has_room(span, 1)
    kept.passed((7,))
    assert kept.has_room(span, 1)
    # Parts are told apart where they are named.
    kept.passed((7, 1))
    assert kept.has_room(span, 1) == (span.position < (7, 2))


def test_a_frame_above_the_limit_is_taken_alone() -> None:
    kept = retained(limit=10)
    assert kept.has_room(Span(100, 200), 50)
    kept.take(Span(100, 200), Span(100, 200), 50)
    assert not kept.has_room(Span(200, 201), 1)

"""Ranges behave like the set of their numbers."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainpump.durable.ranges import Ranges

LIMIT = 60
NUMBER = st.integers(0, LIMIT)
PAIRS = st.lists(st.tuples(NUMBER, NUMBER).map(lambda pair: (min(pair), max(pair))), max_size=8)


def numbers(pairs: list[tuple[int, int]]) -> set[int]:
    return {number for start, stop in pairs for number in range(start, stop)}


@given(PAIRS)
def test_they_hold_the_numbers_that_were_added(pairs: list[tuple[int, int]]) -> None:
    ranges, wanted = Ranges(pairs), numbers(pairs)
    assert {number for number in range(LIMIT + 2) if number in ranges} == wanted
    assert ranges.count == len(wanted)
    assert ranges.watermark == next(number for number in range(LIMIT + 2) if number not in wanted)
    assert ranges.end == max(wanted, default=-1) + 1


@given(PAIRS)
def test_they_are_sorted_and_do_not_touch(pairs: list[tuple[int, int]]) -> None:
    bounds = [bound for pair in Ranges(pairs) for bound in pair]
    assert bounds == sorted(set(bounds))


@given(PAIRS)
def test_the_missing_numbers_are_those_that_are_not_in_it(pairs: list[tuple[int, int]]) -> None:
    ranges = Ranges(pairs)
    missing = [number for number in range(LIMIT + 20) if number not in ranges]
    assert [ranges.original(n) for n in range(len(missing))] == missing
    assert numbers(list(ranges.gaps(LIMIT))) == {number for number in missing if number < LIMIT}


@given(PAIRS, NUMBER, NUMBER)
def test_to_add_a_range_returns_the_range_that_holds_it(pairs: list[tuple[int, int]], start: int, more: int) -> None:
    ranges = Ranges(pairs)
    first, last = ranges.add(start, start + more)
    assert first <= start <= start + more <= last
    assert not more or (first, last) in list(ranges)


def test_a_copy_changes_alone() -> None:
    ranges = Ranges([(0, 3)])
    copy = pickle.loads(pickle.dumps(ranges.copy()))
    assert copy == ranges
    copy.add(3, 5)
    assert list(ranges) == [(0, 3)]


@pytest.mark.parametrize("pair", [(-1, 2), (3, 2)])
def test_what_is_no_range_is_refused(pair: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="a range has numbers from 0 on"):
        Ranges([pair])

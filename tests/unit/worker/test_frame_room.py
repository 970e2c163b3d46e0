"""Room for the frames of Python calls in a worker."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable

import pytest

from chainpump.worker.frame_room import with_frame_room

CALLS = 1000
# A frame of `below` takes about 100 bytes, and a chunk of CPython has 16 KB: one of these depths is at its end.
DEPTHS = range(200)


def leaf(first: int) -> int:
    second = third = first
    return second + third


def below(depth: int, function: Callable[[], None]) -> None:
    if depth:
        below(depth - 1, function)
    else:
        function()


def call_often() -> None:
    for number in range(CALLS):
        leaf(number)


def most_page_faults(_: object = None) -> int:
    """The most page faults that many calls at one depth make: a new chunk has a new page."""
    found = 0
    for depth in DEPTHS:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        below(depth, call_often)
        found = max(found, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    return found


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="frames of CPython")
def test_no_depth_of_calls_takes_memory_from_the_system_for_each_call() -> None:
    assert with_frame_room(most_page_faults, None) < CALLS


def test_a_function_with_frame_room_returns_and_raises_as_it_is() -> None:
    assert with_frame_room(abs, -3) == 3
    with pytest.raises(ZeroDivisionError):
        with_frame_room(lambda number: 1 // number, 0)

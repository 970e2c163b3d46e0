"""The items of a run that are here: an event loop takes them itself, without the thread of the run."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from chainpump import Pipeline, StageError, Threads, source
from chainpump.engine.run import Run
from chainpump.errors import Cancelled
from chainpump.start import RunOptions, start
from support.gate import LIMIT

with_and_without_a_bound = pytest.mark.parametrize("in_flight", [None, 2])


def opened(pipeline: Pipeline[int], in_flight: int | None) -> Run[int]:
    return start(pipeline.plan(), RunOptions(), iterated=True, in_flight=in_flight)


def wait_for_a_frame(run: Run[int]) -> None:
    """Wait until the next frame, or the end of the run, is here."""
    assert run._caller is not None
    received = run._caller.sole_input
    assert received is not None
    with suppress(Cancelled):
        assert received.wait(LIMIT)


@with_and_without_a_bound
def test_items_that_are_here_need_no_wait_and_the_end_does(in_flight: int | None) -> None:
    with opened(Pipeline(source(range, 3), on=Threads()), in_flight) as run:
        items = iter(run)
        # The first request opens the input.
        assert not run.is_ready()
        found = run.take_ready(items)
        while len(found) < 3:
            wait_for_a_frame(run)
            assert run.is_ready()
            found += run.take_ready(items)
        wait_for_a_frame(run)
        # The end of a run waits for its workers.
        assert not run.is_ready()
        assert run.take_ready(items) == []
    assert found == [0, 1, 2]


@with_and_without_a_bound
def test_a_run_that_has_failed_is_not_ready_and_says_why(in_flight: int | None) -> None:
    taken = threading.Event()

    def one() -> Iterator[int]:
        yield 1
        # A run that has failed gives no more items.
        assert taken.wait(LIMIT)
        raise ValueError("no second one")

    with opened(Pipeline(source(one), on=Threads()), in_flight) as run:
        items = iter(run)
        assert run.take_ready(items) == [1]
        taken.set()
        wait_for_a_frame(run)
        assert not run.is_ready()
        with pytest.raises(StageError, match="no second one"):
            run.take_ready(items)


def test_a_stage_in_the_thread_of_the_caller_is_never_ready() -> None:
    with Pipeline(range(2)).inline().open() as run:
        assert not run.is_ready()
        assert run.take_ready(iter(run)) == [0]

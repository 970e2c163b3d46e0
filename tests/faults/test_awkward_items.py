"""Items that are huge, or empty and many, or that kill whoever rebuilds them: each comes once, or is named."""

from typing import Any

import pytest

from chainpump import Pipeline, WorkerLostError, source
from faults import stages
from faults.places import ANYWHERE, MOST_WORKERS, PROCESSES, WAYS, WITH_WORKERS, beside, on
from faults.roles import passed, through
from support.cases import in_turns

# Bytes; much more than the memory that a channel shares at first.
HUGE = 300 << 20
MANY = 100_000


@in_turns
@pytest.mark.parametrize("place", MOST_WORKERS)
@pytest.mark.parametrize("make", [stages.huge_bytes, stages.huge_array], ids=lambda make: make.__name__)
def test_items_of_300_mb_come_whole(place: str, make: Any) -> None:
    blocks = Pipeline(source(make, 2, HUGE), on=on(place)).then(stages.edges, on=on(place))
    assert list(blocks) == [(0, 0, HUGE), (1, 1, HUGE)]


@in_turns
@WAYS
@pytest.mark.parametrize("place", MOST_WORKERS)
def test_item_of_300_mb_comes_whole_to_whoever_takes_it_last(place: str, way: Any) -> None:
    (block,) = way(passed(place, 1, stages.huge_array, 1, HUGE), place)
    assert (block[0], block[-1], len(block)) == (0, 0, HUGE)


@in_turns
@WAYS
@pytest.mark.parametrize("make", [bytes, tuple, list, type(None)], ids=lambda make: make.__name__)
@pytest.mark.parametrize("place", WITH_WORKERS)
def test_each_of_100_000_empty_items_comes_once(place: str, make: Any, way: Any) -> None:
    assert way(passed(place, 2, stages.repeated, MANY, make), place) == [make()] * MANY


@WAYS
def test_each_of_10_000_empty_items_comes_once_out_of_its_task(way: Any) -> None:
    """A task takes long to make, and looks at no item: one kind will do, and a hundred items for each of 100 tasks."""
    items = Pipeline(source(stages.repeated, MANY // 10, bytes), on=on("threads"))
    assert way(through(items, "tasks", 100), "tasks") == [b""] * (MANY // 10)


@in_turns
@WAYS
@pytest.mark.parametrize("place", ANYWHERE)
def test_of_no_items_comes_none(place: str, way: Any) -> None:
    assert way(passed(place, 2, stages.count, 0), place) == []


@WAYS
@pytest.mark.parametrize("place", PROCESSES)
def test_item_that_kills_whoever_rebuilds_it_kills_its_worker_alone(place: str, way: Any) -> None:
    """The main process only relays it: it never rebuilds what goes from one worker to another."""
    items = Pipeline(source(stages.killing_at, 4), on=on(beside(place)))
    deadly = items.then(stages.same, on=on(place), name="reader")
    message = r"^stage 'reader' lost worker 1 of 1 \(pid \d+\): killed by SIGKILL, \d+ items? in flight\.\n"
    with pytest.raises(WorkerLostError, match=message) as caught:
        way(deadly.then(stages.same, on=on(beside(place))), place)
    # From the first to the last of the frame in hand.
    assert caught.value.failures[0].index in range(5)


@pytest.mark.parametrize("place", PROCESSES)
def test_item_that_kills_whoever_rebuilds_it_kills_a_sink_alone(place: str) -> None:
    deadly = Pipeline(source(stages.killing_at, 4), on=on(beside(place))).into(stages.tally, on=on(place))
    with pytest.raises(WorkerLostError, match=r"^sink 'tally' lost worker 1 of 1 \(pid \d+\): killed by SIGKILL"):
        deadly.run()

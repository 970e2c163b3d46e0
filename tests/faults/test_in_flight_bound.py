"""`in_flight=n`: a slot is taken before the next item is made, and freed when the consumer asks for its next."""

import threading
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest

from chainpump import ItemTimeoutError, Pipeline, Processes, Skip, Threads, sink, source, stage
from faults import deaths, stages
from faults.places import FORKING, MOST_WORKERS, WITH_WORKERS, on
from support.cases import pairwise
from support.gate import Gate, Journal
from support.processes import wait_asleep


@pytest.mark.parametrize("place", WITH_WORKERS)
def test_one_in_flight_is_strict_alternation(place: str, journal: Journal) -> None:
    pipeline = Pipeline(source(stages.making, 50, journal), on=on(place)).into(
        sink(stages.using, journal), on=on(place), in_flight=1
    )
    pipeline.run()
    assert journal.lines == [line for n in range(50) for line in (f"making {n}", f"using {n}", f"used {n}")]


@pytest.mark.parametrize("in_flight", [2, 3, 7])
@pytest.mark.parametrize("place", MOST_WORKERS)
def test_no_more_than_n_are_ever_in_flight(place: str, in_flight: int, journal: Journal) -> None:
    pipeline = Pipeline(source(stages.making, 200, journal), on=on(place)).into(
        sink(stages.using, journal), on=on(place), in_flight=in_flight
    )
    pipeline.run()
    assert most(journal) <= in_flight


@pytest.mark.parametrize("workers", [2, 3])
@pytest.mark.parametrize("place", MOST_WORKERS)
def test_bound_holds_over_all_workers_of_a_stage(place: str, workers: int, journal: Journal) -> None:
    made = Pipeline(source(stages.count, 200), on=on(place)).then(
        stage(stages.making_from, journal), on=on(place, workers)
    )
    made.into(sink(stages.using, journal), on=on(place, workers), in_flight=workers).run()
    assert most(journal) <= workers
    assert len(journal.lines) == 600


@pytest.mark.parametrize("in_flight", [1, 2, 4])
@pytest.mark.parametrize("place", FORKING)
def test_producer_makes_exactly_n_items_while_its_consumer_is_busy(
    place: str, in_flight: int, journal: Journal, gate: Gate
) -> None:
    pipeline = Pipeline(source(stages.making, 50, journal), on=on(place)).then(
        stage(stages.held_at, gate, 0), on=on(place), in_flight=in_flight
    )
    with pipeline.open() as run:
        gate.wait_held()
        wait_asleep(run._wiring.slots[0][0].pid)
        assert journal.lines == [f"making {n}" for n in range(in_flight)]
        gate.release()
        assert list(run) == list(range(50))


@pairwise
@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("in_flight", [1, 2, 4])
@pytest.mark.parametrize("place", MOST_WORKERS)
def test_bounded_stages_in_a_row_do_not_deadlock(place: str, in_flight: int, workers: int) -> None:
    """One of them holds items back, and gives two at a time."""
    pipeline = Pipeline(source(stages.count, 101), on=on(place))
    for function in (stages.same, stages.pair_up, stages.same):
        pipeline = pipeline.then(function, on=on(place, workers), in_flight=in_flight)
    assert sorted(pipeline.into(stages.collect, on=on(place), in_flight=in_flight).run().value) == list(range(101))


@pytest.mark.parametrize("workers", [(3, 1), (1, 3), (2, 3)])
@pytest.mark.parametrize("in_flight", [1, 2])
def test_bounded_stages_of_unlike_size_do_not_deadlock(in_flight: int, workers: tuple[int, int]) -> None:
    left, right = workers
    pipeline = Pipeline(source(stages.count, 101), on=Processes(1)).then(
        stages.pair_up, on=Processes(left), in_flight=in_flight
    )
    assert sorted(pipeline.then(stages.same, on=Processes(right), in_flight=in_flight)) == list(range(101))


def stay_for_ever() -> None:
    """An item that its time limit ends."""
    threading.Event().wait()


@pytest.mark.parametrize("in_flight", [1, 2, 5])
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("die", [stages.sigkill, stay_for_ever])
def test_bound_holds_behind_workers_that_are_replaced(
    die: Any, workers: int, in_flight: int, journal: Journal, tmp_path: Path, gate: Gate
) -> None:
    """The replaced workers hold none of the credits. The consumer is held at item 42 of the source."""
    deaths_seen, is_dropped = Journal(tmp_path / "deaths"), die is stay_for_ever
    options: dict[str, Any] = {"timeout": 0.5, "on_error": Skip(ItemTimeoutError), "ordered": False}
    function = partial(deaths.doubled, (5, 20), die, deaths_seen, 1)
    pipeline = Pipeline(source(stages.making, 100, journal), on=Processes()).map(
        function, on=Processes(workers, restarts=0 if is_dropped else 2), **(options if is_dropped else {})
    )
    bounded = pipeline.then(stage(stages.held_at, gate, 42 - 2 * is_dropped), on=Threads(), in_flight=in_flight)
    with bounded.open() as run:
        gate.wait_held()
        wait_asleep(run._wiring.slots[0][0].pid)
        assert len(journal.lines) == 42 + in_flight
        gate.release()
        assert list(run) == [2 * n for n in range(100) if not is_dropped or n not in (5, 20)]
    assert deaths_seen.lines == ["died at 5", "died at 20"]


def most(journal: Journal) -> int:
    """The most items that were in flight at once: made, and not used up."""
    steps = {"making": 1, "using": 0, "used": -1}
    return max(accumulate(steps[line.partition(" ")[0]] for line in journal.lines))

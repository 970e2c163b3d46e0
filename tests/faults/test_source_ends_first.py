"""Rule 1: the source ends first; everything buffered is processed, and nothing is lost."""

from typing import Any

import pytest

from chainpump import Pipeline, Processes, sink, source, stage
from faults import stages
from faults.places import ANYWHERE, MOST, MOST_WORKERS, WAYS, on
from faults.roles import passed
from support.cases import in_turns
from support.gate import Gate
from support.processes import gone, watching


@in_turns
@WAYS
@pytest.mark.parametrize("place", ANYWHERE)
def test_source_that_ends_first_loses_nothing_that_is_buffered(place: str, way: Any) -> None:
    assert way(passed(place, 1, stages.count, 5000), place) == list(range(5000))


@pytest.mark.parametrize("place", MOST_WORKERS)
def test_every_worker_works_off_what_is_buffered_after_the_source_has_ended(place: str) -> None:
    pipeline = Pipeline(source(stages.count, 5000), on=on(place)).then(stages.same, on=on(place, 3))
    report = pipeline.into(stages.collect, on=on(place)).run()
    assert sorted(report.value) == list(range(5000))


def test_items_of_a_source_that_is_gone_before_the_first_was_taken_arrive(gate: Gate) -> None:
    held = Pipeline(source(stages.announced, gate, 100), on=Processes(1)).then(stage(stages.held_at, gate, 0))
    with held.open() as run:
        source_pid = gate.wait_held()
        with watching([source_pid]) as source_process:
            gate.wait_held()
            assert gone(source_process), "the source waits for somebody to read what it has sent"
        gate.release()
        assert list(run) == list(range(100))


@pytest.mark.parametrize("place", MOST)
def test_empty_source_is_a_clean_end(place: str) -> None:
    pipeline = Pipeline(source(stages.count, 0), on=on(place)).then(stages.same, on=on(place))
    assert pipeline.into(sink(stages.tally), on=on(place)).run().value == 0


@pytest.mark.parametrize("place", MOST_WORKERS)
def test_arrays_of_a_source_that_has_ended_stay_whole(place: str) -> None:
    pipeline = Pipeline(source(stages.arrays, 5), on=on(place)).then(stages.same, on=on(place))
    assert [(array[0], array[-1], array.size) for array in pipeline] == [(n, n, 1 << 20) for n in range(5)]

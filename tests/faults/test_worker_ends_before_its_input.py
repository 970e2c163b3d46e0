"""Rule 3: a stage or sink that returns while its input has more ends the run as an error, unless it may stop."""

import re
from typing import Any

import pytest

from chainpump import Pipeline, Processes, StageStoppedError, sink, source, stage
from faults import stages
from faults.places import ANYWHERE, MOST, MOST_WORKERS, WAYS, on, plain
from faults.roles import made
from support.cases import in_turns, pairwise
from support.gate import Gate, Journal


def returned(role: str, name: str, items: int) -> str:
    """The first line of the message, whole."""
    return rf"^{role} '{name}' returned after {items} items while its input had more\.\n"


@pairwise
@pytest.mark.parametrize("n", [0, 7])
@WAYS
@pytest.mark.parametrize("place", ANYWHERE)
def test_stage_that_returns_early_ends_the_run_and_is_named_with_its_count(place: str, n: int, way: Any) -> None:
    pipeline = made(place, stages.count_for_ever).then(stage(stages.first_only, n), on=on(plain(place)))
    with pytest.raises(StageStoppedError, match=returned("stage", "first_only", n)) as caught:
        way(pipeline, place)
    assert (caught.value.stage, caught.value.worker) == ("first_only", 1)
    assert "may_stop=True" in str(caught.value)


@in_turns
@pytest.mark.parametrize("n", [0, 7])
@pytest.mark.parametrize("place", ANYWHERE)
def test_sink_that_returns_early_ends_the_run_and_is_named_with_its_count(place: str, n: int) -> None:
    pipeline = made(place, stages.count_for_ever).into(sink(stages.sum_first, n), on=on(plain(place)))
    with pytest.raises(StageStoppedError, match=returned("sink", "sum_first", n)) as caught:
        pipeline.run()
    assert caught.value.stage == "sum_first"


@pytest.mark.parametrize("place", MOST)
def test_stage_that_takes_the_last_item_and_returns_is_not_early(place: str) -> None:
    pipeline = Pipeline(source(stages.count, 7), on=on(place)).then(stage(stages.first_only, 7), on=on(place))
    assert list(pipeline) == list(range(7))


@pytest.mark.parametrize("place", MOST)
def test_stage_that_takes_nothing_from_an_empty_source_is_not_early(place: str) -> None:
    pipeline = Pipeline(source(stages.count, 0), on=on(place)).then(stage(stages.first_only, 0), on=on(place))
    assert list(pipeline) == []


@pytest.mark.parametrize("place", MOST)
def test_stage_that_may_stop_ends_the_run_cleanly_and_upstream_cleans_up(place: str, journal: Journal) -> None:
    pipeline = (
        Pipeline(source(stages.counting, 1 << 60, journal), on=on(place))
        .then(stage(stages.noting, journal, "between"), on=on(place))
        .then(stage(stages.first_only, 7), on=on(place), may_stop=True)
        .then(stages.same, on=on(place))
    )
    assert list(pipeline) == list(range(7))
    assert sorted(journal.lines) == ["between cleaned up", "source cleaned up"]


@pytest.mark.parametrize("place", MOST)
def test_sink_that_may_stop_gives_its_value_and_upstream_cleans_up(place: str, journal: Journal) -> None:
    pipeline = Pipeline(source(stages.counting, 1 << 60, journal), on=on(place))
    report = pipeline.into(sink(stages.sum_first, 4), on=on(place), may_stop=True).run()
    assert report.value == 0 + 1 + 2 + 3
    assert journal.lines == ["source cleaned up"]


@pytest.mark.parametrize("place", MOST_WORKERS)
def test_several_workers_that_may_stop_each_take_their_share(place: str, journal: Journal) -> None:
    pipeline = Pipeline(source(stages.counting, 1 << 60, journal), on=on(place)).then(
        stage(stages.first_only, 4), on=on(place, 3), may_stop=True
    )
    items = list(pipeline)
    assert len(items) == len(set(items)) == 3 * 4
    assert journal.lines == ["source cleaned up"]


@pytest.mark.parametrize("place", MOST_WORKERS)
def test_one_of_several_workers_that_returns_early_is_named(place: str) -> None:
    pipeline = Pipeline(source(stages.count_for_ever), on=on(place)).then(stage(stages.first_only, 5), on=on(place, 3))
    with pytest.raises(StageStoppedError, match=returned("stage", "first_only", 5)) as caught:
        list(pipeline)
    assert 1 <= caught.value.worker <= 3


@pytest.mark.parametrize("place", MOST_WORKERS)
def test_worker_that_may_stop_leaves_what_remains_to_the_others(place: str, gate: Gate) -> None:
    """One worker of two stops after item 0; the other, held until then at item 1, gets all that is left."""
    numbers = Pipeline(source(stages.count, 500), on=on(place))
    with numbers.then(stage(stages.stop_at_0_hold_at_1, gate), on=on(place, 2), may_stop=True).open() as run:
        items = iter(run)
        gate.wait_held()
        assert next(items) == 0
        gate.release()
        assert next(items) == 1
        rest = list(items)
    assert rest == sorted(set(rest))


@pytest.mark.parametrize("place", MOST)
def test_early_return_of_one_stage_is_not_blamed_on_the_one_that_may_stop_after_it(place: str) -> None:
    pipeline = (
        Pipeline(source(stages.count_for_ever), on=on(place))
        .then(stage(stages.first_only, 3), on=on(place), name="early")
        .then(stage(stages.first_only, 100), on=on(place), may_stop=True, name="allowed")
    )
    with pytest.raises(StageStoppedError, match=returned("stage", "early", 3)):
        list(pipeline)


def test_name_given_in_the_pipeline_is_the_one_in_the_message() -> None:
    pipeline = Pipeline(range(10)).then(stage(stages.first_only, 2), on=Processes(1), name="take two")
    with pytest.raises(StageStoppedError, match=returned("stage", re.escape("take two"), 2)):
        list(pipeline)

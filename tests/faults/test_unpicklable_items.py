"""Rule 4, items: one that cannot leave its process, or be rebuilt in the next, is named with its number and fault."""

import re
from typing import Any

import pytest

from chainpump import Inline, Pipeline, Processes, Threads, UnpicklableItemError, source
from faults import stages
from faults.places import ANYWHERE, EXECUTORS, FORKING, PROCESSES, WAYS, on
from faults.roles import made, passed, through


@WAYS
@pytest.mark.parametrize("at", [0, 17])
@pytest.mark.parametrize("place", EXECUTORS)
def test_item_that_cannot_be_pickled_names_the_path_to_the_part_at_fault(place: str, at: int, way: Any) -> None:
    """On its way to a process."""
    pipeline = made(place, stages.holding_a_file, at, name="load").then(stages.same, on=on("forkserver"))
    first_line = rf"^source 'load' yielded item {at}, which cannot be sent to another process:\n"
    with pytest.raises(UnpicklableItemError, match=first_line) as caught:
        way(pipeline, place)
    assert re.search(r"dict\['source'\]\.handle: cannot pickle .*TextIOWrapper", str(caught.value))  # Python's words
    assert caught.value.failures[0].index == at


@WAYS
@pytest.mark.parametrize("place", ["threads", "tasks", "inline"])
def test_item_that_cannot_be_pickled_passes_where_nothing_is_pickled(place: str, way: Any) -> None:
    assert [item["number"] for item in way(passed(place, 1, stages.holding_a_file, 2), place)] == [0, 1, 2]


@WAYS
@pytest.mark.parametrize("at", [0, 17])
@pytest.mark.parametrize("place", EXECUTORS)
def test_item_that_cannot_be_rebuilt_names_the_worker_that_received_it(place: str, at: int, way: Any) -> None:
    """It comes from a process."""
    pipeline = through(Pipeline(source(stages.unloadable_at, at), on=on("forkserver")), place)
    first_line = (
        rf"^stage 'same' \(worker 1 of 1, pid \d+\) received item {at}, which cannot be rebuilt from its pickle:\n"
    )
    with pytest.raises(UnpicklableItemError, match=first_line) as caught:
        way(pipeline, place)
    assert "ValueError: not for you" in str(caught.value)
    assert caught.value.failures[0].index == at


@pytest.mark.parametrize("thinned", [False, True], ids=["map", "map behind a filter"])
@pytest.mark.parametrize("place", FORKING)
def test_of_items_that_travel_together_the_one_that_cannot_be_rebuilt_is_named(place: str, thinned: bool) -> None:
    """Results of element-wise functions are pickled with their whole frame, which here has hundreds."""
    numbers = Pipeline(source(stages.count, 5_000), on=on(place))
    numbers = numbers.filter(stages.most, on=on(place)) if thinned else numbers
    pipeline = numbers.map(stages.unloadable_made, on=on(place)).then(stages.same, on=on(place))
    first_line = (
        r"^stage 'same' \(worker 1 of 1, pid \d+\) received item 2500, which cannot be rebuilt from its pickle:\n"
    )
    with pytest.raises(UnpicklableItemError, match=first_line + "  ValueError: not for you") as caught:
        list(pipeline)
    assert caught.value.failures[0].index == 2_500


def test_item_that_the_callers_loop_cannot_rebuild_is_named() -> None:
    first_line = (
        r"^sink 'iteration' \(worker 1 of 1, pid \d+\) received item 3, which cannot be rebuilt from its pickle:\n"
    )
    with pytest.raises(UnpicklableItemError, match=first_line):
        list(Pipeline(source(stages.unloadable_at, 3), on=Processes(1)))


@pytest.mark.parametrize("place", PROCESSES)
def test_value_of_a_sink_that_cannot_be_pickled_is_an_error(place: str) -> None:
    pipeline = Pipeline(range(3)).into(stages.returns_unpicklable, on=on(place))
    first_line = r"^sink 'returns_unpicklable' returned a value that cannot be sent to the main process:\n"
    with pytest.raises(UnpicklableItemError, match=first_line) as caught:
        pipeline.run()
    assert "dict['lock']: cannot pickle '_thread.lock' object" in str(caught.value)


@pytest.mark.parametrize("place", PROCESSES)
def test_value_of_a_sink_that_the_main_process_cannot_rebuild_is_an_error(place: str) -> None:
    with pytest.raises(
        UnpicklableItemError, match=r"^sink 'returns_unloadable' .*returned a value that cannot be "
    ) as caught:
        Pipeline(range(3)).into(stages.returns_unloadable, on=on(place)).run()
    assert "only at home" in str(caught.value)


@WAYS
@pytest.mark.parametrize("place", ANYWHERE)
def test_exception_as_an_item_is_an_item(place: str, way: Any) -> None:
    """Nothing that a user yields is taken for a message of the library's own."""
    items = way(passed(place, 1, stages.oddities), place)
    assert list(map(repr, items)) == list(map(repr, stages.oddities()))


@pytest.mark.parametrize("executor", [Inline(), Threads(1)], ids=repr)
def test_a_file_can_pass_between_stages_of_the_main_process_before_a_process(executor: Inline | Threads) -> None:
    pipeline = Pipeline(source(stages.holding_a_file, 1), on=executor).then(stages.numbers_of, on=executor)
    assert list(pipeline.then(stages.same, on=Processes(1))) == [0, 1]

"""Rule 4, items: one that cannot leave its process, or be rebuilt in the next, is named with its number and fault."""

import re

import pytest

from chainpump import Inline, Pipeline, Processes, Threads, UnpicklableItemError, sink, source
from faults import stages
from faults.places import EVERYWHERE, FORKING, on


@pytest.mark.parametrize("at", [0, 17])
@pytest.mark.parametrize("place", FORKING)
def test_item_that_cannot_be_pickled_names_the_path_to_the_part_at_fault(place: str, at: int) -> None:
    pipeline = Pipeline(source(stages.holding_a_file, at), on=on(place), name="load").then(stages.same, on=on(place))
    first_line = rf"^source 'load' yielded item {at}, which cannot be sent to another process:\n"
    with pytest.raises(UnpicklableItemError, match=first_line) as caught:
        list(pipeline)
    assert re.search(r"dict\['source'\]\.handle: cannot pickle .*TextIOWrapper", str(caught.value))  # Python's words
    assert caught.value.failures[0].index == at


@pytest.mark.parametrize("place", ["threads", "inline"])
def test_item_that_cannot_be_pickled_passes_where_nothing_is_pickled(place: str) -> None:
    pipeline = Pipeline(source(stages.holding_a_file, 2), on=on(place)).then(stages.same, on=on(place))
    assert [item["number"] for item in pipeline] == [0, 1, 2]


@pytest.mark.parametrize("at", [0, 17])
@pytest.mark.parametrize("place", FORKING)
def test_item_that_cannot_be_rebuilt_names_the_worker_that_received_it(place: str, at: int) -> None:
    pipeline = Pipeline(source(stages.unloadable_at, at), on=on(place)).then(stages.same, on=on(place))
    first_line = (
        rf"^stage 'same' \(worker 1 of 1, pid \d+\) received item {at}, which cannot be rebuilt from its pickle:\n"
    )
    with pytest.raises(UnpicklableItemError, match=first_line) as caught:
        list(pipeline)
    assert "ValueError: not for you" in str(caught.value)
    assert caught.value.failures[0].index == at


def test_item_that_the_callers_loop_cannot_rebuild_is_named() -> None:
    first_line = (
        r"^sink 'iteration' \(worker 1 of 1, pid \d+\) received item 3, which cannot be rebuilt from its pickle:\n"
    )
    with pytest.raises(UnpicklableItemError, match=first_line):
        list(Pipeline(source(stages.unloadable_at, 3), on=Processes(1)))


@pytest.mark.parametrize("place", FORKING)
def test_value_of_a_sink_that_cannot_be_pickled_is_an_error(place: str) -> None:
    pipeline = Pipeline(range(3)).into(stages.returns_unpicklable, on=on(place))
    first_line = r"^sink 'returns_unpicklable' returned a value that cannot be sent to the main process:\n"
    with pytest.raises(UnpicklableItemError, match=first_line) as caught:
        pipeline.run()
    assert "dict['lock']: cannot pickle '_thread.lock' object" in str(caught.value)


@pytest.mark.parametrize("place", FORKING)
def test_value_of_a_sink_that_the_main_process_cannot_rebuild_is_an_error(place: str) -> None:
    with pytest.raises(
        UnpicklableItemError, match=r"^sink 'returns_unloadable' .*returned a value that cannot be "
    ) as caught:
        Pipeline(range(3)).into(stages.returns_unloadable, on=on(place)).run()
    assert "only at home" in str(caught.value)


@pytest.mark.parametrize("place", EVERYWHERE)
def test_exception_as_an_item_is_an_item(place: str) -> None:
    """Nothing that a user yields is taken for a message of the library's own."""
    pipeline = Pipeline(source(stages.oddities), on=on(place)).then(stages.same, on=on(place))
    items = pipeline.into(sink(stages.collect), on=on(place)).run().value
    assert list(map(repr, items)) == list(map(repr, stages.oddities()))


@pytest.mark.parametrize("executor", [Inline(), Threads(1)], ids=repr)
def test_a_file_can_pass_between_stages_of_the_main_process_before_a_process(executor: Inline | Threads) -> None:
    pipeline = Pipeline(source(stages.holding_a_file, 1), on=executor).then(stages.numbers_of, on=executor)
    assert list(pipeline.then(stages.same, on=Processes(1))) == [0, 1]

"""Rule 4, items: one that cannot leave its process, or be rebuilt in the next, is named with its number and fault."""

import re
from typing import Any

import pytest

from chainpump import (
    DeadLetter,
    Inline,
    Pipeline,
    Processes,
    Retry,
    Skip,
    StageError,
    Tasks,
    Threads,
    TooManyFailuresError,
    UnpicklableItemError,
    source,
)
from faults import stages
from faults.places import ANYWHERE, EXECUTORS, FORKING, PROCESSES, WAYS, on
from faults.roles import made, passed, through
from support.cases import in_turns, pairwise


@pairwise
@WAYS
@pytest.mark.parametrize("at", [0, 17])
@pytest.mark.parametrize("place", EXECUTORS)
def test_item_that_cannot_be_pickled_names_the_path_to_the_part_at_fault(place: str, at: int, way: Any) -> None:
    """On its way to a process."""
    pipeline = made(place, stages.holding_a_file, at, name="load").then(stages.same, on=on("forkserver"))
    first_line = rf"^source 'load' yielded item {at}, which cannot be sent to another process:\n"
    with pytest.raises(UnpicklableItemError, match=first_line) as caught:
        way(pipeline, place)
    # Python's words.
    assert re.search(r"dict\['source'\]\.handle: cannot pickle .*TextIOWrapper", str(caught.value))
    assert caught.value.failures[0].index == at


@WAYS
@pytest.mark.parametrize("place", ["threads", "tasks", "inline"])
def test_item_that_cannot_be_pickled_passes_where_nothing_is_pickled(place: str, way: Any) -> None:
    assert [item["number"] for item in way(passed(place, 1, stages.holding_a_file, 2), place)] == [0, 1, 2]


@pairwise
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


@in_turns
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


LAZY = range(400)
WHOLE = [number for number in LAZY if number % 5 != 3]
TRUNCATED = [number for number in LAZY if number % 5 == 3]
PUT_ASIDE = DeadLetter(OSError)


@pytest.mark.parametrize(
    "pipeline, each",
    [
        pytest.param(Pipeline(LAZY).map(stages.Lazy, on=Processes(2), on_error=PUT_ASIDE), 1, id="by frames"),
        pytest.param(
            Pipeline(LAZY).map(stages.Lazy, on=Processes(2, restarts=1), on_error=PUT_ASIDE), 1, id="with restarts"
        ),
        pytest.param(
            Pipeline(LAZY).map(stages.Lazy, on=Processes(2), on_error=PUT_ASIDE, in_flight=2), 1, id="with slots"
        ),
        pytest.param(Pipeline(LAZY).flat_map(stages.lazy_pair, on=Processes(2), on_error=PUT_ASIDE), 2, id="flat_map"),
        pytest.param(
            Pipeline(LAZY).map(stages.Lazy, on=Processes(2), on_error=Retry(2, otherwise=PUT_ASIDE)),
            1,
            id="tried again",
        ),
        *(
            pytest.param(
                Pipeline(LAZY).map(function, on=executor, on_error=PUT_ASIDE).then(stages.same, on=Processes()),
                1,
                id=f"from {executor} to a process",
            )
            for function, executor in [
                (stages.Lazy, Threads(2)),
                (stages.Lazy, Inline()),
                (stages.lazy_awaited, Tasks(4)),
            ]
        ),
    ],
)
def test_policy_decides_about_the_item_whose_result_fails_as_it_is_pickled(pipeline: Any, each: int) -> None:
    with pipeline.open() as run:
        assert [item.number for item in run] == [number for number in WHOLE for _ in range(each)]
        letters = sorted(run.dead_letters, key=lambda letter: letter.item)
    assert [letter.item for letter in letters] == TRUNCATED
    assert [letter.index for letter in letters] == TRUNCATED
    assert [str(letter.error) for letter in letters] == [f"{number} is truncated" for number in TRUNCATED]


def test_policy_decides_about_the_very_item_where_several_have_one_number() -> None:
    pairs = Pipeline(LAZY).flat_map(lambda number: (number, number + 1), on=Processes(2))
    with pairs.map(stages.Lazy, on=Processes(2), on_error=PUT_ASIDE).open() as run:
        made = [each for number in LAZY for each in (number, number + 1)]
        assert [item.number for item in run] == [number for number in made if number % 5 != 3]
        assert sorted(letter.item for letter in run.dead_letters) == sorted(n for n in made if n % 5 == 3)


@pytest.mark.parametrize("how", [{}, {"in_flight": 2}], ids=["by frames", "with slots"])
def test_what_no_policy_covers_as_a_result_is_pickled_is_an_error_of_its_item(how: dict[str, Any]) -> None:
    lazy = Pipeline(LAZY).map(stages.Lazy, on=Processes(), on_error=Skip(ValueError), name="lazy", **how)
    with pytest.raises(
        StageError, match=r"^stage 'lazy' \(worker 1 of 1, pid \d+\) raised OSError on item 3:\n"
    ) as caught:
        list(lazy)
    assert isinstance(caught.value.__cause__, OSError)


def test_limit_of_a_policy_counts_results_that_fail_as_they_are_pickled() -> None:
    lazy = Pipeline(LAZY).map(stages.Lazy, on=Processes(), on_error=Skip(OSError, limit=3), name="lazy")
    with pytest.raises(TooManyFailuresError, match=r"^stage 'lazy' failed on more than 3 items, its limit"):
        list(lazy)


def test_advice_about_a_result_that_fails_as_it_is_pickled_fits() -> None:
    with pytest.raises(UnpicklableItemError, match=r"on_error=Skip\(OSError\)"):
        list(Pipeline(LAZY).map(stages.Lazy, on=Processes()))

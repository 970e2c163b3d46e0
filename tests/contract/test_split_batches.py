"""A policy that splits batches leaves out single items, and the results of the others go on as one batch."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import Any

import pytest

from chainpump import (
    DeadItem,
    DeadLetter,
    Executor,
    Inline,
    ItemTimeoutError,
    Pipeline,
    Processes,
    Retry,
    Skip,
    StageError,
    Tasks,
    Threads,
    TooManyFailuresError,
    WorkerLostError,
)
from contract import splits
from contract.placings import FORKS

N, SIZE = 18, 4
EVERYWHERE = [
    pytest.param(Inline(), id="inline"),
    pytest.param(Processes(2), id="processes"),
    pytest.param(Processes(2, restarts=1), id="processes that are replaced"),
    pytest.param(Processes(2, start_method="fork"), id="forks", marks=FORKS),
    pytest.param(Threads(3), id="threads"),
    pytest.param(Tasks(3), id="tasks"),
]
GOOD = [item for item in range(N) if item not in splits.BAD]
# Item, number of its batch, position there.
LETTERS = [(3, 0, 3), (8, 2, 0), (9, 2, 1), (10, 2, 2), (11, 2, 3)]


def batches() -> Pipeline[list[int]]:
    return Pipeline(range(N)).batch(SIZE, on=Inline())


def places_of(letters: Any) -> list[tuple[int, int, int | None]]:
    return sorted((letter.item, letter.index, letter.position) for letter in letters)


@pytest.mark.parametrize("on", EVERYWHERE)
def test_the_results_of_good_items_go_on_as_a_batch_in_order(on: Executor) -> None:
    function = splits.awaited if isinstance(on, Tasks) else splits.doubled
    report = batches().map(function, on=on, on_error=DeadLetter(split=True)).into(list, on=Threads()).run()
    assert report.value == [[0, 2, 4], [8, 10, 12, 14], [24, 26, 28, 30], [32, 34]]
    assert places_of(report.dead_letters) == LETTERS
    assert {str(letter.error) for letter in report.dead_letters} == {f"cannot take {item}" for item in splits.BAD}
    counts = report.stages[-2]
    assert (counts.received, counts.finished, counts.sent, counts.dead) == (5, 5, 4, 5)


OPERATORS: dict[str, tuple[Callable[[Pipeline[list[int]], Any], Pipeline[Any]], Any]] = {
    "filter": (lambda pipeline, how: pipeline.filter(splits.is_good, **how).unbatch(), GOOD),
    "tap": (lambda pipeline, how: pipeline.tap(splits.is_good, **how).unbatch(), GOOD),
    "flat_map": (
        lambda pipeline, how: pipeline.flat_map(splits.each_twice, **how),
        list(chain.from_iterable((item, item) for item in GOOD)),
    ),
}


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("on", [Inline(), Processes(2), Threads(2)], ids=lambda on: type(on).__name__)
def test_every_operator_splits(operator: str, on: Executor) -> None:
    build, expected = OPERATORS[operator]
    letters: list[DeadItem] = []
    policy = DeadLetter(split=True, to=letters.append)
    assert list(build(batches(), {"on": on, "on_error": policy})) == expected
    assert places_of(letters) == LETTERS
    report = batches().each(splits.is_good, on=on, on_error=Skip(split=True)).run()
    assert (report.stages[-1].finished, report.stages[-1].skipped) == (5, 5)


def test_arrays_and_dicts_of_columns_are_split_and_joined() -> None:
    numpy = pytest.importorskip("numpy")
    arrays = [numpy.arange(start, start + 4) for start in (0, 4)]
    pipeline = Pipeline(arrays).map(splits.columns, on=Processes(1), on_error=DeadLetter(split=True))
    with pipeline.open() as run:
        first, second = run
        assert places_of(run.dead_letters) == [(3, 0, 3)]
    assert (first["twice"].tolist(), first["names"]) == ([0, 2, 4], ("0", "1", "2"))
    assert len(second["twice"]) == 4


@pytest.mark.parametrize("on", [Inline(), Processes(2)], ids=["inline", "processes"])
def test_batches_and_their_items_are_tried_again_first(on: Executor) -> None:
    policy = Retry(2, on=ValueError, otherwise=DeadLetter(split=True))
    report = batches().map(splits.doubled, on=on, on_error=policy).into(list, on=Inline()).run()
    assert report.value == [[0, 2, 4], [8, 10, 12, 14], [24, 26, 28, 30], [32, 34]]
    # Two batches, and the five bad items in them.
    assert report.stages[-2].retried == 2 * (2 + 5)


def test_the_limit_is_of_single_items() -> None:
    pipeline = batches().map(splits.doubled, on=Threads(), on_error=DeadLetter(split=True, limit=3))
    with pytest.raises(
        TooManyFailuresError, match=r"(?s)more than 3 items, its limit.*\n  item 0\[3\]: .*item 2\[2\]: "
    ):
        list(pipeline)


def test_an_error_that_the_policy_does_not_cover_ends_the_run() -> None:
    pipeline = batches().map(splits.doubled, on=Threads(), on_error=DeadLetter(KeyError, split=True))
    with pytest.raises(StageError, match="raised ValueError on item 0"):
        list(pipeline)


def test_results_that_cannot_be_pickled_are_those_of_single_items() -> None:
    pipeline = batches().map(splits.with_locks, on=Processes(2), on_error=DeadLetter(split=True))
    with pipeline.unbatch().open() as run:
        assert list(run) == [2 * item for item in GOOD]
        assert places_of(run.dead_letters) == LETTERS


def test_results_that_make_no_batch_end_the_run() -> None:
    pipeline = batches().map(splits.counted, on=Threads(), on_error=DeadLetter(split=True))
    with pytest.raises(
        StageError, match=r"raised TypeError on item 0(?s:.)*split=True makes one batch .* they are: int"
    ):
        list(pipeline)


@pytest.mark.parametrize(
    "function,on,policy,error",
    [
        pytest.param(splits.endless, Processes(2), {"timeout": 0.3}, ItemTimeoutError, id="too long"),
        pytest.param(splits.endless_task, Tasks(2), {"timeout": 0.1}, ItemTimeoutError, id="too long, as a task"),
        # Three workers for the batch, and one for each bad item in it.
        pytest.param(splits.deadly, Processes(1, restarts=5), {}, WorkerLostError, id="deadly"),
    ],
)
def test_an_item_that_takes_too_long_or_kills_its_worker_is_found_in_its_batch(
    function: Any, on: Executor, policy: Any, error: type[BaseException]
) -> None:
    pipeline = Pipeline([[1, 2], [6, 8, 7, 9]]).map(function, on=on, on_error=DeadLetter(error, split=True), **policy)
    with pipeline.open() as run:
        assert list(run) == [[2, 4], [12, 14]]
        assert places_of(run.dead_letters) == [(8, 1, 1), (9, 1, 3)]
        assert {type(letter.error) for letter in run.dead_letters} == {error}
        # There is a policy already.
        assert not any("on_error=" in str(letter.error) for letter in run.dead_letters)

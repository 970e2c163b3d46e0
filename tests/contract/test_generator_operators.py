"""The generator stages of the library yield the same on every executor, and stop what is before them where they may."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from chainpump import Inline, Pipeline, Processes, Skip, StageError, Tasks, Threads, per_worker, source
from chainpump.plan import generator_stages
from contract import operations, stages
from contract.placings import FORKS, MOST, Placing
from support.gate import Gate, Journal

N = 200

OPERATORS: dict[str, tuple[Callable[..., Pipeline[Any]], list[Any]]] = {
    "skip": (lambda pipeline, on: pipeline.skip(150, on=on), list(range(150, N))),
    "skip_while": (lambda pipeline, on: pipeline.skip_while(lambda n: n < 150, on=on), list(range(150, N))),
    "take_while": (lambda pipeline, on: pipeline.take_while(lambda n: n < 50, on=on), list(range(50))),
    "enumerate": (lambda pipeline, on: pipeline.enumerate(7, on=on), [(n + 7, n) for n in range(N)]),
    "distinct": (lambda pipeline, on: pipeline.distinct(key=lambda n: n // 9, on=on), list(range(0, N, 9))),
    "distinct within": (lambda pipeline, on: pipeline.distinct(key=lambda n: n % 9, within=8, on=on), list(range(N))),
    "batch by": (
        lambda pipeline, on: pipeline.batch(by=lambda n: n % 10, most=11, on=on),
        list(generator_stages.batch_by(range(N), None, lambda n: n % 10, 11, None)),
    ),
    "group_by": (
        lambda pipeline, on: pipeline.group_by(lambda n: n // 9, most=5, on=on),
        list(generator_stages.group_by(range(N), lambda n: n // 9, 5)),
    ),
    "shuffle": (
        lambda pipeline, on: pipeline.shuffle(30, seed=3, on=on),
        list(generator_stages.shuffle(range(N), 30, 3)),
    ),
}


@pytest.mark.parametrize("placing", MOST)
def test_operators_yield_the_same_everywhere(placing: Placing) -> None:
    for name, (added, expected) in OPERATORS.items():
        pipeline = added(Pipeline(source(stages.numbers, N), on=placing.source), placing.stage)
        assert pipeline.into(stages.listed, on=placing.sink).run().value == expected, name


@pytest.mark.parametrize("on", [Threads(), Processes(), pytest.param(Processes(start_method="fork"), marks=FORKS)])
def test_operators_yield_all_with_one_item_in_flight(on: Any) -> None:
    pipeline = Pipeline(source(stages.numbers, N), on=Processes()).map(int, on=Threads(2))
    pipeline = pipeline.shuffle(10, seed=1, on=on, in_flight=1).distinct(on=on, in_flight=1).skip(1, on=on, in_flight=1)
    assert list(pipeline) == list(pipeline.inline())


@pytest.mark.parametrize("placing", MOST)
def test_take_while_stops_an_endless_source(placing: Placing) -> None:
    pipeline = Pipeline(source(stages.endless), on=placing.source).map(int, on=placing.stage)
    runnable = pipeline.take_while(lambda n: n < 250, on=placing.stage).into(stages.listed, on=placing.sink)
    assert runnable.run().value == list(range(250))


@pytest.mark.parametrize("placing", MOST)
def test_a_function_that_raises_is_blamed_with_its_item(placing: Placing) -> None:
    pipeline = Pipeline(source(stages.numbers, N), on=placing.source)
    for operator in (pipeline.take_while, pipeline.skip_while, pipeline.group_by, pipeline.tap):
        failing = operator(lambda n: 1 // (30 - n) or True, on=placing.stage, name="choose")
        with pytest.raises(StageError, match=r"^stage 'choose' .*raised ZeroDivisionError on item 30:") as caught:
            failing.into(stages.listed, on=placing.sink).run()
        assert caught.value.failures[0].item == "30"


@pytest.mark.parametrize("before", ["a source", "several workers"])
@pytest.mark.parametrize("on", [Threads(), Processes()], ids=["thread", "process"])
def test_a_light_batch_leaves_while_the_source_waits(before: str, on: Any, gate: Gate) -> None:
    pipeline = Pipeline(source(operations.pausing, gate, 5, 3), on=Processes())
    if before == "several workers":
        pipeline = pipeline.map(int, on=Threads(3))
    with pipeline.batch(by=lambda n: n, most=1_000, within=0.1, on=on).open() as run:
        batches = iter(run)
        early: list[int] = []
        while len(early) < 5:
            early += next(batches)
        gate.release()
        assert early + [value for batch in batches for value in batch] == list(range(8))


def test_several_workers_share_the_work_of_batches_by_weight() -> None:
    batches = list(Pipeline(range(N)).batch(by=lambda _: 1, most=7, on=Threads(2)))
    assert sorted(number for batch in batches for number in batch) == list(range(N))
    assert max(map(len, batches)) <= 7


@pytest.mark.parametrize("placing", MOST)
def test_tap_calls_its_function_for_each_item_and_passes_it_on(placing: Placing, journal: Journal) -> None:
    pipeline = Pipeline(source(stages.numbers, 20), on=placing.source)
    tapped = pipeline.tap(journal.write, on=placing.stage)
    assert tapped.into(stages.listed, on=placing.sink).run().value == list(range(20))
    assert [int(line) for line in journal.lines] == list(range(20))


@pytest.mark.parametrize("on", [Inline(), Threads(3), Processes(2)], ids=repr)
def test_an_item_that_tap_skips_does_not_go_on(on: Any) -> None:
    pipeline = Pipeline(range(N)).tap(lambda n: 1 // (n % 10), on=on, on_error=Skip(ZeroDivisionError))
    report = pipeline.into(stages.listed, on=Inline()).run()
    assert report.value == [n for n in range(N) if n % 10]
    assert report.stages[1].skipped == N // 10


def test_an_async_function_taps_on_tasks() -> None:
    seen: list[int] = []

    async def note(number: int) -> None:
        await asyncio.sleep(0)
        seen.append(number)

    assert list(Pipeline(range(N)).tap(note, on=Tasks(8))) == list(range(N)) == sorted(seen)


def test_each_worker_makes_its_own_function_of_a_tap(journal: Journal) -> None:
    def opened() -> Callable[[int], None]:
        journal.write("opened")
        return journal.write

    assert list(Pipeline(range(3)).tap(per_worker(opened), on=Processes())) == [0, 1, 2]
    assert journal.lines == ["opened", "0", "1", "2"]


def test_items_behind_a_tap_are_not_checked_against_the_result_of_its_function() -> None:
    pipeline = Pipeline(source(stages.numbers, 3), on=Inline()).tap(str, on=Inline())
    with pipeline.open(check_items=True) as run:
        assert list(run) == [0, 1, 2]


def test_without_a_seed_each_run_has_an_order_of_its_own_unless_the_run_has_a_seed() -> None:
    for on in (Threads(), Processes()):
        pipeline = Pipeline(range(100)).shuffle(100, on=on)
        assert list(pipeline) != list(pipeline)
    runnable = pipeline.into(stages.listed)
    assert runnable.run(seed=5).value == runnable.run(seed=5).value != runnable.run(seed=6).value

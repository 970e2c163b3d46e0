"""The generator stages of the library yield the same on every executor, and stop what is before them where they may."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chainpump import Pipeline, Processes, StageError, Threads, source
from contract import stages
from contract.placings import FORKS, MOST, Placing

N = 200

OPERATORS: dict[str, tuple[Callable[..., Pipeline[Any]], list[Any]]] = {
    "skip": (lambda pipeline, on: pipeline.skip(150, on=on), list(range(150, N))),
    "skip_while": (lambda pipeline, on: pipeline.skip_while(lambda n: n < 150, on=on), list(range(150, N))),
    "take_while": (lambda pipeline, on: pipeline.take_while(lambda n: n < 50, on=on), list(range(50))),
    "enumerate": (lambda pipeline, on: pipeline.enumerate(7, on=on), [(n + 7, n) for n in range(N)]),
    "distinct": (lambda pipeline, on: pipeline.distinct(key=lambda n: n // 9, on=on), list(range(0, N, 9))),
    "distinct within": (lambda pipeline, on: pipeline.distinct(key=lambda n: n % 9, within=8, on=on), list(range(N))),
    "shuffle": (
        lambda pipeline, on: pipeline.shuffle(30, seed=3, on=on),
        list(Pipeline(range(N)).shuffle(30, seed=3).inline()),
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
    for operator in (pipeline.take_while, pipeline.skip_while):
        failing = operator(lambda n: 1 // (30 - n) or True, on=placing.stage, name="choose")
        with pytest.raises(StageError, match=r"^stage 'choose' .*raised ZeroDivisionError on item 30:") as caught:
            failing.into(stages.listed, on=placing.sink).run()
        assert caught.value.failures[0].item == "30"


def test_without_a_seed_each_run_has_an_order_of_its_own_unless_the_run_has_a_seed() -> None:
    for on in (Threads(), Processes()):
        pipeline = Pipeline(range(100)).shuffle(100, on=on)
        assert list(pipeline) != list(pipeline)
    runnable = pipeline.into(stages.listed)
    assert runnable.run(seed=5).value == runnable.run(seed=5).value != runnable.run(seed=6).value

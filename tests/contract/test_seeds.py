"""Random numbers of workers: no two draw the same, and with a seed each draws the same again."""

import random
from collections.abc import Iterable, Iterator

import pytest

from chainpump import Pipeline, StageOptionError, sink, source, stage
from faults.places import FORKING, on

numpy = pytest.importorskip("numpy")


def nothing() -> Iterator[tuple[float, float]]:
    yield from ()


def drawing(items: Iterable[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    yield from items
    yield random.random(), float(numpy.random.random())


def drawn(place: str, seed: int | None) -> list[tuple[float, float]]:
    """What the source's neighbours draw, and the sink: two workers, and one behind them."""
    numbers = Pipeline(source(nothing), on=on("threads")).then(stage(drawing), on=on(place, 2))
    found = numbers.into(sink(collected), on=on(place)).run(seed=seed).value
    return [*sorted(found[:2]), *found[2:]]


def collected(items: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    return list(drawing(items))


@pytest.mark.parametrize("place", FORKING)
def test_no_two_workers_and_no_two_runs_draw_the_same_unless_they_have_the_same_seed(place):
    # A fork has this state, too.
    numpy.random.seed(0)
    random.seed(0)
    without = drawn(place, None), drawn(place, None)
    first, other, again = drawn(place, 1), drawn(place, 2), drawn(place, 1)
    assert first == again
    numbers = [number for pairs in (*without, first, other) for pair in pairs for number in pair]
    assert len(set(numbers)) == len(numbers) == 4 * 3 * 2


def test_spawned_workers_draw_the_same_again_with_the_same_seed():
    first, again = drawn("spawn", 1), drawn("spawn", 1)
    assert first == again
    assert len({number for pair in first for number in pair}) == 3 * 2


def test_parts_of_a_joined_pipeline_draw_different_numbers_and_the_same_again():
    part = Pipeline(source(nothing), on=on("threads")).then(stage(drawing), on=on("forkserver"))
    with Pipeline.concat(part, part).open(seed=1) as run:
        first = list(run)
    with Pipeline.concat(part, part).open(seed=1) as run:
        again = list(run)
    assert first == again
    assert first[0] != first[1]


def test_threads_share_the_generators_of_the_main_process():
    random.seed(5)
    expected = random.random()
    random.seed(5)
    found = list(Pipeline(source(nothing), on=on("threads")).then(stage(drawing), on=on("threads")).open(seed=1))
    assert found[0][0] == expected


@pytest.mark.parametrize("seed", [-1, 1.5, "1", True])
def test_a_seed_that_is_no_whole_number_is_refused_before_anything_starts(seed):
    with pytest.raises(StageOptionError, match="seed must be a whole number of at least 0"):
        Pipeline([1]).open(seed=seed)

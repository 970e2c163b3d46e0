"""`len(pipeline)` is the number of items that a run yields, or a TypeError names the stage that does not say it."""

from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainpump import DeadLetter, Inline, Pipeline, Processes, Retry, Skip, Threads, source

STEPS = {
    "map": lambda pipeline, _: pipeline.map(str),
    "tap": lambda pipeline, _: pipeline.tap(str),
    "batch": lambda pipeline, n: pipeline.batch(n),
    "window": lambda pipeline, n: pipeline.window(n),
    "wide": lambda pipeline, n: pipeline.window(3, step=n),
    "take": lambda pipeline, n: pipeline.take(n),
    "skip": lambda pipeline, n: pipeline.skip(n),
    "enumerate": lambda pipeline, _: pipeline.enumerate(),
    "shuffle": lambda pipeline, n: pipeline.shuffle(n, seed=1),
    "retry": lambda pipeline, _: pipeline.map(str, on_error=Retry(2)),
}


@settings(max_examples=40)
@given(st.integers(0, 12), st.lists(st.tuples(st.sampled_from(sorted(STEPS)), st.integers(1, 5)), max_size=5))
def test_length_is_that_of_the_items(items: int, steps: list[tuple[str, int]]) -> None:
    pipeline = Pipeline(range(items))
    for name, n in steps:
        pipeline = STEPS[name](pipeline, n)
    assert len(pipeline) == len(list(pipeline.inline()))


def test_length_of_joined_pipelines_is_the_sum() -> None:
    assert len(Pipeline.concat(Pipeline([1, 2]), Pipeline([3, 4, 5])).batch(2)) == 3
    assert len(Pipeline.merge(Pipeline([1]), Pipeline([3, 4, 5]))) == 4


@pytest.mark.parametrize(
    "pipeline, why",
    [
        (Pipeline(source(range, 3)), r"source 'range' does not say how many items it makes"),
        (Pipeline(count()).take(3), r"source 'count' does not say"),
        (Pipeline(range(3)).filter(bool), r"stage 'bool' is a filter, which makes any number"),
        (Pipeline(["a"]).flat_map(list), r"stage 'list' is a flat_map"),
        (Pipeline(range(3)).map(str, on_error=Skip()), r"stage 'str' may leave out items: on_error=Skip"),
        (Pipeline(range(3)).map(str, on_error=Retry(1, otherwise=DeadLetter())), r"may leave out items"),
        (Pipeline(["a"]).unbatch(), r"stage 'unbatch' may make any number of results"),
        (Pipeline(range(3)).batch(2, within=1.0), r"may make any number of results"),
        (Pipeline(range(3)).batch(2, on=Threads(2)), r"has several workers, which divide the items"),
        (Pipeline(range(3)).then(iter, on=Processes()), r"stage 'iter' may make any number of results"),
        (Pipeline(range(3)).distinct(), r"may make any number of results"),
    ],
    ids=lambda it: it if isinstance(it, str) else "",
)
def test_stage_that_does_not_say_it_is_named(pipeline: Pipeline[object], why: str) -> None:
    with pytest.raises(TypeError, match=rf"^this pipeline has no length: .*{why}"):
        len(pipeline)


def test_pipeline_is_true_and_listed_with_and_without_a_length() -> None:
    empty, unknown = Pipeline(()), Pipeline(range(3)).filter(bool, on=Inline())
    assert empty
    assert unknown
    assert (list(empty), list(unknown)) == ([], [1, 2])


def test_item_that_the_source_adds_meanwhile_counts_from_then_on() -> None:
    items = [1]
    pipeline = Pipeline(items).map(str, on=Inline())
    assert len(pipeline) == 1
    items.append(2)
    assert len(pipeline) == 2

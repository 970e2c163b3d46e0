"""Any pipeline, on any executors, gives what it gives inline."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainpump import Executor, Inline, Pipeline, Processes, RunError, Stage, Threads, source, stage
from property import chains
from support.scaling import ForcedScaling

# Python 3.12 and later warn of a fork beside threads, which the tests themselves have.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

# An example starts up to a dozen processes.
SOME = settings(max_examples=settings().max_examples // 5)

SMALL = st.integers(1, 5)
FEW = st.none() | SMALL
ONE_BY_ONE = (
    st.just(stage(chains.same))
    | st.builds(lambda divisor: stage(chains.kept, divisor), st.integers(2, 5))
    | st.builds(lambda times: stage(chains.expanded, times), st.integers(1, 3))
    | st.just(stage(chains.weighed))
)
ACROSS = (
    st.builds(lambda size: stage(chains.grouped, size), SMALL)
    | st.just(stage(chains.summed))
    | st.just(stage(chains.changes))
    | st.builds(lambda n: stage(chains.last, n), SMALL)
)
SINGLE = st.sampled_from([Processes(), Processes(start_method="fork"), Threads(), Inline(), Inline()])
SEVERAL = st.builds(
    lambda kind, workers: kind(workers), st.sampled_from([Processes, Threads]), st.integers(2, 3) | st.just("auto")
)
FAULTY = st.builds(stage, st.sampled_from([chains.failing, chains.hasty]), st.integers(0, 300))


@pytest.fixture(autouse=True, scope="module")
def workers_come_and_go() -> Iterator[None]:
    """Those of auto stages, by chance."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        ForcedScaling(monkeypatch).shuffle(seed=1)
        yield


class Link(NamedTuple):
    """One stage of a random chain."""

    call: Stage[Any, Any]
    on: Executor
    in_flight: int | None


SINGLES = st.lists(st.builds(Link, ONE_BY_ONE | ACROSS, SINGLE, FEW), max_size=4)
SHARED = st.lists(st.builds(Link, ONE_BY_ONE, SEVERAL, FEW), min_size=1, max_size=2)
LENGTHS = st.sampled_from([0, 1, 2, 10]) | st.integers(0, 2_000)


def chain(length: int, on: Executor, links: list[Link]) -> Pipeline[Any]:
    pipeline: Pipeline[Any] = Pipeline(source(range, length), on=on)
    for link in links:
        pipeline = pipeline.then(link.call, on=link.on, in_flight=link.in_flight)
    return pipeline


@SOME
@given(LENGTHS, SINGLE, SINGLES)
def test_one_worker_each_gives_the_same_items_in_the_same_order(length: int, on: Executor, links: list[Link]) -> None:
    pipeline = chain(length, on, links)
    assert list(pipeline) == list(pipeline.inline())


@SOME
@given(LENGTHS, SINGLE, SINGLES, SHARED)
def test_several_workers_give_the_same_items_in_any_order(
    length: int, on: Executor, links: list[Link], shared: list[Link]
) -> None:
    pipeline = chain(length, on, links + shared)
    assert Counter(map(repr, pipeline)) == Counter(map(repr, pipeline.inline()))


@SOME
@given(LENGTHS, SINGLE, SINGLES, SINGLE, FEW, st.sampled_from([0, 1, 2, 10, 500]))
def test_a_chain_that_stops_early_gives_the_same_first_items(
    length: int, on: Executor, links: list[Link], end: Executor, in_flight: int | None, n: int
) -> None:
    pipeline = chain(length, on, links).then(stage(chains.first, n), on=end, in_flight=in_flight, may_stop=True)
    assert list(pipeline) == list(pipeline.inline())


@SOME
@given(LENGTHS, SINGLE, SINGLES, SINGLE, FEW)
def test_a_sink_returns_the_same_value(
    length: int, on: Executor, links: list[Link], end: Executor, in_flight: int | None
) -> None:
    runnable = chain(length, on, links).into(chains.summed_up, on=end, in_flight=in_flight)
    assert runnable.run().value == runnable.inline().run().value


def outcome(pipeline: Pipeline[Any]) -> object:
    """The items, or who is to blame for what, and on which item."""
    try:
        return list(pipeline)
    except RunError as error:
        return type(error), error.stage, error.failures[0].index, repr(error.__cause__), len(error.failures)


@SOME
@given(LENGTHS, SINGLE, SINGLES, st.builds(Link, FAULTY, SINGLE, FEW), SINGLES)
def test_a_chain_that_fails_is_blamed_as_it_is_inline(
    length: int, on: Executor, before: list[Link], faulty: Link, behind: list[Link]
) -> None:
    pipeline = chain(length, on, [*before, faulty, *behind])
    assert outcome(pipeline) == outcome(pipeline.inline())

"""How many workers each auto stage is to have: figures in, decisions out, nothing runs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainpump.progress.scaling_rule import AT_ONCE, Decision, Pool, Trial, scale

# Processors.
MANY = 64


def auto(name: str, workers: int, busy: float, *, least: int = 1, most: int = 8) -> Pool:
    return Pool(name, workers, busy, least, most)


def fixed(name: str, workers: int, busy: float) -> Pool:
    return Pool(name, workers, busy, workers, workers)


@pytest.mark.parametrize(
    "pools,processors,demand,changes",
    [
        pytest.param(
            [fixed("source", 1, 0.1), auto("a", 1, 0.1), auto("b", 1, 1.0)],
            2,
            1.1,
            {2: 2},
            id="whose workers are busy all the time gets another one",
        ),
        pytest.param(
            [fixed("source", 1, 0.1), auto("a", 1, 0.95), auto("b", 1, 1.0)],
            2,
            1.95,
            {},
            id="what the run asks for is all the processors there are",
        ),
        pytest.param(
            [fixed("source", 1, 0.1), auto("a", 1, 0.95), auto("b", 1, 1.0)],
            MANY,
            1.95,
            {1: 2, 2: 2},
            id="two that hold each other up grow together",
        ),
        pytest.param(
            [fixed("source", 1, 0.1), auto("a", 1, 0.0), auto("b", 1, 1.0)],
            2,
            0.0,
            {2: 2},
            id="who only waits for something outside asks for no processor",
        ),
        pytest.param([fixed("source", 1, 1.0), auto("a", 1, 0.9)], MANY, 1.9, {}, id="the source is as fast as it is"),
        pytest.param(
            [fixed("source", 1, 0.8), auto("a", 1, 1.0)], MANY, 1.8, {1: 2}, id="the source could be a little faster"
        ),
        pytest.param([fixed("source", 1, 0.97), auto("a", 1, 1.0)], MANY, 2, {}, id="that is within the noise"),
        pytest.param(
            [fixed("source", 1, 0.1), auto("a", 1, 0.6)], MANY, 0.7, {}, id="whose workers wait needs no more of them"
        ),
        pytest.param([fixed("source", 1, 0.1), auto("a", 8, 8.0)], MANY, 8, {}, id="it has as many as it may have"),
        pytest.param(
            [fixed("source", 1, 0.01), auto("a", 2, 2.0), auto("b", 1, 0.2)],
            MANY,
            2.2,
            {1: 4},
            id="twice as many at one time, however many there is room for",
        ),
        pytest.param(
            [fixed("source", 1, 0.1), auto("a", 4, 4.0)], 6, 4.1, {1: 6}, id="up to the processors that are left"
        ),
        pytest.param([fixed("source", 1, 1.0), auto("a", 4, 1.2)], MANY, 2.2, {1: 2}, id="idle ones are taken back"),
        pytest.param(
            [fixed("source", 1, 1.0), auto("a", 2, 0.9)], MANY, 1.9, {}, id="not one that may be wanted again at once"
        ),
        pytest.param([fixed("source", 1, 1.0), auto("a", 4, 0.0)], MANY, 1, {1: 1}, id="the last one stays"),
        pytest.param(
            [fixed("source", 1, 1.0), auto("a", 4, 0.5, least=3)], MANY, 1, {1: 3}, id="no more than may be taken back"
        ),
        pytest.param([fixed("source", 1, 1.0), fixed("a", 4, 0.1)], MANY, 1, {}, id="who was asked for stays"),
        pytest.param(
            [fixed("source", 1, 0.1), auto("a", 3, 0.5), auto("b", 1, 1.0)],
            2,
            1.6,
            {1: 1, 2: 2},
            id="one is taken back while another is given",
        ),
        pytest.param([], 2, 0.0, {}, id="nobody is there yet"),
    ],
)
def test_workers_go_where_the_others_are_held_up(
    pools: list[Pool], processors: int, demand: float, changes: dict[int, int]
) -> None:
    _, found = scale(pools, processors, demand)
    assert {place: workers for place, (workers, _) in found.items()} == changes


@pytest.mark.parametrize(
    "pools,processors,demand,reason",
    [
        (
            [fixed("source", 1, 0.1), auto("a", 1, 1.0)],
            2,
            1.11,
            "busy 100% of the time on 1: 1.80 times the rate, 2 processors / 1.11 asked for, is work for 1.80",
        ),
        (
            [fixed("source", 1, 0.75), auto("a", 2, 1.9)],
            MANY,
            2.7,
            "busy 95% of the time on 2: 1.33 times the rate, 1 of 'source' / 0.75 busy, is work for 2.53",
        ),
        (
            [fixed("source", 1, 0.1), auto("a", 1, 0.9)],
            MANY,
            1.0,
            "busy 90% of the time on 1: 2.00 times the rate, the most at one time, is work for 1.80",
        ),
        ([fixed("source", 1, 1.0), auto("a", 4, 0.5)], MANY, 2, "busy 12% of the time on 4: work for 0.50"),
    ],
)
def test_the_reason_has_the_arithmetic(pools: list[Pool], processors: int, demand: float, reason: str) -> None:
    _, found = scale(pools, processors, demand)
    assert [told for _, told in found.values()] == [reason]


pools = st.builds(
    lambda workers, load, fewer, more: Pool("a", workers, workers * load, max(workers - fewer, 1), workers + more),
    st.integers(1, 20),
    st.floats(0, 1),
    st.integers(0, 20),
    st.integers(0, 20),
)


@given(st.lists(pools, max_size=6), st.integers(1, 64), st.floats(0, 64))
def test_no_pool_gets_more_than_it_may_have_or_than_twice_its_work(
    pools: list[Pool], processors: int, demand: float
) -> None:
    room, changes = scale(pools, processors, demand)
    assert 1 <= room <= AT_ONCE
    for place, (workers, _) in changes.items():
        assert pools[place].least <= workers <= pools[place].most
        assert workers < pools[place].workers or workers - 1 < AT_ONCE * pools[place].busy


@given(st.lists(pools, max_size=6), st.integers(1, 64), st.floats(0, 64))
def test_what_was_decided_is_not_undone_by_the_same_figures(pools: list[Pool], processors: int, demand: float) -> None:
    """With as much more work as was hoped for, the new pools keep who they have got."""
    room, changes = scale(pools, processors, demand)
    then = [
        Pool(pool.name, workers := changes.get(place, (pool.workers,))[0], min(pool.busy * room, workers), 1, workers)
        for place, pool in enumerate(pools)
    ]
    _, again = scale(then, processors, demand * room)
    assert not again.keys() & {place for place, (workers, _) in changes.items() if workers > pools[place].workers}


@pytest.mark.parametrize(
    "rate,demand,is_failure",
    [
        pytest.param(180, 1.8, False, id="as was hoped for"),
        pytest.param(121, 1.0, False, id="a quarter of it"),
        pytest.param(101, 1.02, True, id="next to nothing: they take turns"),
        pytest.param(70, 1.0, True, id="less than before"),
        pytest.param(90, 1.3, False, id="they do what they can on a machine that others use, too"),
    ],
)
def test_workers_that_bring_nothing_have_failed(rate: float, demand: float, is_failure: bool) -> None:
    failure = Trial(before=1, after=2, rate=100, demand=1.0, room=1.8).failure(rate, demand)
    assert (failure is not None) is is_failure


def test_the_failure_of_a_trial_has_its_figures() -> None:
    told = Trial(before=1, after=2, rate=100, demand=1.0, room=1.8).failure(99.04, 1.0)
    assert told == "the rate went from 100/s to 99.04/s, where 1.80 times as much was hoped for"


def test_a_decision_is_one_line() -> None:
    line = str(Decision(0.25, "decode", 1, 2, "busy 100% of the time on 1: ..."))
    assert line == "0.25 s: 'decode' 1 -> 2, busy 100% of the time on 1: ..."

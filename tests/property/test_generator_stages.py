"""Each generator stage of the library yields what its plain definition says, for any input."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain, dropwhile, groupby, islice, takewhile
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainpump.plan.bound import Stage
from chainpump.plan.generator_stages import (
    batch,
    batch_by,
    continued,
    distinct,
    group_by,
    numbered,
    shuffle,
    skip,
    skip_while,
    take,
    take_while,
    unbatch,
    window,
)
from chainpump.plan.sequence_stages import by_sequences

NUMBERS = st.lists(st.integers(0, 9), max_size=40)
COUNTS = st.integers(0, 12)
SIZES = st.integers(1, 12)


def is_small(number: int) -> bool:
    return number < 5


def third(number: int) -> int:
    return number // 3


@given(st.lists(NUMBERS, max_size=6), COUNTS, st.sampled_from([take, skip, numbered]))
def test_a_stage_yields_the_same_from_sequences(parts: list[list[int]], n: int, function: Any) -> None:
    call = Stage(function, (n,))
    made = by_sequences(call)
    assert made is not None
    found = list(chain.from_iterable(made(iter(parts), *call.args)))
    assert found == list(call.call(iter(list(chain.from_iterable(parts)))))


@given(st.lists(st.lists(st.one_of(NUMBERS, NUMBERS.map(tuple)), max_size=4), max_size=4))
def test_unbatch_yields_the_same_from_sequences(parts: list[list[Any]]) -> None:
    made = by_sequences(Stage(unbatch))
    assert made is not None
    assert list(chain.from_iterable(made(iter(parts)))) == list(chain.from_iterable(chain.from_iterable(parts)))


@given(NUMBERS, COUNTS)
def test_skip_drops_the_first_items(items: list[int], n: int) -> None:
    assert list(skip(items, n)) == items[n:]


@given(NUMBERS)
def test_skip_while_and_take_while_part_the_items_at_the_same_one(items: list[int]) -> None:
    taken, skipped = list(take_while(items, is_small)), list(skip_while(items, is_small))
    assert (taken, skipped) == (list(takewhile(is_small, items)), list(dropwhile(is_small, items)))
    assert taken + skipped == items


@given(NUMBERS)
def test_take_while_requests_nothing_after_the_first_false(items: list[int]) -> None:
    rest = iter(items)
    taken = list(take_while(rest, is_small))
    assert list(rest) == items[len(taken) + 1 :]


@pytest.mark.parametrize("stage", [take_while, skip_while])
def test_a_function_that_raises_stop_iteration_ends_no_stage_in_silence(stage: Callable[..., object]) -> None:
    with pytest.raises(RuntimeError, match="StopIteration"):
        list(stage([1, 2], lambda _: next(iter(()))))  # type: ignore[call-overload]  # any stage


@given(NUMBERS, st.integers())
def test_numbered_is_enumerate(items: list[int], start: int) -> None:
    assert list(numbered(items, start)) == list(enumerate(items, start))


@given(NUMBERS, SIZES, st.integers(0) | st.none())
def test_shuffle_keeps_all_items_and_no_item_comes_much_earlier(
    items: list[int], buffer: int, seed: int | None
) -> None:
    places = list(shuffle(range(len(items)), buffer, seed))
    assert sorted(places) == list(range(len(items)))
    assert all(place - at < buffer for at, place in enumerate(places))


@given(NUMBERS, SIZES, st.integers(0))
def test_the_same_seed_shuffles_the_same_way(items: list[int], buffer: int, seed: int) -> None:
    assert list(shuffle(items, buffer, seed)) == list(shuffle(iter(items), buffer, seed))


def test_a_buffer_of_all_items_makes_every_order() -> None:
    assert len({tuple(shuffle("abc", 3, seed)) for seed in range(100)}) == 6


def test_the_order_of_a_seed_stays_as_it_is() -> None:
    """In later versions too: a program may have recorded the seed of a result."""
    assert "".join(shuffle("abcdefghij", 4, 7)) == "bacefdgijh"


@given(NUMBERS)
def test_distinct_keeps_the_first_of_each(items: list[int]) -> None:
    assert list(distinct(items, None, None)) == list(dict.fromkeys(items))
    assert list(distinct(items, third, None)) == [
        item for at, item in enumerate(items) if third(item) not in map(third, items[:at])
    ]


def last_keys(items: list[int], count: int) -> set[int]:
    """The keys that came last, by a walk from the end."""
    found: dict[int, None] = {}
    for item in reversed(items):
        if len(found) < count:
            found[third(item)] = None
    return set(found)


@given(NUMBERS, st.integers(1, 4))
def test_distinct_within_some_keys_drops_what_is_among_the_last_of_them(items: list[int], within: int) -> None:
    expected = [item for at, item in enumerate(items) if third(item) not in last_keys(items[:at], within)]
    assert list(distinct(items, third, within)) == expected


@given(NUMBERS)
def test_group_by_groups_neighbours(items: list[int]) -> None:
    assert list(group_by(items, third, None)) == [(key, list(group)) for key, group in groupby(items, third)]


@given(NUMBERS, st.integers(1, 4))
def test_group_by_of_at_most_some_items_parts_long_groups(items: list[int], most: int) -> None:
    expected = [
        (key, whole[at : at + most]) for key, whole in group_by(items, third, None) for at in range(0, len(whole), most)
    ]
    assert list(group_by(items, third, most)) == expected


@given(NUMBERS, st.none() | st.integers(1, 5), st.integers(1, 20))
def test_each_batch_by_weight_is_as_long_as_it_may_be(items: list[int], n: int | None, most: int) -> None:
    batches = list(batch_by(items, n, float, most, None))
    assert list(chain(*batches)) == items
    for made in batches:
        assert 1 <= len(made) <= (n or len(items))
        assert sum(made) <= most or len(made) == 1
    for made, following in zip(batches, islice(batches, 1, None), strict=False):
        assert len(made) == n or sum(made) == most or sum(made) + following[0] > most


@given(NUMBERS, SIZES)
def test_a_batch_whose_items_weigh_1_is_a_batch_of_n(items: list[int], n: int) -> None:
    assert list(batch_by(items, None, lambda _: 1, n, None)) == list(batch(items, n))


@pytest.mark.parametrize("weight", [-1, float("nan")])
def test_a_weight_is_not_below_nothing(weight: float) -> None:
    with pytest.raises(ValueError, match=f"^by= must return a number of at least 0 but returned: {weight}$"):
        list(batch_by([1], None, lambda _: weight, 1, None))


def halves(number: int) -> list[int]:
    return list(range(number // 2))


@given(
    NUMBERS,
    st.sampled_from([Stage(batch, (3,)), Stage(unbatch), Stage(take_while, (is_small,)), Stage(numbered, (7,))])
    | st.builds(lambda function, n: Stage(function, (n,)), st.sampled_from([take, skip]), COUNTS),
)
def test_a_stage_goes_on_where_it_requests_an_item_directly_after_a_result(
    items: list[int], stage: Stage[Any, Any]
) -> None:
    given = [halves(item) for item in items] if stage.function is unbatch else items
    results: list[Any] = []
    # How many results there were, and how many items had been taken.
    moments: list[tuple[int, int]] = []

    def requested() -> Iterator[Any]:
        before = 0
        for taken, item in enumerate(given):
            if len(results) > before:
                moments.append((len(results), taken))
            before = len(results)
            yield item

    for result in stage.call(requested()):
        # A list of all of them would be made only at the end.
        results.append(result)  # noqa: PERF402
    for made, taken in moments:
        going_on = continued(stage, made)
        assert going_on is not None
        assert list(going_on.call(iter(given[taken:]))) == results[made:]


def test_stages_that_remember_items_do_not_go_on_in_the_middle() -> None:
    assert continued(Stage(distinct, (None, None)), 1) is None


class Item:
    """Something to which a weak reference can refer."""

    def __iter__(self) -> Iterator[Any]:
        yield 1


def watched(count: int) -> Iterator[Item]:
    """Items, each of which is gone by the time that the next one is requested."""
    for _ in range(count):
        made = [Item()]
        item = weakref.ref(made[0])
        yield made.pop()
        assert item() is None


STAGES: dict[str, Callable[[Iterable[Any]], Iterable[Any]]] = {
    "batch": partial(batch, n=1),
    "batch_by": partial(batch_by, n=1, by=id, most=1, within=None),
    "distinct": partial(distinct, key=id, within=1),
    "distinct, a repeated key": partial(distinct, key=type, within=None),
    "group_by": partial(group_by, key=type, most=1),
    "numbered": partial(numbered, start=0),
    "shuffle": partial(shuffle, buffer=1, seed=None),
    "skip": partial(skip, n=2),
    "skip_while": partial(skip_while, function=lambda _: False),
    "skip_while, all of them": partial(skip_while, function=bool),
    "take": partial(take, n=3),
    "take_while": partial(take_while, function=bool),
    "unbatch": unbatch,
    "window": partial(window, n=1, step=2),
}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_that_waits_holds_no_item_that_it_does_not_need(stage: str) -> None:
    for made in STAGES[stage](watched(5)):
        del made

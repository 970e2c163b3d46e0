"""A run that is left at any moment and goes on from its position gives each result as a run in one go."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chainpump import Pipeline, Threads
from chainpump.worker import checkpoint_input
from property.chains import weight

ON = Threads(1)
Step: TypeAlias = Callable[[Pipeline[Any]], Pipeline[Any]]


def several(item: Any) -> list[Any]:
    """None, one or two of an item."""
    return [item] * (weight(item) % 3)


def lists(item: Any) -> list[Any]:
    """What `unbatch` takes apart."""
    return [item, weight(item)][: weight(item) % 3]


def totals(items: Iterable[Any]) -> Iterator[Any]:
    """A generator stage of a user, with a state."""
    total = 0
    for item in items:
        total += weight(item)
        if total % 4:
            yield [total, item]


def is_kept(item: Any) -> bool:
    return weight(item) % 5 != 1


ITEM_BY_ITEM: list[Step] = [
    lambda chain: chain.map(weight, on=ON),
    lambda chain: chain.filter(is_kept, on=ON),
    lambda chain: chain.map(weight, on=Threads(2)),
]
STEPS: list[Step] = [
    *ITEM_BY_ITEM,
    lambda chain: chain.flat_map(several, on=ON),
    lambda chain: chain.batch(3, on=ON),
    lambda chain: chain.batch(1, on=ON),
    lambda chain: chain.map(lists, on=ON).unbatch(on=ON),
    lambda chain: chain.batch(4, on=ON).unbatch(on=ON),
    lambda chain: chain.then(totals, on=ON),
    lambda chain: chain.enumerate(on=ON),
    lambda chain: chain.skip(3, on=ON).take(30, on=ON),
]


# An item of which `flat_map` has made several is done as a whole. So there is a generator stage behind each.
@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    front=st.lists(st.sampled_from(STEPS), max_size=4),
    end=st.lists(st.sampled_from(ITEM_BY_ITEM), max_size=2),
    data=st.data(),
)
def test_results_of_runs_that_go_on_are_those_of_one_run(
    front: list[Step], end: list[Step], data: st.DataObject, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As many checkpoints as there can be.
    monkeypatch.setattr(checkpoint_input, "EVERY_NS", 0)
    chain: Pipeline[Any] = Pipeline(range(40))
    for step in (*front, lambda made: made.batch(2, on=ON), *end):
        chain = step(chain)
    whole = list(chain)
    seen: list[Any] = []
    position, is_over = "", False
    while not is_over:
        most = data.draw(st.integers(1, 15))
        is_over = True
        with chain.open(start=position) as run:
            for count, item in enumerate(run, start=1):
                seen.append(item)
                if count == most:
                    position = run.position
                    is_over = False
                    break
    assert seen == whole

"""What stands between a source and its output asks no iterator again that has ended."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from itertools import pairwise
from typing import Any

import pytest

from chainpump.durable.notes import unheard
from chainpump.durable.ranges import Ranges
from chainpump.durable.samples import Sampler
from chainpump.worker.limited_items import limited
from chainpump.worker.resumed_origin import first_of, without
from chainpump.worker.sampled_items import sampled
from contract.stages import EndsOnce


def beyond(number: int) -> int:
    return number + 3


@pytest.mark.parametrize(
    "passed",
    [
        pytest.param(partial(limited, beyond=beyond), id="limited"),
        pytest.param(partial(first_of, count=100), id="the first"),
        pytest.param(partial(without, left_out=Ranges([(20, 30)])), id="without those behind the end"),
        pytest.param(partial(without, left_out=Ranges([(5, 30)])), id="without the end"),
        pytest.param(lambda items: sampled(items, Sampler((), 0, unheard)), id="sampled"),
    ],
)
def test_an_iterator_that_has_ended_is_not_asked_again(passed: Callable[[Iterable[Any]], Iterable[Any]]) -> None:
    found = list(passed(EndsOnce(range(10))))
    assert found[:5] == [0, 1, 2, 3, 4]
    assert all(first < second for first, second in pairwise(found))

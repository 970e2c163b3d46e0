"""Which stages can be recycled, and which options are refused as the pipeline is built."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from chainpump import Pipeline, Processes, StageOptionError, sink, source, stage

RECYCLED = Processes(recycle_after=3)


def numbers(n: int) -> Iterator[int]:
    yield from range(n)


def same(items: Iterable[int]) -> Iterator[int]:
    yield from items


def total(items: Iterable[int]) -> int:
    return sum(items)


def ignore(item: int) -> None:
    pass


ADVICE = """
  Leave out recycle_after= and recycle_above=. Workers of .map(), .filter(), .flat_map(), .each() and of
  generator stages can be recycled."""


@pytest.mark.parametrize(
    "build, text",
    [
        pytest.param(
            lambda: Pipeline(source(numbers, 3), on=RECYCLED),
            "source 'numbers' cannot run on {on}: a fresh worker would make all items again, from the first one.",
            id="source",
        ),
        pytest.param(
            lambda: Pipeline(range(3)).into(sink(total), on=RECYCLED),
            "sink 'total' cannot run on {on}: each worker would return a value of its own, of a part of the items.",
            id="sink",
        ),
        pytest.param(
            lambda: Pipeline(range(3)).take(2, on=RECYCLED),
            "stage 'take(2)' cannot run on {on}: each worker would take 2 items.",
            id="take",
        ),
        pytest.param(
            lambda: Pipeline(source(numbers, 3)).map(abs).plan(on=RECYCLED),
            "source 'numbers' cannot run on {on}: a fresh worker would make all items again, from the first one.",
            id="placed afterwards",
        ),
    ],
)
def test_stages_that_a_fresh_worker_cannot_go_on_with_are_refused(build: Callable[[], Any], text: str) -> None:
    with pytest.raises(StageOptionError) as caught:
        build()
    assert (
        str(caught.value) == text.format(on="Processes(workers=1, start_method='forkserver', recycle_after=3)") + ADVICE
    )


def test_element_wise_stages_and_generator_stages_can_be_recycled() -> None:
    pipeline = Pipeline(range(3)).map(abs, on=RECYCLED).then(stage(same), on=RECYCLED).each(ignore, on=RECYCLED)
    assert [each.on for each in pipeline.plan().stages[1:]] == [RECYCLED] * 3


@pytest.mark.parametrize("option", ["recycle_after", "recycle_above"])
@pytest.mark.parametrize("value", [0, -1, 1.5, True, "300 MB"])
def test_a_share_is_a_positive_whole_number(option: str, value: Any) -> None:
    with pytest.raises(StageOptionError) as caught:
        Processes(2, **{option: value})
    assert str(caught.value) == f"Processes: {option} must be a whole number of at least 1 but got: {value!r}."


def test_the_options_are_in_the_text_of_the_executor() -> None:
    on = Processes(2, recycle_after=100, recycle_above=300_000_000)
    assert repr(on) == ("Processes(workers=2, start_method='forkserver', recycle_after=100, recycle_above=300000000)")

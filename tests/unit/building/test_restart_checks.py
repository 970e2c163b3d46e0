"""Where workers cannot have successors, or an item no time limit: refused as the pipeline is built."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import pytest

from chainpump import Inline, Pipeline, Processes, StageOptionError, Threads, sink, source, stage

RENEWED = Processes(2, restarts=3)
RENEWED_TEXT = "Processes(workers=2, start_method='forkserver', restarts=3)"


def numbers(n: int) -> Iterator[int]:
    yield from range(n)


def same(items: Iterable[int]) -> Iterator[int]:
    yield from items


def total(items: Iterable[int]) -> int:
    return sum(items)


def plus_one(item: int) -> int:
    return item + 1


def is_odd(item: int) -> bool:
    return item % 2 == 1


def twice(item: int) -> list[int]:
    return [item, item]


def ignore(item: int) -> None:
    pass


def refused(build: Callable[[], Any]) -> str:
    with pytest.raises(StageOptionError) as caught:
        build()
    return str(caught.value)


@pytest.mark.parametrize(
    "build,label",
    [
        pytest.param(lambda: Pipeline(range(3)).then(stage(same), on=RENEWED), "stage 'same'", id="stage"),
        pytest.param(lambda: Pipeline(range(3)).into(sink(total), on=RENEWED), "sink 'total'", id="sink"),
        pytest.param(
            lambda: Pipeline(range(3)).then(stage(same)).plan(on=RENEWED), "stage 'same'", id="placed afterwards"
        ),
    ],
)
def test_stage_that_has_a_state_cannot_have_successors(build: Callable[[], Any], label: str) -> None:
    assert refused(build) == (
        f"{label} cannot run on {RENEWED_TEXT}: a generator that has died has lost its state.\n"
        "  Only the workers of .map(), .filter(), .flat_map(), .tap() and .each() can be replaced."
    )


def test_items_numbered_by_several_workers_cannot_be_told_apart() -> None:
    pipeline = Pipeline(range(3)).then(stage(same), on=Processes(2))
    assert refused(lambda: pipeline.map(plus_one, on=RENEWED)) == (
        f"stage 'plus_one' cannot run on {RENEWED_TEXT} behind 'same', of several workers.\n"
        "  Only where one worker numbers the items is it known which of them have gone on already."
    )


@pytest.mark.parametrize("options", [{"on": RENEWED}, {"timeout": 3}], ids=["restarts", "timeout"])
@pytest.mark.parametrize(
    "build,label",
    [
        pytest.param(lambda p: p.map(plus_one, in_flight=4, name="next"), "stage 'next'", id="element-wise"),
        pytest.param(lambda p: p.each(ignore, in_flight=4, name="next"), "sink 'next'", id="element-wise sink"),
        pytest.param(
            lambda p: p.then(same, on=Threads(2), in_flight=4, name="next"), "stage 'next'", id="several workers"
        ),
    ],
)
def test_credits_cannot_bound_what_comes_from_workers_that_are_replaced(
    build: Callable[[Any], Any], label: str, options: dict[str, Any]
) -> None:
    pipeline = Pipeline(range(3)).map(plus_one, **options)
    assert refused(lambda: build(pipeline)) == (
        f"{label} behind 'plus_one', whose workers are replaced when they die, cannot have in_flight=4: "
        "they would take their credits with them.\n"
        "  Leave it out, or put .then() with one worker before it and give in_flight= to that."
    )


def test_credits_of_several_sources_cannot_bound_what_comes_from_workers_that_are_replaced() -> None:
    pipeline = Pipeline(range(3)).then(same, on=Threads(2)).map(plus_one, timeout=3)
    assert "they would take their credits with them" in refused(lambda: pipeline.then(same, in_flight=4))


@pytest.mark.parametrize(
    "build,label",
    [
        pytest.param(lambda p: p.then(stage(same), on=Processes(2)), "stage 'same'", id="stage"),
        pytest.param(lambda p: p.into(sink(total), on=Threads(2)), "sink 'total'", id="sink"),
    ],
)
def test_several_workers_cannot_drop_what_comes_twice(build: Callable[[Any], Any], label: str) -> None:
    pipeline = Pipeline(range(3)).map(plus_one, on=RENEWED)
    on = "Processes(workers=2, start_method='forkserver')" if "stage" in label else "Threads(workers=2)"
    assert refused(lambda: build(pipeline)) == (
        f"{label} behind 'plus_one', whose workers are replaced when they die, cannot run on {on}: "
        "it has several workers.\n  Only one that takes all items can drop what comes twice."
    )


@pytest.mark.parametrize(
    "build",
    [
        lambda p: p.map(plus_one, on=RENEWED),
        lambda p: p.filter(is_odd, on=RENEWED),
        lambda p: p.flat_map(twice, on=RENEWED),
        lambda p: p.each(ignore, on=RENEWED),
        lambda p: p.map(plus_one, on=RENEWED).map(plus_one, on=Processes(3)).then(same, on=Processes(1)),
        lambda p: p.map(plus_one, on=RENEWED).then(same, on=Processes(1)).then(same, on=Processes(2)),
        lambda p: p.map(plus_one, on=RENEWED).then(same, on=Processes(1)).map(plus_one, in_flight=3),
        lambda p: p.map(plus_one, on=RENEWED).then(same, on=Processes(1), in_flight=3),
        lambda p: p.map(plus_one, timeout=3, ordered=False).into(sink(total), on=Inline(), in_flight=3),
        lambda p: p.map(plus_one, on=RENEWED).filter(is_odd, on=Threads(2)).into(sink(total), on=Inline()),
        lambda p: p.map(plus_one, on=Processes(2), timeout=3).then(same, on=Processes(2)),
    ],
)
def test_workers_of_element_wise_stages_may_have_successors(build: Callable[[Any], Any]) -> None:
    build(Pipeline(source(numbers, 3))).plan()


@pytest.mark.parametrize("restarts", [-1, 1.5, True, "3", None])
def test_restarts_are_a_whole_number(restarts: Any) -> None:
    assert refused(lambda: Processes(restarts=restarts)) == (
        f"Processes: restarts must be a whole number of at least 0 but got: {restarts!r}."
    )


# ---------------------------------------------------------------------------------------------------------- timeout


@pytest.mark.parametrize("on", [Threads(2), Inline()], ids=repr)
def test_thread_cannot_be_stopped_in_the_middle_of_a_call(on: Any) -> None:
    assert refused(lambda: Pipeline(range(3)).map(plus_one, on=on, timeout=3)) == (
        f"stage 'plus_one': timeout= cannot work on {on!r}: a thread cannot be stopped in the middle of a call.\n"
        "  Run it on Processes, where the worker is replaced, or as an async function on Tasks."
    )


@pytest.mark.parametrize("timeout", [0, -1, 0.0005, float("nan"), float("inf"), True, "3"])
@pytest.mark.parametrize(
    "method,function", [("map", plus_one), ("filter", is_odd), ("flat_map", twice), ("each", ignore)]
)
def test_timeout_is_a_number_of_seconds(method: str, function: Callable[..., Any], timeout: Any) -> None:
    build = partial(getattr(Pipeline(range(3)), method), function, timeout=timeout)
    assert refused(build) == (
        f"stage '{function.__name__}': timeout must be a number of seconds of at least 0.001 but got: {timeout!r}."
    )

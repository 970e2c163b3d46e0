"""With `check_items=True` the first item that is not what its stage says ends the run, and blames that stage."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any, TypedDict

import pytest

from chainpump import (
    Inline,
    ItemTypeError,
    Pipeline,
    Processes,
    Retry,
    Skip,
    StageOptionError,
    Tasks,
    Threads,
    sink,
    source,
    stage,
)

HERE = Inline()
EVERYWHERE = pytest.mark.parametrize("on", [Processes(), Threads(), Inline()], ids=repr)


class Row(TypedDict):
    name: str
    size: int


def numbers(n: int) -> Iterator[int]:
    yield from range(n)


def rows(n: int, wrong_at: int) -> Iterator[list[Row]]:
    for place in range(n):
        size: Any = "large" if place == wrong_at else place
        yield [{"name": "first", "size": 1}, {"name": "second", "size": size}]


def halves(items: Iterable[int]) -> Iterator[int]:
    for item in items:
        yield item / 2 if item == 3 else item // 2  # type: ignore[misc]  # that is the point


def half(number: int) -> int:
    return number / 2 if number == 3 else number // 2  # type: ignore[return-value]  # that is the point


def digits(number: int) -> list[int]:
    return list(str(number)) if number == 3 else [number]  # type: ignore[arg-type, return-value]  # that is the point


async def half_later(number: int) -> int:
    await asyncio.sleep(0)
    return half(number)


async def digits_later(number: int) -> AsyncIterator[int]:
    for digit in digits(number):
        yield digit


async def numbers_later() -> AsyncIterator[int]:
    yield 1
    yield "2"  # type: ignore[misc]  # that is the point


def error_of(pipeline: Pipeline[Any], on: Any = HERE) -> ItemTypeError:
    with pytest.raises(ItemTypeError) as caught:
        pipeline.into(sink(list), on=on).run(check_items=True)
    return caught.value


@EVERYWHERE
def test_a_source_is_blamed_down_to_the_element(on: Any) -> None:
    error = error_of(Pipeline(source(rows, 9, wrong_at=4), on=on), on)
    head, says, yielded, place = str(error).splitlines()
    assert re.match(
        r"source 'rows' \(worker 1 of 1, pid \d+\) yielded something else than it declares on item 4:", head
    )
    assert says == "  declared   list[Row]"
    assert yielded == "  yielded    value of key 'size' of item 1 of list is not an instance of int"
    assert place.startswith("  rows is defined at ")
    assert isinstance(error, TypeError)
    assert error.stage == "rows"


@EVERYWHERE
def test_a_generator_stage_is_blamed_and_not_the_one_behind_it(on: Any) -> None:
    error = error_of(Pipeline(source(numbers, 9), on=on).then(halves, on=on).then(halves, on=on, name="next"), on)
    assert error.stage == "halves"
    assert error.failures[0].index == 3


@EVERYWHERE
@pytest.mark.parametrize("policy", [Skip(), Retry(3, otherwise=Skip())], ids=repr)
def test_a_function_of_one_item_is_blamed_with_the_item_whatever_its_policy(on: Any, policy: Any) -> None:
    for method, function in (("map", half), ("flat_map", digits)):
        pipeline = getattr(Pipeline(source(numbers, 9), on=on), method)(function, on=on, on_error=policy)
        error = error_of(pipeline, on)
        assert (error.stage, error.failures[0].index) == (function.__name__, 3)


@pytest.mark.parametrize("function", [half_later, digits_later])
def test_async_functions_are_looked_at_too(function: Any) -> None:
    method = "map" if function is half_later else "flat_map"
    assert error_of(getattr(Pipeline(range(9)), method)(function, on=Tasks(3))).failures[0].index == 3


def test_an_async_source_is_looked_at_too() -> None:
    assert error_of(Pipeline(source(numbers_later), on=Tasks())).failures[0].index == 1


def test_parts_of_a_joined_pipeline_are_looked_at() -> None:
    joined = Pipeline.concat(Pipeline(source(numbers, 3)).map(half), Pipeline(source(numbers, 9)).map(half, name="b"))
    assert error_of(joined).stage == "b"


@EVERYWHERE
def test_a_run_whose_items_are_right_gives_what_it_always_gives(on: Any) -> None:
    pipeline = (
        Pipeline(source(numbers, 1000), on=on)
        .map(lambda number: number + 1, on=on)
        .filter(lambda number: number % 2, on=on)
        .flat_map(lambda number: [number], returns=list[int], on=on)
        .batch(7, on=on)
        .unbatch(on=on)
        .window(2, on=on)
        .map(min, on=on)
        .then(stage(enumerate), on=on)
        .take(100, on=on)
    )
    with pipeline.open(check_items=True) as run:
        found = list(run)
    assert found == list(pipeline)
    assert len(found) == 100


def test_the_async_run_takes_it_too() -> None:
    with pytest.raises(ItemTypeError):
        asyncio.run(Pipeline(range(9)).map(half, on=Inline()).into(sum, on=Inline()).run_async(check_items=True))


def test_nothing_is_looked_at_unless_asked_for() -> None:
    assert Pipeline(range(4)).map(half, on=Inline()).into(list, on=Inline()).run().value == [0, 0, 1, 1.5]


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "typeguard", None)
    with pytest.raises(
        StageOptionError, match=r"needs typeguard 4.4 or newer, .*\n  Run: pip install 'chainpump\[check\]'$"
    ):
        Pipeline(range(3)).into(sum).run(check_items=True)

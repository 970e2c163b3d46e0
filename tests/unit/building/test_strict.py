"""A strict pipeline knows the type of everything that goes through it; `returns=` names what a lambda cannot."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import pytest

from chainpump import Inline, Pipeline, Runnable, StageTypeError, Threads, source


def numbers() -> Iterator[int]:
    yield from range(3)


def anything() -> Iterator[Any]:
    yield 1


def passed_on(items: Iterable[Any]) -> Iterator[Any]:
    yield from items


def doubled(number: int) -> int:
    return 2 * number


def unannotated(number):
    return number


def half_annotated(number) -> list[int]:
    return [number]


STRICT = Pipeline(source(numbers), on=Inline(), strict=True)


@pytest.mark.parametrize("method", ["map", "flat_map"])
@pytest.mark.parametrize("function", [lambda number: [number], operator.neg, partial(lambda a, b: [a, b], 1)])
def test_a_function_whose_result_is_unknown_is_refused_unless_its_type_is_named(method: str, function: Any) -> None:
    add = getattr(STRICT, method)
    with pytest.raises(StageTypeError) as caught:
        add(function, on=Inline())
    assert "yields what nobody knows, and the pipeline is strict" in str(caught.value)
    assert f"ame it: .{method}(" in str(caught.value)
    assert ("Annotate" in str(caught.value)) == (function is not operator.neg), "nobody is asked to change a library"
    assert add(function, on=Inline(), returns=list[int])


@pytest.mark.parametrize("method", ["map", "filter", "flat_map", "each"])
@pytest.mark.parametrize("function", [unannotated, half_annotated])
def test_a_function_that_could_say_what_it_takes_has_to(method: str, function: Any) -> None:
    with pytest.raises(StageTypeError) as caught:
        getattr(STRICT, method)(function)
    assert f".{method}({function.__name__}) has no type hint for its item, and the pipeline is" in str(caught.value)
    assert "Annotate it: its items are int." in str(caught.value)


def test_lambdas_of_which_nothing_comes_are_taken() -> None:
    assert isinstance(STRICT.filter(lambda number: number > 0).map(doubled).each(lambda _: None), Runnable)


def test_generators_of_unknown_items_and_iterables_that_do_not_tell_are_refused() -> None:
    with pytest.raises(
        StageTypeError, match=r"^source 'anything' yields what nobody knows, and the pipeline is strict"
    ):
        Pipeline(source(anything), strict=True)
    with pytest.raises(
        StageTypeError, match=r"^stage 'passed_on' yields what nobody knows, and the pipeline is strict"
    ):
        STRICT.then(passed_on)
    with pytest.raises(
        StageTypeError, match=r"^Pipeline\(list, strict=True\) yields what nobody knows: a list does not"
    ):
        Pipeline([1, 2], strict=True)
    assert list(Pipeline(range(3), strict=True)) == [0, 1, 2]


def test_strictness_stays_along_the_chain_and_is_kept_by_what_is_joined() -> None:
    for pipeline in (
        STRICT.batch(2).unbatch(),
        STRICT.window(2).unbatch(),
        STRICT.inline(),
        Pipeline.concat(Pipeline(range(3)), STRICT),
    ):
        with pytest.raises(StageTypeError, match="the pipeline is strict"):
            pipeline.map(lambda number: number)


def test_one_problem_is_enough() -> None:
    with pytest.raises(StageTypeError) as caught:
        STRICT.map(str.upper)
    assert len(caught.value.problems) == 1


def test_a_named_type_goes_on_along_the_chain() -> None:
    texts = Pipeline([1]).map(lambda number: number, returns=str, on=Threads())
    with pytest.raises(StageTypeError, match=r"'<lambda>' yields +str\b"):
        texts.map(doubled)
    words = Pipeline([1]).flat_map(lambda number: [number], returns=list[str], on=Threads())
    with pytest.raises(StageTypeError, match=r"'<lambda>' yields +str\b"):
        words.map(doubled)
    assert Pipeline([1]).map(lambda number: number, returns=int | None).plan().stages[-1].yields_text == "int | None"


def test_a_named_type_must_be_one_and_wins_over_what_the_function_says() -> None:
    with pytest.raises(StageTypeError, match=r"^\.map\(<lambda>\) must have a type as returns= but got: 3"):
        Pipeline([1]).map(lambda number: number, returns=3)  # type: ignore[call-overload]
    assert Pipeline([1]).map(doubled, returns=str).plan().stages[-1].yields_text == "str"
    with pytest.raises(StageTypeError, match=r"^\.flat_map\(<lambda>\) returns int, which cannot be iterated"):
        Pipeline([1]).flat_map(lambda number: number, returns=int)  # type: ignore[type-var, call-overload]
    assert Pipeline([1]).map(doubled, returns=float).plan().stages[-1].yields_text == "float"

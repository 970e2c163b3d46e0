"""Whatever a hint is, there is a verdict on it, a text for it, and no exception; and soon."""

# ruff: noqa: UP007  # every spelling of a hint is under test
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from types import GenericAlias
from typing import Any, Literal, TypeVar, Union

import pytest
from hostile_hints import HOSTILE, RAISING, deep, wide
from hypothesis import given
from hypothesis import strategies as st

from chainpump import Pipeline, StageTypeError, source, stage
from chainpump.hints.assignability import compared, fits
from chainpump.hints.classes import item_of
from chainpump.hints.display import difference, show

T = TypeVar("T")


@given(HOSTILE, HOSTILE)
def test_any_two_hints_have_a_verdict_and_its_rules_raise_nothing(one: Any, other: Any) -> None:
    known = compared()
    fits(one, other, {}, known)
    assert not known.raised


@given(RAISING, RAISING)
def test_hints_whose_own_code_raises_have_a_verdict(one: Any, other: Any) -> None:
    assert fits(one, other, {}) in (True, False)


@given(HOSTILE | RAISING, HOSTILE | RAISING)
def test_any_hint_has_a_text_and_any_two_a_difference(one: Any, other: Any) -> None:
    assert isinstance(show(one), str)
    assert isinstance(difference(one, other), str)


@given(HOSTILE | RAISING)
def test_what_any_hint_yields_has_a_text(hint: Any) -> None:
    assert isinstance(show(item_of(hint)), str)


@given(HOSTILE)
def test_every_hostile_hint_fits_itself(hint: Any) -> None:
    assert fits(hint, hint, {})


def yields(hint: Any) -> Any:
    """A source of items of this hint."""

    def made() -> Any:
        yield

    made.__annotations__ = {"return": GenericAlias(Iterator, (hint,))}
    return source(made)


def after_then(given: Any, expected: Any) -> Any:
    def takes(items: Any) -> Any:
        yield from items

    takes.__annotations__ = {"items": GenericAlias(Iterable, (expected,)), "return": GenericAlias(Iterator, (int,))}
    return Pipeline(yields(given)).then(stage(takes))


def after_operators(given: Any, expected: Any) -> Any:
    def takes(item: Any) -> Any:
        return item

    takes.__annotations__ = {"item": expected, "return": given}
    return Pipeline(yields(given)).map(takes, returns=expected).flat_map(takes).filter(takes)


def returned(given: Any, expected: Any) -> Any:
    def made() -> Any:
        yield

    made.__annotations__ = {"return": given}
    return Pipeline(source(made)).map(lambda item: item, returns=expected)


@given(HOSTILE | RAISING, HOSTILE | RAISING, st.sampled_from([after_then, after_operators, returned]))
def test_a_pipeline_of_any_hints_is_built_or_refused(one: Any, other: Any, build: Callable[[Any, Any], Any]) -> None:
    with suppress(StageTypeError):
        build(one, other)


MANY = wide()
SOME = wide(above=MANY)
LISTS: Callable[[Any], Any] = lambda hint: list[hint]  # noqa: E731
LARGE = {
    "lists that differ at the bottom": (deep(LISTS, int), deep(LISTS, str)),
    "lists that are narrower at the bottom": (deep(LISTS, bool), deep(LISTS, int)),
    "lists of anything at the bottom": (deep(LISTS, int), deep(LISTS, Any)),
    "lists of a variable at the bottom": (deep(LISTS, int), deep(LISTS, T)),
    "optional lists": (deep(lambda hint: list[hint] | None, bool), deep(lambda hint: list[hint] | None, int)),
    "sequences": (deep(LISTS, bool), deep(lambda hint: Sequence[hint], int)),
    "pairs of the same": (deep(lambda hint: tuple[hint, hint], bool), deep(lambda hint: tuple[hint, hint], int)),
    "pairs of a variable": (deep(lambda hint: tuple[hint, hint], int), deep(lambda hint: tuple[hint, hint], T)),
    "functions": (
        deep(lambda hint: Callable[[hint], hint], bool),
        deep(lambda hint: Callable[[hint], hint], int),
    ),
    "a union in another order": (Union[tuple(MANY)], Union[tuple(MANY[::-1])]),
    "a union of narrower classes": (Union[tuple(SOME)], Union[tuple(MANY)]),
    "a union of other classes": (Union[tuple(MANY)], Union[tuple(SOME)]),
    "lists of a union": (list[tuple(SOME)], list[tuple(MANY)]),  # type: ignore[misc]  # values
    "a union of lists": (Union[tuple(map(LISTS, SOME))], Union[tuple(map(LISTS, MANY))]),
    "a union of sequences": (Union[tuple(map(LISTS, SOME))], Union[tuple(Sequence[each] for each in MANY)]),
    "a union for a variable": (Union[tuple(MANY)], Union[T, int]),
    "a tuple": (tuple[tuple(SOME)], Iterable[tuple(MANY)]),  # type: ignore[misc]  # values
    "literals": (Literal[tuple(range(500))], Literal[tuple(range(499))]),
}
# Questions, some 4 for each of 500 members, or 10 for each of 200 levels: 30 ms.
MOST = 2_000


@pytest.mark.parametrize("pair", LARGE.values(), ids=LARGE)
def test_large_hints_are_compared_with_few_questions(pair: tuple[Any, Any]) -> None:
    known = compared()
    fits(*pair, {}, known)
    assert known.count <= MOST
    assert len(difference(*pair)) < 2_000

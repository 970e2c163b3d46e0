"""Of a frame that cannot be rebuilt, the item at which that fails is found, whatever is around it."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from datetime import date
from fractions import Fraction
from pathlib import PurePath
from typing import Any, NoReturn

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainpump.pickling.bad_item import find_bad_item
from chainpump.pickling.items import PROTOCOL, Pickling

SHARED = ["the same object", "in many items"]
OBJECTS = st.builds(Fraction, st.integers()) | st.dates() | st.builds(PurePath, st.just("a")) | st.just(date)
LEAVES = st.none() | st.integers() | st.text(max_size=8) | st.binary(max_size=64) | st.just(SHARED) | OBJECTS


def few(parts: st.SearchStrategy[Any], least: int = 0) -> st.SearchStrategy[list[Any]]:
    """Short lists: what matters is how parts lie in each other, and a case has to be small to be made often."""
    return st.lists(parts, min_size=least, max_size=4)


FEW_KEYS = st.text(max_size=8)
FEW_NUMBERS, FEW_TEXTS = few(st.integers()), few(st.text(max_size=8))
PARTS = st.recursive(
    LEAVES | st.builds(set, FEW_NUMBERS) | st.builds(frozenset, FEW_TEXTS),
    lambda parts: few(parts) | few(parts).map(tuple) | st.dictionaries(st.text(max_size=8), parts, max_size=4),
    max_leaves=8,
)


def refuse(*_: object) -> NoReturn:
    raise ValueError("not for you")


class Unloadable:
    """Pickles, but does not load."""

    def __init__(self, beside: Any) -> None:
        self.beside = beside

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any]]:
        return refuse, (self.beside,)


class Unset(Unloadable):
    """Loads, but cannot be given its state."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Unset, (None,), self.beside

    __setstate__ = refuse


FAULTY = st.recursive(
    st.builds(Unloadable, PARTS) | st.builds(Unset, few(PARTS, 1)),
    lambda parts: st.tuples(PARTS, parts) | few(parts, 1) | st.dictionaries(FEW_KEYS, parts, min_size=1, max_size=4),
    max_leaves=3,
)


@settings(max_examples=settings().max_examples // 2)
@given(few(PARTS), FAULTY, few(PARTS | FAULTY))
def test_the_first_item_that_cannot_be_rebuilt_is_found(before: list[Any], faulty: Any, behind: list[Any]) -> None:
    data = pickle.dumps([*before, faulty, *behind], PROTOCOL)
    assert find_bad_item(data, ()) == len(before)


# One by one, in thousands, in many of pickle's own frames.
@pytest.mark.parametrize("n", [1, 1_000, 1_001, 70_000])
@pytest.mark.parametrize("behind", [0, 1, 2_500])
def test_the_item_is_found_among_many(n: int, behind: int) -> None:
    data = pickle.dumps([*range(n), Unloadable(None), *range(behind)], PROTOCOL)
    assert find_bad_item(data, ()) == n


def test_the_item_is_found_among_large_ones() -> None:
    array = np.zeros(1 << 20, np.uint8)
    made = Pickling().frame([array, bytes(1 << 20), Unloadable(array), array])
    # The arrays are beside it.
    assert not isinstance(made, bytes)
    assert find_bad_item(bytes(made.data), made.buffers) == 2
    made.release()


def test_where_all_can_be_rebuilt_at_the_second_try_it_is_the_first() -> None:
    assert find_bad_item(pickle.dumps([1, 2, 3], PROTOCOL), ()) == 0

"""Pairs of type hints that have much in common: what is given, and what is expected."""

from __future__ import annotations

import collections
import enum
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, MutableSequence, Sequence
from typing import Any, Generic, Literal, NewType, Protocol, TypedDict, TypeVar, Union

from hypothesis import strategies as st

__all__ = ["PAIRS", "Pair"]

Pair = tuple[Any, Any]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
T_contra = TypeVar("T_contra", contravariant=True)


class Base: ...


class Derived(Base):
    def close(self) -> None: ...


class Closes(Protocol):
    def close(self) -> None: ...


class Color(enum.Enum):
    RED = 1
    BLUE = 2


class Movie(TypedDict):
    title: str


class LongMovie(Movie):
    hours: int


class Box(Generic[T]):
    def get(self) -> T:
        raise NotImplementedError

    def put(self, value: T) -> None: ...


class IntBox(Box[int]): ...


class Reader(Generic[T_co]):
    def get(self) -> T_co:
        raise NotImplementedError


class Writer(Generic[T_contra]):
    def put(self, value: T_contra) -> None: ...


class Gives(Protocol[T_co]):
    def get(self) -> T_co: ...


UserId = NewType("UserId", int)

CLASSES = [int, bool, str, Base, Derived, Color]
LEAVES = [*CLASSES, float, bytes, None, object, Any, Closes, Movie, LongMovie, UserId, IntBox]
LEAVES += [Literal["a"], Literal[1], Literal[Color.RED]]
ONE = [list, set, frozenset, collections.deque, Sequence, MutableSequence, Collection, Iterable, Iterator, Box, Reader]
ONE += [Writer, Gives]
TWO = [dict, Mapping, collections.OrderedDict, collections.defaultdict]


def compounds(pairs: st.SearchStrategy[Pair]) -> st.SearchStrategy[Pair]:
    """The same or like forms around pairs."""
    one, two, classes = st.sampled_from(ONE), st.sampled_from(TWO), st.sampled_from(CLASSES)
    return st.one_of(
        st.builds(lambda form, other, pair: (form[pair[0]], other[pair[1]]), one, one, pairs),
        st.builds(lambda form, pair: (form[pair[0]], form[pair[1]]), one, pairs),
        st.builds(lambda form, *two: (form[two[0][0], two[1][0]], form[two[0][1], two[1][1]]), two, pairs, pairs),
        st.builds(lambda one, two: (tuple[one[0], two[0]], tuple[one[1], two[1]]), pairs, pairs),
        st.builds(lambda one, two: (tuple[one[0], two[0]], tuple[one[1], ...]), pairs, pairs),
        st.builds(lambda pair, form: (tuple[pair[0], ...], form[pair[1]]), pairs, one),
        st.builds(lambda one, two: (Union[one[0], two[0]], Union[two[1], one[1]]), pairs, pairs),  # noqa: UP007
        st.builds(lambda one, two: (one[0], Union[two[1], one[1]]), pairs, pairs),  # noqa: UP007
        st.builds(lambda pair: (type[pair[0]], type[pair[1]]), st.tuples(classes, classes)),
        st.builds(lambda one, two: (Callable[[one[1]], two[0]], Callable[[one[0]], two[1]]), pairs, pairs),
    )


PAIRS: st.SearchStrategy[Pair] = st.recursive(
    st.tuples(st.sampled_from(LEAVES), st.sampled_from(LEAVES)), compounds, max_leaves=5
)

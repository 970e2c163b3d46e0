"""Which values of several parameters meet in a test: not each with each, where that would prove nothing more.

They stand above the `parametrize` of a test, and make one of them all:

    @pairwise
    @pytest.mark.parametrize("place", PROCESSES)
    @pytest.mark.parametrize("fail", DEATHS)
    @WAYS
    def test_process_that_dies_is_named(place, fail, way): ...

A place decides how a value crosses and who is told of its worker's end, never what the value is; the way in which a run
is consumed decides who takes the last item. What fails, and what a function does, is the same code in each place.

`in_short` is for all else of which the usual run takes less. `support.usual` says which cases of other tests it takes.

`nox -s matrix` runs the tests with all cases, as `CHAINPUMP_TEST_ALL_CASES=1` has pytest do. `python -m tests.matrix`
runs those of the faults, many times.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations, product
from typing import Any, NamedTuple, TypeVar
from zlib import crc32

import pytest

__all__ = ["ALL_CASES", "in_short", "in_turns", "needs_pairs", "pairs", "pairwise"]

# Environment variable: set to anything, every value meets every other.
ALL_CASES = "CHAINPUMP_TEST_ALL_CASES"
Test = TypeVar("Test", bound=Callable[..., Any])
T = TypeVar("T")
# The tests that are `pairwise`.
PAIRED: set[object] = set()


class Value(NamedTuple):
    """One value of a parameter, or of several that go together."""

    name: str
    values: Sequence[Any]
    marks: Sequence[Any]


def in_short(usual: T, whole: T) -> T:
    """What the usual run takes of something that takes long, or the whole of it, where all cases are asked for."""
    return whole if os.environ.get(ALL_CASES) else usual


def in_turns(test: Test) -> Test:
    """Every value of every parameter is in some case: there are as many cases as the most values.

    For parameters that have nothing to do with each other: a value that fails does so beside any other. Which values
    meet differs from test to test, and is the same every time.
    """

    def rows(*sizes: int) -> Iterable[tuple[int, ...]]:
        starts = [crc32(f"{test.__name__} {column}".encode()) for column in range(len(sizes))]
        for row in range(max(sizes)):
            yield tuple((start + row) % size for start, size in zip(starts, sizes, strict=True))

    return _chosen(test, rows)


def pairwise(test: Test) -> Test:
    """Every two values of different parameters are together in some case, which for two parameters is all cases.

    For parameters of which two may have to do with each other, and three at once have not.
    """
    PAIRED.add(test)
    return _chosen(test, pairs)


def needs_pairs(test: object) -> bool:
    """Whether a test is `pairwise`, so that the usual run has all cases of it."""
    return test in PAIRED


def pairs(*sizes: int) -> list[tuple[int, ...]]:
    """Rows of numbers, the n-th below the n-th size, in which any two numbers of any two columns meet.

    Greedy: always the row with the most pairs that are new, the first of those. So the rows are the same every time,
    and near the fewest that there can be, which is the product of the two largest sizes.
    """
    columns = list(combinations(range(len(sizes)), 2))
    missing = {(a, x, b, y) for a, b in columns for x in range(sizes[a]) for y in range(sizes[b])}
    rows = []
    while missing:
        rows.append(max(product(*map(range, sizes)), key=lambda row: len(_pairs_of(row, columns) & missing)))
        missing -= _pairs_of(rows[-1], columns)
    return rows


def _pairs_of(row: Sequence[int], columns: Iterable[tuple[int, int]]) -> set[tuple[int, int, int, int]]:
    return {(a, row[a], b, row[b]) for a, b in columns}


def _chosen(test: Test, choose: Callable[..., Iterable[tuple[int, ...]]]) -> Test:
    """The test with the chosen cases in place of all; all the same where all are asked for."""
    if os.environ.get(ALL_CASES):
        return test
    marks: list[Any] = test.pytestmark  # type: ignore[attr-defined]  # where pytest keeps the marks of a function
    products = [mark for mark in marks if mark.name == "parametrize"]
    names = [_names(mark) for mark in products]
    values = [_values(mark, names) for mark, names in zip(products, names, strict=True)]
    cases = [[each[at] for each, at in zip(values, row, strict=True)] for row in choose(*map(len, values))]
    chosen = pytest.mark.parametrize(
        [name for each in names for name in each],
        [
            pytest.param(
                *(value for each in case for value in each.values),
                marks=[mark for each in case for mark in each.marks],
                id="-".join(each.name for each in case),
            )
            for case in cases
        ],
    )
    test.pytestmark = [*(mark for mark in marks if mark not in products), chosen.mark]  # type: ignore[attr-defined]
    return test


def _names(mark: Any) -> list[str]:
    names = mark.args[0]
    return [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)


def _values(mark: Any, names: Sequence[str]) -> list[Value]:
    ids = mark.kwargs.get("ids")
    found = []
    for at, value in enumerate(mark.args[1]):
        if isinstance(value, type(pytest.param())):
            given: Any = value
            name, values, marks = given.id, given.values, given.marks
        else:
            name, values, marks = None, tuple(value) if len(names) > 1 else (value,), ()
        if name is None and ids is not None:
            name = "-".join(str(ids(each)) for each in values) if callable(ids) else ids[at]
        if name is None:
            name = "-".join(_name(each, f"{of}{at}") for each, of in zip(values, names, strict=True))
        found.append(Value(name, values, marks))
    return found


def _name(value: object, otherwise: str) -> str:
    if isinstance(value, str | int | float | bool | None):
        return str(value)
    name = getattr(value, "__name__", otherwise)
    return name if isinstance(name, str) else otherwise

"""Tests of the executors of this package, moved to another executor."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

import pytest

from contract.placings import Placing
from support.cases import in_short

__all__ = ["names_of", "placed"]


def names_of(mark: Any) -> list[str]:
    """The names of the parameters of a mark."""
    names = mark.args[0]
    return names.split(",") if isinstance(names, str) else list(names)


def moved(mark: Any, place: Placing) -> Any:
    """The same cases in this place: each value that a placing was together with, once.

    The usual run has every third of them: other executors start workers slowly, and a value crosses as it does for the
    executors of this package, which are tested with all values.
    """
    names = names_of(mark)
    if "placing" not in names:
        return mark
    at = names.index("placing")
    cases: dict[str, list[Any]] = {}
    for each in mark.args[1]:
        row = list(each.values)  # all of them are made by `pytest.param`
        rest = row[:at] + row[at + 1 :]
        cases.setdefault(repr(rest), [*row[:at], place, *row[at + 1 :]])
    rows = list(cases.values())[:: in_short(usual=3, whole=1)]
    return pytest.mark.parametrize(names, [pytest.param(*row) for row in rows]).mark


def placed(test: FunctionType, place: Placing) -> Callable[..., None]:
    """The same test in this place."""
    same = FunctionType(test.__code__, test.__globals__, test.__name__, test.__defaults__, test.__closure__)
    same.__dict__["pytestmark"] = [moved(mark, place) for mark in vars(test)["pytestmark"]]
    return same

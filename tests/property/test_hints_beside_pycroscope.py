"""Random pairs of hints, judged by the core and by pycroscope: they agree, but for reviewed differences."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pytest
from hint_pairs import PAIRS, Base, Color, Pair, UserId
from hypothesis import given, note

from chainpump.hints.assignability import fits
from chainpump.hints.display import show

with warnings.catch_warnings():
    # Of what it imports.
    warnings.simplefilter("ignore")
    from pycroscope.annotations import type_from_runtime
    from pycroscope.checker import Checker
    from pycroscope.relations import Relation, has_relation
    from pycroscope.value import CanAssignError

CHECKER = Checker()


def fits_for_pycroscope(given_hint: Any, expected: Any) -> bool:
    wanted, found = type_from_runtime(expected), type_from_runtime(given_hint)
    return not isinstance(has_relation(wanted, found, Relation.ASSIGNABLE, CHECKER), CanAssignError)


class Difference(NamedTuple):
    """A reviewed disagreement. ours: our verdict. words: parts of both hints as text, where it may come up."""

    why: str
    ours: bool
    example: Pair
    words: tuple[str, str]

    def explains(self, pair: Pair, ours: bool) -> bool:
        return ours == self.ours and all(word in show(hint) for word, hint in zip(self.words, pair, strict=True))


REVIEWED = [
    Difference(
        "The key of a Mapping is invariant in typeshed, since __getitem__ takes it; who only reads is safe.",
        True,
        (Mapping[UserId, str], Mapping[int, str]),
        ("Mapping[", "Mapping["),
    ),
    Difference(
        "A union with Any is unknown for us, also where nothing may differ; it compares the members.",
        True,
        (set[UserId], set[UserId | Any]),  # type: ignore[operator]  # a NewType is no class
        ("", "Any"),
    ),
    Difference(
        "It takes a class for any Callable, whatever that is to return; we compare what it makes.",
        False,
        (type[Base], Callable[[Color], int]),
        ("type[", "Callable["),
    ),
]


@given(PAIRS)
def test_the_core_and_pycroscope_agree(pair: Pair) -> None:
    ours, theirs = fits(*pair, {}), fits_for_pycroscope(*pair)
    note(f"{show(pair[0])} into {show(pair[1])}: we say {ours}, pycroscope says {theirs}")
    assert ours == theirs or any(each.explains(pair, ours) for each in REVIEWED)


@pytest.mark.parametrize("difference", REVIEWED, ids=lambda each: each.why.split(",")[0])
def test_what_was_reviewed_is_still_so(difference: Difference) -> None:
    assert fits(*difference.example, {}) is difference.ours
    assert fits_for_pycroscope(*difference.example) is not difference.ours

"""Which cases of a test the usual run takes: all values of all parameters, not all combinations of them.

A test whose parameters stand below each other has a case for each combination. What fails, and where it runs, have
nothing to do with each other in most tests, so the usual run takes as few cases as have every value in one of them.

Parameters that say where workers run have lists of places that most tests share. The usual run takes two places of the
list for each test, the next test of the file takes the next two, and so on: all tests of a file together run in all
places of each list. The cases are the same in every run.

What a test needs beyond that, it says with `pairwise` of `support.cases`: there, each place meets each fault. A test
that the command line names has all its cases, and so have all tests with `CHAINPUMP_TEST_ALL_CASES=1`, as with
`nox -s matrix`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from math import ceil
from typing import TypeVar

__all__ = ["unusual"]

T = TypeVar("T")
# A parameter and one of its values.
Choice = tuple[str, Hashable]
Choices = Mapping[str, Hashable]
# The names of the parameters that say where workers run.
PLACES = frozenset({"before", "behind", "inner", "method", "on", "outer", "place", "places", "placing"})
# How many places of a list a test has, if the tests of its file are enough for all places then.
PLACES_OF_A_TEST = 2


def unusual(cases: Iterable[tuple[T, str, Mapping[str, object]]]) -> set[T]:
    """The cases that the usual run leaves out; for each case there is its node id, and the values of its parameters."""
    files: dict[str, dict[str, dict[T, Choices]]] = {}
    for case, node_id, parameters in cases:
        test = node_id.partition("[")[0]
        # Most values have no `==` that is worth something, and each is the same object in all cases.
        choices = {name: id(value) for name, value in parameters.items()}
        files.setdefault(test.partition("::")[0], {}).setdefault(test, {})[case] = choices
    left_out = set[T]()
    for tests in files.values():
        shares = _Shares([list(every.values()) for every in tests.values()])
        for every in tests.values():
            left_out |= every.keys() - _covering(every, shares.of_next(list(every.values())))
    return left_out


def _covering(cases: Mapping[T, Choices], choices: Iterable[Choice]) -> set[T]:
    """As few cases as have all these choices, nearly: those that alone have one, then that with the most new choices.

    Of several such cases it is the one with the most of these choices, or the first one.
    """
    wanted = set(choices)
    having = Counter(choice for case in cases.values() for choice in case.items())
    found = {case for case, has in cases.items() if any(having[choice] == 1 for choice in has.items() & wanted)}
    missing = wanted.difference(*(cases[case].items() for case in found))
    while missing:
        best = max(cases, key=lambda case: tuple(len(some & cases[case].items()) for some in (missing, wanted)))
        found.add(best)
        missing -= cases[best].items()
    return found


class _Shares:
    """Deals the places of each list out to the tests that have it.

    tests: of one file; for each test, the choices of its cases.
    """

    def __init__(self, tests: Iterable[Sequence[Choices]]) -> None:
        # How many tests have a list, and how many places of it have been dealt out.
        self._tests: Counter[tuple[str, frozenset[Hashable]]] = Counter()
        self._dealt: Counter[tuple[str, frozenset[Hashable]]] = Counter()
        for cases in tests:
            self._tests.update((name, frozenset(values)) for name, values in _lists(cases).items() if name in PLACES)

    def of_next(self, cases: Sequence[Choices]) -> set[Choice]:
        """The choices of the next test: its share of the places, and all values of its other parameters."""
        choices = set[Choice]()
        for name, values in _lists(cases).items():
            share, start = len(values), 0
            if name in PLACES:
                key = (name, frozenset(values))
                share = min(share, max(PLACES_OF_A_TEST, ceil(share / self._tests[key])))
                start = self._dealt[key]
                self._dealt[key] += share
            choices.update((name, values[(start + n) % len(values)]) for n in range(share))
        return choices


def _lists(cases: Sequence[Choices]) -> Mapping[str, Sequence[Hashable]]:
    """All values of each parameter, in the order of the cases."""
    return {name: list(dict.fromkeys(case[name] for case in cases)) for name in cases[0]}

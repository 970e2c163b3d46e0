"""The usual run has all values of all parameters, in few cases, and all places in each file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from support.usual import unusual

Case = tuple[str, str, Mapping[str, Any]]


def cases(test: str, **parameters: Sequence[Any]) -> list[Case]:
    """A test with a case for each combination."""
    found = []
    for values in product(*parameters.values()):
        node_id = f"{test}[{'-'.join(map(str, values))}]"
        found.append((node_id, node_id, dict(zip(parameters, values, strict=True))))
    return found


def kept(every: Sequence[Case]) -> list[Mapping[str, Any]]:
    left_out = unusual(every)
    return [parameters for case, _, parameters in every if case not in left_out]


def test_every_value_is_in_some_case_and_there_are_as_many_cases_as_the_most_values() -> None:
    found = kept(
        cases("a.py::test", fail=["raise", "die", "hang"], way=["iterated", "collected"], ordered=[True, False])
    )
    assert len(found) == 3
    assert {case["fail"] for case in found} == {"raise", "die", "hang"}
    assert {case["way"] for case in found} == {"iterated", "collected"}
    assert {case["ordered"] for case in found} == {True, False}


def test_a_test_of_one_parameter_keeps_all_its_cases() -> None:
    assert len(kept(cases("a.py::test", fail=["raise", "die", "hang"]))) == 3


def test_a_combination_that_alone_has_a_value_is_kept() -> None:
    every = cases("a.py::test", fail=["raise", "die"], way=["iterated"])
    every += [("alone", "a.py::test[alone]", {"fail": "raise", "way": "collected"})]
    assert {"fail": "raise", "way": "collected"} in kept(every)


def test_tests_of_a_file_have_two_places_each_and_together_all() -> None:
    places = ["spawn", "fork", "threads", "inline"]
    tests = [cases(f"a.py::test_{n}", place=places, fail=["raise", "die"]) for n in range(4)]
    left_out = unusual([case for test in tests for case in test])
    shares = [{case[2]["place"] for case in test if case[0] not in left_out} for test in tests]
    assert shares == [{"spawn", "fork"}, {"threads", "inline"}, {"spawn", "fork"}, {"threads", "inline"}]
    for test in tests:
        assert {case[2]["fail"] for case in test if case[0] not in left_out} == {"raise", "die"}


def test_a_test_that_is_alone_in_its_file_with_its_places_has_them_all() -> None:
    places = ["spawn", "fork", "threads", "inline"]
    every = [
        *cases("a.py::test", place=places),
        *cases("a.py::other", place=places[:2]),
        *cases("b.py::c", place=places),
    ]
    assert unusual(every) == set()

"""Cases that are chosen prove what all of them would: every value, or every pair of values, is in one."""

from itertools import combinations, product
from pathlib import Path
from typing import Any

import pytest

from chainpump import Inline, Processes, Threads
from support.cases import ALL_CASES, in_short, in_turns, pairs, pairwise
from support.wires import NO_WIRE, processes_in


@pytest.mark.parametrize("sizes", [(3, 5), (3, 5, 2), (3, 5, 2, 2), (4, 4, 4), (1, 1), (2, 1, 3)])
def test_any_two_values_meet(sizes: tuple[int, ...]) -> None:
    rows = pairs(*sizes)
    for a, b in combinations(range(len(sizes)), 2):
        assert {(row[a], row[b]) for row in rows} == set(product(range(sizes[a]), range(sizes[b])))
    assert len(rows) == len(set(rows))


def test_pairs_are_few_and_always_the_same() -> None:
    # Of 120; 20 is the least.
    assert len(pairs(5, 4, 2, 3)) <= 22
    assert pairs(3, 2, 2) == [(0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 0), (2, 0, 0), (2, 1, 1)]


def cases_of(test: Any) -> tuple[list[str], list[Any]]:
    (mark,) = (mark for mark in test.pytestmark if mark.name == "parametrize")
    return mark.args


def test_cases_in_turns_have_every_value_with_its_marks_and_names() -> None:
    marked = pytest.param(2, marks=pytest.mark.filterwarnings("ignore"), id="two")

    @in_turns
    @pytest.mark.usefixtures("gate")
    @pytest.mark.parametrize("letter", "abc")
    @pytest.mark.parametrize("number", [1, marked])
    def test(letter, number):
        pass

    names, cases = cases_of(test)
    assert names == ["number", "letter"]
    assert len(cases) == 3
    assert {case.values[1] for case in cases} == {"a", "b", "c"}
    assert {case.values[0] for case in cases} == {1, 2}
    for case in cases:
        number, letter = case.values
        assert case.id == f"{'two' if number == 2 else number}-{letter}"
        assert [each.name for each in case.marks] == (["filterwarnings"] if number == 2 else [])
    assert [mark.name for mark in vars(test)["pytestmark"]] == ["usefixtures", "parametrize"]


def test_cases_in_pairs_have_every_pair_and_the_names_that_pytest_would_give() -> None:
    thing = object()

    @pairwise
    @pytest.mark.parametrize("letter, number", [("a", 1), ("b", 2)])
    @pytest.mark.parametrize("call", [len, abs], ids=["length", "size"])
    @pytest.mark.parametrize("kind", [int, str], ids=lambda kind: kind.__name__.upper())
    @pytest.mark.parametrize("other", [thing, ()])
    def test(letter, number, call, kind, other):
        pass

    names, cases = cases_of(test)
    assert names == ["other", "kind", "call", "letter", "number"]
    assert cases[0].id == "other0-INT-length-a-1"
    assert {case.values[2:] for case in cases} == {
        (call, *both) for call in (len, abs) for both in (("a", 1), ("b", 2))
    }
    assert {case.values[:2] for case in cases} == set(product([thing, ()], [int, str]))


def test_all_cases_are_run_where_all_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ALL_CASES, "1")

    @pytest.mark.parametrize("letter", "abc")
    @pytest.mark.parametrize("number", [1, 2])
    def test(letter, number):
        pass

    before = list(vars(test)["pytestmark"])
    assert vars(in_turns(test))["pytestmark"] == before
    assert in_short(usual=1, whole=2) == 2


def test_the_usual_run_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ALL_CASES, raising=False)
    assert in_short(usual=1, whole=2) == 1


def test_cases_are_told_apart_by_where_their_workers_are() -> None:
    found = list(processes_in(["threads", Processes(2), (Inline(), (Threads(), Processes())), "else", 3]))
    assert found == [False, True, False, False, True]


def test_files_in_which_nothing_crosses_exist() -> None:
    """A file that got another name would be run again for no reason."""
    assert {path.name for path in Path(__file__).parents[1].rglob("test_*.py")} >= NO_WIRE

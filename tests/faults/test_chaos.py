"""Rule 4 and 6 at random: `python -m tests.chaos`, in short."""

from collections import Counter

import pytest

import chaos
from chainpump import Inline
from support import checked_items
from support.cases import in_short
from support.verdict import Verdict

# How many runs there are of each case.
RUNS = in_short(usual=3, whole=6)


@pytest.mark.parametrize("first", [0, 6])
def test_random_process_killed_at_a_random_moment_is_told_of_and_leaves_nothing(first: int) -> None:
    verdict = Verdict()
    chaos.chaos(range(first, first + RUNS), seed=0, verdict=verdict)
    assert verdict.wrong == []
    assert sum(verdict.outcomes.values()) == RUNS


def test_workers_killed_again_and_again_have_successors_that_lose_and_double_nothing() -> None:
    verdict = Verdict()
    chaos.chaos_with_successors(in_short(usual=8, whole=20), seed=0, verdict=verdict)
    assert verdict.wrong == []
    assert set(verdict.outcomes) == {"whole"}


def test_calls_that_fail_at_random_end_a_run_with_their_name_or_leave_it_whole() -> None:
    verdict = Verdict()
    chaos.chaos_with_faults(range(6), seed=2, verdict=verdict)
    assert verdict.wrong == []
    assert sum(verdict.outcomes.values()) == 6
    assert verdict.outcomes["whole"] < 6


# --------------------------------------------------------------------------------------------- that chaos can fail


@pytest.mark.parametrize("kind", checked_items.KINDS)
def test_item_that_has_been_changed_is_seen_to_be_damaged(kind: str) -> None:
    first, second = checked_items.made(2, kind)
    assert (checked_items.checked(first), checked_items.checked(second)) == (0, 1)
    if kind == "int":
        damaged = second ^ 1 << 40
    elif kind == "dict":
        damaged = {**second, "text": "other"}
    else:
        damaged = bytearray(second)
        damaged[-1] ^= 1
    assert checked_items.checked(damaged) == checked_items.DAMAGED


@pytest.mark.parametrize(
    "passages, whole, found",
    [
        pytest.param([[0, 1, 2], [2, 0, 1]], True, {}, id="whole"),
        pytest.param([[0, 1, 2], [0, 2]], True, {"lost": 1}, id="lost"),
        pytest.param([[0, 1, 2], [0, 1, 1, 2, 2]], True, {"doubled": 2}, id="doubled"),
        pytest.param([[0, 1, 2], [0, 1, checked_items.DAMAGED]], True, {"damaged": 1, "lost": 1}, id="damaged"),
        pytest.param([[0, 1], [0]], False, {}, id="cut off"),
        pytest.param([[0, 1], [0, 0]], False, {"doubled": 1}, id="cut off and doubled"),
        pytest.param([[0, 1], [2]], False, {"doubled": 1}, id="cut off, and one from nowhere"),
    ],
)
def test_items_are_accounted_for_one_by_one(passages: list[list[int]], whole: bool, found: dict[str, int]) -> None:
    case = chaos.Case(0, "int", 3, Inline(), [], True, None, 0)
    verdict = Verdict()
    chaos.account(case, [Counter(passage) for passage in passages], whole=whole, verdict=verdict)
    assert verdict.kinds == found
    assert len(verdict.wrong) == len(found)

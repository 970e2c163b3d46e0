"""Rule 4 and 6 at random: `python -m tests.chaos`, in short."""

import pytest

import chaos


@pytest.mark.parametrize("first", [0, 10])
def test_random_process_killed_at_a_random_moment_is_told_of_and_leaves_nothing(first: int) -> None:
    verdict = chaos.chaos(range(first, first + 10), seed=0)
    assert verdict.wrong == []
    assert sum(verdict.outcomes.values()) == 10


def test_workers_killed_again_and_again_have_successors_that_lose_and_double_nothing() -> None:
    verdict = chaos.chaos_with_successors(30, seed=0)
    assert verdict.wrong == []
    assert set(verdict.outcomes) == {"whole"}

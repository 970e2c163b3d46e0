"""Rule 4 and 6 at random: `python -m tests.chaos`, in short."""

import pytest

import chaos


@pytest.mark.parametrize("first", [0, 10])
def test_random_process_killed_at_a_random_moment_is_told_of_and_leaves_nothing(first: int) -> None:
    verdict = chaos.chaos(range(first, first + 10), seed=0)
    assert verdict.wrong == []
    assert sum(verdict.outcomes.values()) == 10

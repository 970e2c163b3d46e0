"""Ctrl-C at any moment: `python -m tests.ctrl_c_points`, in short."""

from __future__ import annotations

import pytest

from ctrl_c_points import WAYS, press_at_each
from faults.places import FORK
from support.verdict import Verdict

EVERY = 61  # moments of about 2,500: so a run of the tests takes seconds


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("place, every", [("threads", EVERY), ("forkserver", 2 * EVERY), ("inline", EVERY)])
def test_ctrl_c_at_any_moment_ends_the_run_and_leaves_nothing(place: str, way: str, every: int) -> None:
    verdict = Verdict()
    moments = press_at_each(place, way, every, 0, verdict)
    assert verdict.wrong == []
    assert verdict.outcomes["interrupted"] == moments // every > 10


@FORK
def test_ctrl_c_at_any_moment_ends_a_run_of_forked_workers() -> None:
    verdict = Verdict()
    press_at_each("fork", "iterated", 2 * EVERY, EVERY, verdict)
    assert verdict.wrong == []
    assert verdict.outcomes["interrupted"] > 10

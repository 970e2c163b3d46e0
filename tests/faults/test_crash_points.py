"""Rule 4 and 6 at every line: `python -m tests.crash_points`, in short."""

from __future__ import annotations

import pytest

from crash_points import Plan, enumerate_points
from faults.places import FORK
from support.cases import in_short
from support.verdict import Verdict

# Steps of about 3,000: so a run of the tests takes seconds, and another offset in each place other lines.
EVERY = in_short(usual=1500, whole=600)
# The same of system calls.
EVERY_CALL = in_short(usual=150, whole=60)


@pytest.mark.parametrize(
    "plan, offset",
    [
        (Plan("source"), 0),
        (Plan("stage"), 30),
        (Plan("map"), 60),
        (Plan("sink"), 90),
        (Plan("map", restarts=1), 120),
    ],
    ids=str,
)
@FORK
def test_worker_killed_at_any_line_is_named_or_replaced(plan: Plan, offset: int) -> None:
    verdict = Verdict()
    steps = enumerate_points(plan, EVERY, offset, verdict)
    assert verdict.wrong == []
    assert sum(verdict.outcomes.values()) > steps / EVERY
    assert len(verdict.reported_ms) > steps / EVERY / 2 or plan.restarts


def test_worker_of_the_fork_server_killed_at_any_line_is_named() -> None:
    verdict = Verdict()
    enumerate_points(Plan("stage", "forkserver"), in_short(usual=3000, whole=1500), 700, verdict)
    assert verdict.wrong == []
    assert verdict.outcomes["lost worker named"] > in_short(usual=0, whole=1)


@FORK
@pytest.mark.parametrize("name, offset", [("source", 150), ("stage", 180), ("sink", 210)])
def test_run_that_is_cancelled_with_a_worker_at_any_line_cleans_up(name: str, offset: int) -> None:
    verdict = Verdict()
    steps = enumerate_points(Plan(name, cancels=True), EVERY, offset, verdict)
    assert verdict.wrong == []
    assert verdict.outcomes["cancelled"] > steps / EVERY / 2


@FORK
@pytest.mark.parametrize("plan", [Plan("sink"), Plan("map", restarts=1)], ids=str)
def test_worker_killed_at_any_system_call_is_named_or_replaced(plan: Plan) -> None:
    verdict = Verdict()
    steps = enumerate_points(plan, EVERY_CALL, 0, verdict, calls=True)
    assert verdict.wrong == []
    if not steps:
        pytest.skip("this system lets no process trace another one")
    assert sum(verdict.outcomes.values()) > steps / EVERY_CALL

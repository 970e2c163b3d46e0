"""Rule 8 over time: `python -m tests.soak`, in short, and that it sees what grows."""

from typing import Any

import pytest

import soak
from support.cases import in_short

STEADY = [soak.Sample(at=number, rss=50_000 + number % 7, descriptors=20, slabs=0, threads=3) for number in range(100)]
# KB per minute: arrays come and go within the few seconds of a test.
COARSE = 1_000_000


def test_nothing_grows_in_a_run_of_all_kinds_of_stages() -> None:
    assert soak.soak_one_run(in_short(usual=3, whole=6), COARSE, every=0.1).wrong == []


def test_nothing_is_left_of_runs_half_of_which_fail() -> None:
    # KB: its memory has not come to rest yet.
    assert soak.soak_runs(2 * len(soak.RUNS), bound=200, warm_rounds=1).wrong == []


def test_process_that_stays_as_it_is_does_not_grow() -> None:
    assert judged(STEADY) == []


@pytest.mark.parametrize(
    "growing, message",
    [
        pytest.param({"rss": lambda number: 50_000 + 2 * number}, "worker: memory grows by 2.0 KB per run", id="rss"),
        pytest.param(
            {"descriptors": lambda number: 20 + number // 70}, "worker: descriptors grow from 20 to 21", id="fd"
        ),
        pytest.param({"threads": lambda number: 3 + number // 70}, "worker: threads grow from 3 to 4", id="threads"),
    ],
)
def test_process_that_grows_is_told_of(growing: dict[str, Any], message: str) -> None:
    assert judged(
        [
            sample._replace(**{name: count(number) for name, count in growing.items()})
            for number, sample in enumerate(STEADY)
        ]
    ) == [message]


def test_run_too_short_to_tell_is_no_success() -> None:
    assert judged(STEADY[:5]) == ["worker: too short to tell, with 5 looks"]


def test_run_that_ends_otherwise_than_it_should_is_told_of() -> None:
    verdict = soak.Verdict()
    soak.run_once(soak.ints_through_processes, ValueError, verdict)
    assert verdict.wrong == ["ints_through_processes ended by None"]


def judged(samples: list[soak.Sample]) -> list[str]:
    verdict = soak.Verdict()
    verdict.judge("worker", samples, bound=1.0, unit="run", counts=soak.COUNTS)
    return verdict.wrong

"""A time limit holds for every task: one that ignores its cancellation, or blocks the event loop, is named in time."""

from functools import partial
from typing import Any

import pytest

from chainpump import DeadLetter, ItemTimeoutError, Pipeline, Tasks
from chainpump.executors import task_timeouts
from faults import stages
from support.gate import Gate
from support.threads import threads_that_stay

NAMED = r"^stage '{}' \(worker 1 of 1, pid \d+\) took longer than 0.05 s over item 1\.\n"


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """The seconds that a task has to end."""
    monkeypatch.setattr(task_timeouts, "ENDS_WITHIN", 0.05)


def numbers(function: Any, **options: Any) -> Pipeline[int]:
    return Pipeline(range(4)).map(function, on=Tasks(2), timeout=0.05, **options)


@pytest.mark.parametrize("ordered", [True, False], ids=["ordered", "unordered"])
@pytest.mark.parametrize("late", [stages.swallowing_item, stages.blocking_for_a_while], ids=lambda it: it.__name__)
def test_policy_decides_about_an_item_whose_task_takes_too_long_whatever_it_does(late: Any, ordered: bool) -> None:
    with numbers(late, on_error=DeadLetter(ItemTimeoutError), ordered=ordered).open() as run:
        found = sorted(run)
        late_ones = [letter.item for letter in run.dead_letters]
    # Another one may have waited for the event loop.
    assert 1 in late_ones
    assert sorted([*found, *late_ones]) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "late, line",
    [
        pytest.param(stages.swallowing_item, " in swallowing_item", id="swallowing"),
        pytest.param(stages.blocking_for_a_while, "", id="blocking"),
    ],
)
def test_a_task_that_takes_too_long_whatever_it_does_is_named_and_where_it_is(late: Any, line: str) -> None:
    with pytest.raises(ItemTimeoutError, match=NAMED.format(late.__name__)) as caught:
        list(Pipeline(range(2)).map(late, on=Tasks(1), timeout=0.05))
    assert line in caught.value.failures[0].traceback


def test_a_task_that_blocks_the_event_loop_for_ever_ends_the_run_and_is_named_with_its_place(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the policy: no other item can go on."""
    monkeypatch.setattr(task_timeouts, "COMES_BACK_WITHIN", 0.05)
    blocking = partial(stages.blocking_for_ever, gate=gate)
    with pytest.raises(ItemTimeoutError, match=NAMED.format("blocking")) as caught:
        list(numbers(blocking, on_error=DeadLetter(), name="blocking").open(grace=0.05))
    assert " in blocking_for_ever" in caught.value.failures[0].traceback
    gate.release()
    assert not threads_that_stay()

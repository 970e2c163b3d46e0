"""The life of a run: what has happened goes in, what is to be done comes out."""

from __future__ import annotations

import pytest

from chainpump.engine.lifecycle import (
    WINDOW_NS,
    Action,
    Cancel,
    Conclude,
    Ended,
    Event,
    Left,
    Phase,
    Run,
    Seal,
    Stalled,
    Started,
    UseForce,
    step,
)
from chainpump.errors import Failure, StageError
from chainpump.worker.outcome import Failed, Finished, Interrupted

FIRST, SECOND, THIRD = (
    Failed(Failure(StageError, "stage", name, 1, None, f"stage {name!r} raised")) for name in ("one", "two", "three")
)
FINISHED, EARLY = Finished(), Finished(early=True)


def after(run: Run, *events: Event) -> tuple[Run, list[tuple[Action, ...]]]:
    """The state after these events, and the actions that each of them asked for."""
    asked = []
    for event in events:
        run, actions = step(run, event)
        asked.append(actions)
    return run, asked


def ended(group: int, outcome: Finished | Failed | Interrupted = FINISHED, at: int = 0, number: int = 0) -> Ended:
    return Ended(group, number, outcome, at)


@pytest.mark.parametrize(
    "running,has_caller,events,asked",
    [
        pytest.param(
            (1, 1, 1),
            False,
            [ended(0), ended(1), ended(2)],
            [(Seal(0),), (Seal(1),), (Conclude(),)],
            id="each group that finishes seals the junction behind it",
        ),
        pytest.param(
            (1, 1),
            False,
            [Started(0), ended(0), ended(0), ended(1)],
            [(), (), (Seal(0),), (Conclude(),)],
            id="one that was started meanwhile has to end as well",
        ),
        pytest.param(
            (2, 1),
            False,
            [ended(0), ended(0), ended(1)],
            [(), (Seal(0),), (Conclude(),)],
            id="a junction is sealed by the last worker of its group",
        ),
        pytest.param(
            (1, 1),
            False,
            [Stalled(FIRST, 0), ended(0, Interrupted()), ended(1, Interrupted())],
            [(Cancel(2),), (), (Conclude(),)],
            id="a stall cancels everything",
        ),
        pytest.param(
            (1, 1),
            False,
            [ended(1), ended(0)],
            [(), (Seal(0), Conclude())],
            id="groups may end in any order",
        ),
        pytest.param(
            (1, 2, 1),
            False,
            [ended(1, EARLY), ended(1), ended(0, Interrupted()), ended(2)],
            [(), (Seal(1), Cancel(1)), (), (Conclude(),)],
            id="a group that stopped cancels what is before it, once all of it has ended",
        ),
        pytest.param(
            (1, 1, 1),
            False,
            [ended(1, EARLY), ended(0, FIRST), ended(2)],
            [(Seal(1), Cancel(1)), (), (Conclude(),)],
            id="what comes before a stage that has stopped may fail",
        ),
        pytest.param(
            (1, 1, 1, 1),
            False,
            [ended(1, EARLY), ended(2, EARLY), ended(0), ended(3)],
            [(Seal(1), Cancel(1)), (Seal(2), Cancel(2)), (Seal(0),), (Conclude(),)],
            id="a later stop reaches further",
        ),
        pytest.param(
            (1, 1, 1),
            False,
            [ended(2, EARLY), ended(1, EARLY), ended(0)],
            [(Cancel(2),), (Seal(1),), (Seal(0), Conclude())],
            id="an earlier stop adds nothing",
        ),
        pytest.param(
            (1, 1),
            False,
            [ended(0, FIRST), ended(1, Interrupted())],
            [(Cancel(2),), (Conclude(),)],
            id="a failure cancels all",
        ),
        pytest.param(
            (1, 1),
            False,
            [ended(1, Interrupted()), ended(0, FIRST)],
            [(Cancel(2),), (Conclude(),)],
            id="whoever was cut off first cancels all",
        ),
        pytest.param(
            (1, 1),
            True,
            [ended(0), ended(1)],
            [(Seal(0),), (Conclude(),)],
            id="a run that goes well waits for its caller",
        ),
        pytest.param(
            (1, 1),
            True,
            [Left(0), ended(0, Interrupted())],
            [(Cancel(2),), (Conclude(),)],
            id="a caller who leaves is not waited for",
        ),
        pytest.param((1,), True, [Left(0)], [(Cancel(1), Conclude())], id="a caller alone leaves at once"),
        pytest.param(
            (1,),
            True,
            [ended(0), Left(0), ended(0)],
            [(Conclude(),), (UseForce(),), ()],
            id="after the end there is nothing to do but to hurry who still ends",
        ),
    ],
)
def test_events_ask_for_actions(
    running: tuple[int, ...], has_caller: bool, events: list[Event], asked: list[tuple[Action, ...]]
) -> None:
    state, actions = after(Run(running, has_caller), *events)
    assert actions == asked
    assert state.phase is Phase.OVER


@pytest.mark.parametrize(
    "events,listed",
    [
        pytest.param([ended(0, FIRST, 5), ended(1, SECOND, 5 + WINDOW_NS)], (FIRST, SECOND), id="in 100 ms: listed"),
        pytest.param([ended(0, FIRST, 5), ended(1, SECOND, 6 + WINDOW_NS)], (FIRST,), id="later: a consequence"),
        pytest.param([ended(1, SECOND), ended(0, FIRST), ended(2, THIRD)], (SECOND, FIRST, THIRD), id="in their order"),
        pytest.param([ended(0, Interrupted()), ended(1, FIRST)], (FIRST,), id="the cause may follow its consequence"),
        pytest.param([ended(2, EARLY), ended(1, FIRST)], (), id="before a stage that has stopped: nobody's business"),
        pytest.param([Stalled(SECOND, 5), ended(0, FIRST, 6)], (SECOND, FIRST), id="a stall, and what it induced"),
        pytest.param([ended(0, FIRST, 5), Stalled(SECOND, 6)], (FIRST,), id="no stall of a run that is ending"),
        pytest.param([ended(0, EARLY), ended(1, FIRST)], (FIRST,), id="behind a stage that has stopped: listed"),
    ],
)
def test_failures_that_are_listed(events: list[Event], listed: tuple[Failed, ...]) -> None:
    state, _ = after(Run((1, 1, 1), has_caller=False), *events)
    assert state.failures == listed


def test_a_worker_cut_off_without_a_cause_is_remembered() -> None:
    state, _ = after(Run((1, 3), has_caller=False), ended(1, Interrupted(), number=2), ended(0, Interrupted()))
    assert state.broken == (1, 2)
    assert state.failures == ()


def test_the_cause_of_a_worker_cut_off_is_listed_however_late_it_is_told() -> None:
    late = 50 * WINDOW_NS
    run, _ = after(Run((1, 1, 1), has_caller=False), ended(2, Interrupted()), ended(1, FIRST, at=late))
    assert run.failures == (FIRST,)
    run, _ = after(run, ended(0, SECOND, at=late + WINDOW_NS))
    assert run.failures == (FIRST, SECOND)


def test_the_cause_of_a_worker_cut_off_is_the_failure_nearest_to_it() -> None:
    """Another worker, killed as the run is cancelled, may be told before it."""
    cut_off = ended(3, Interrupted())
    run, _ = after(Run((1, 1, 1, 1), has_caller=True), cut_off, ended(1, FIRST), ended(2, SECOND))
    assert run.failures == (SECOND, FIRST)
    run, _ = after(Run((1, 1, 1, 1), has_caller=True), cut_off, ended(2, FIRST), ended(1, SECOND))
    assert run.failures == (FIRST, SECOND)


def test_a_worker_cut_off_after_a_cancel_is_no_riddle() -> None:
    state, _ = after(Run((1, 1), has_caller=True), Left(0), ended(0, Interrupted()))
    assert state.broken is None
    assert state.left


def test_a_state_is_not_changed_by_its_events() -> None:
    before = Run((1, 1), has_caller=False)
    after(before, ended(0), Left(0))
    assert before == Run((1, 1), has_caller=False)

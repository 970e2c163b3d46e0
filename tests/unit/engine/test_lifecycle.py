"""The lifecycle of a run: events, states and actions."""

from __future__ import annotations

import pytest

from chainpump.engine.lifecycle import (
    WINDOW_NS,
    Action,
    Broken,
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
    """The state after these events, and the actions of each event."""
    expected = []
    for event in events:
        run, actions = step(run, event)
        expected.append(actions)
    return run, expected


def ended(group: int, outcome: Finished | Failed | Interrupted = FINISHED, at: int = 0, number: int = 0) -> Ended:
    return Ended(group, number, outcome, at)


@pytest.mark.parametrize(
    "running,has_caller,events,expected",
    [
        pytest.param(
            (1, 1, 1),
            False,
            [ended(0), ended(1), ended(2)],
            [(Seal(0),), (Seal(1),), (Conclude(),)],
            id="each group that finishes seals the junction after it",
        ),
        pytest.param(
            (1, 1),
            False,
            [Started(0), ended(0), ended(0), ended(1)],
            [(), (), (Seal(0),), (Conclude(),)],
            id="a worker that was started later must end, too",
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
            (0, 1),
            False,
            [Broken(FIRST, 0), ended(1, Interrupted())],
            [(Cancel(2),), (Conclude(),)],
            id="so does a broken connection, whichever workers have finished",
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
            id="a group that has stopped early cancels the groups before it, once it has ended",
        ),
        pytest.param(
            (1, 1, 1),
            False,
            [ended(1, EARLY), ended(0, FIRST), ended(2)],
            [(Seal(1), Cancel(1)), (), (Conclude(),)],
            id="a stage before one that has stopped early may fail",
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
            id="an interruption cancels all",
        ),
        pytest.param(
            (1, 1),
            True,
            [ended(0), ended(1)],
            [(Seal(0),), (Conclude(),)],
            id="a successful run waits for its caller",
        ),
        pytest.param(
            (1, 1),
            True,
            [Left(0), ended(0, Interrupted())],
            [(Cancel(2),), (Conclude(),)],
            id="a run does not wait for a caller that has left",
        ),
        pytest.param((1,), True, [Left(0)], [(Cancel(1), Conclude())], id="a run with only the caller ends at once"),
        pytest.param(
            (1,),
            True,
            [ended(0), Left(0), ended(0)],
            [(Conclude(),), (UseForce(),), ()],
            id="after the end, the only action is to use force",
        ),
    ],
)
def test_events_lead_to_actions(
    running: tuple[int, ...], has_caller: bool, events: list[Event], expected: list[tuple[Action, ...]]
) -> None:
    state, actions = after(Run(running, has_caller), *events)
    assert actions == expected
    assert state.phase is Phase.OVER


@pytest.mark.parametrize(
    "events,listed",
    [
        pytest.param([ended(0, FIRST, 5), ended(1, SECOND, 5 + WINDOW_NS)], (FIRST, SECOND), id="in 100 ms: listed"),
        pytest.param([ended(0, FIRST, 5), ended(1, SECOND, 6 + WINDOW_NS)], (FIRST,), id="later: a consequence"),
        pytest.param([ended(1, SECOND), ended(0, FIRST), ended(2, THIRD)], (SECOND, FIRST, THIRD), id="in their order"),
        pytest.param([ended(0, Interrupted()), ended(1, FIRST)], (FIRST,), id="the cause may follow its consequence"),
        pytest.param([ended(2, EARLY), ended(1, FIRST)], (), id="before a stage that has stopped early: ignored"),
        pytest.param([Stalled(SECOND, 5), ended(0, FIRST, 6)], (SECOND, FIRST), id="a stall and its consequence"),
        pytest.param([ended(0, FIRST, 5), Stalled(SECOND, 6)], (FIRST,), id="a stall of a cancelled run: ignored"),
        pytest.param([ended(0, FIRST, 5), Broken(SECOND, 6)], (FIRST,), id="a worker that tells of a loss says more"),
        pytest.param([ended(0, EARLY), ended(1, FIRST)], (FIRST,), id="after a stage that has stopped early: listed"),
    ],
)
def test_the_failures_that_are_listed(events: list[Event], listed: tuple[Failed, ...]) -> None:
    state, _ = after(Run((1, 1, 1), has_caller=False), *events)
    assert state.failures == listed


def test_an_interrupted_worker_without_a_cause_is_remembered() -> None:
    state, _ = after(Run((1, 3), has_caller=False), ended(1, Interrupted(), number=2), ended(0, Interrupted()))
    assert state.broken == (1, 2)
    assert state.failures == ()


def test_the_cause_of_an_interruption_is_listed_even_if_it_is_reported_late() -> None:
    late = 50 * WINDOW_NS
    run, _ = after(Run((1, 1, 1), has_caller=False), ended(2, Interrupted()), ended(1, FIRST, at=late))
    assert run.failures == (FIRST,)
    run, _ = after(run, ended(0, SECOND, at=late + WINDOW_NS))
    assert run.failures == (FIRST, SECOND)


def test_the_cause_of_an_interruption_is_the_nearest_failure() -> None:
    """A worker that is killed because of the cancel may be reported first."""
    interruption = ended(3, Interrupted())
    run, _ = after(Run((1, 1, 1, 1), has_caller=True), interruption, ended(1, FIRST), ended(2, SECOND))
    assert run.failures == (SECOND, FIRST)
    run, _ = after(Run((1, 1, 1, 1), has_caller=True), interruption, ended(2, FIRST), ended(1, SECOND))
    assert run.failures == (FIRST, SECOND)


def test_an_interruption_after_a_cancel_needs_no_cause() -> None:
    state, _ = after(Run((1, 1), has_caller=True), Left(0), ended(0, Interrupted()))
    assert state.broken is None
    assert state.left


def test_a_state_is_not_changed_by_its_events() -> None:
    before = Run((1, 1), has_caller=False)
    after(before, ended(0), Left(0))
    assert before == Run((1, 1), has_caller=False)

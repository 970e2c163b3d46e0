"""Rule 4, plural: all failures that are seen within 100 ms are listed."""

import os
import re
import signal

import pytest

from chainpump import Pipeline, Processes, RunError, StageError, WorkerLostError, sink, source, stage
from chainpump.engine import lifecycle
from faults import stages
from faults.places import FORKING, on
from support.gate import LIMIT, Gate
from support.threads import meanwhile


@pytest.fixture(autouse=True)
def long_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may take longer than 100 ms to tell of the second failure."""
    monkeypatch.setattr(lifecycle, "WINDOW_NS", int(LIMIT * 1e9))


@pytest.mark.parametrize("place", FORKING)
def test_two_stages_that_raise_at_once_are_both_listed(place: str, gate: Gate) -> None:
    """Both are at the gate with SIGTERM blocked, so that neither hears of the other's failure before its own."""
    pipeline = (
        Pipeline(source(stages.count, 10), on=on(place))
        .then(stage(stages.pass_then_fail, stages.raise_value_error, gate), on=on(place), name="left")
        .then(stage(stages.fail_at_gate, stages.raise_unusual, gate, deaf=True), on=on(place), name="right")
    )
    with pipeline.open(grace=LIMIT) as run:
        assert gate.wait_held() != gate.wait_held()
        gate.release(2)
        with pytest.raises(StageError) as caught:
            list(run)
    assert sorted(failure.stage for failure in caught.value.failures) == ["left", "right"]
    first, also = caught.value.failures
    assert str(caught.value).startswith(f"{first.headline}\n")
    assert f"\nAlso failed before the run had ended:\n- {also.headline}\n" in str(caught.value)


@pytest.mark.parametrize("place", FORKING)
def test_failures_of_a_stage_and_of_the_sink_at_once_are_both_told(place: str, gate: Gate) -> None:
    """Whichever is first: an exception of the sink's as it is, with notes; one of the stage's with both listed."""

    def let_both_fail() -> None:
        assert gate.wait_held() != gate.wait_held()
        gate.release(2)

    pipeline = Pipeline(source(stages.count, 10), on=on(place)).then(
        stage(stages.pass_then_fail, stages.raise_unusual, gate), on=on(place), name="left"
    )
    failing = sink(stages.fail_at_gate_deaf, stages.raise_value_error, gate)
    with meanwhile(let_both_fail), pytest.raises((StageError, ValueError)) as caught:
        pipeline.into(failing, on=on(place), name="right").run(grace=LIMIT)
    told = "\n".join([str(caught.value), *getattr(caught.value, "__notes__", ())])
    assert re.search(r"stage 'left' \(worker 1 of 1, pid \d+\) raised Unusual on item 1:", told)
    assert re.search(r"sink 'right' \(worker 1 of 1, pid \d+\) raised ValueError on item 0:", told)


def test_two_workers_that_are_killed_at_once_are_both_listed(gate: Gate) -> None:
    """Both are stopped first, so that neither can end in another way."""
    pipeline = Pipeline(source(stages.count, 10)).then(stage(stages.held, gate), on=Processes(2), name="pair")
    with pipeline.open(grace=LIMIT) as run:
        pids = {gate.wait_held(), gate.wait_held()}
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in pids:
                os.kill(pid, number)
        with pytest.raises(WorkerLostError) as caught:
            list(run)
    assert {failure.pid for failure in caught.value.failures} == pids
    assert {failure.worker for failure in caught.value.failures} == {1, 2}


@pytest.mark.parametrize("place", FORKING)
def test_what_the_cancellation_itself_brings_about_is_not_listed(place: str, gate: Gate) -> None:
    """Stages that raise something of their own when they are cancelled have not failed."""
    pipeline = (
        Pipeline(source(stages.angry_source), on=on(place))
        .then(stages.angry, on=on(place))
        .then(stage(stages.fail_at_gate, stages.raise_value_error, gate), on=on(place), name="culprit")
        .then(stages.angry, on=on(place))
    )
    with pipeline.open(grace=LIMIT) as run:
        gate.release()
        with pytest.raises(RunError, match=r"^stage 'culprit' ") as caught:
            list(run)
    assert [failure.stage for failure in caught.value.failures] == ["culprit"]

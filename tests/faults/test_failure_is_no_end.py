"""Rule 7: a stage never mistakes a failure for the end; when upstream fails, its input raises Cancelled instead."""

import os
import signal
from typing import Any

import pytest

from chainpump import (
    Pipeline,
    Processes,
    RunError,
    StageStoppedError,
    UnpicklableItemError,
    WorkerLostError,
    sink,
    source,
    stage,
)
from faults import stages
from faults.places import EVERYWHERE, FORKING, MOST, on
from support.cases import pairwise
from support.gate import Gate, Journal

FAILURES = [
    pytest.param(stages.raise_value_error, id="raises"),
    pytest.param(stages.raise_unusual, id="BaseException"),
    pytest.param(stages.raise_locked, id="unpicklable-exception"),
    pytest.param(stages.sys_exit_0, id="sys.exit-0"),
]
DEATHS = [
    pytest.param(stages.exit_0, id="os._exit-0"),
    pytest.param(stages.exit_3, id="os._exit-3"),
    pytest.param(stages.sigkill, id="SIGKILL"),
    pytest.param(stages.sigsegv, id="SIGSEGV"),
]


def source_fails(fail: Any, place: str) -> Pipeline[int]:
    return Pipeline(source(stages.failing_source, fail, 300), on=on(place))


def stage_fails(fail: Any, place: str) -> Pipeline[int]:
    return Pipeline(source(stages.count, 500), on=on(place)).then(stage(stages.failing_stage, fail, 300), on=on(place))


def far_source_fails(fail: Any, place: str) -> Pipeline[int]:
    return source_fails(fail, place).then(stages.same, on=on(place)).then(stages.same, on=on(place))


BUILDS = pytest.mark.parametrize(
    "build", [source_fails, stage_fails, far_source_fails], ids=lambda build: build.__name__
)


@pairwise
@BUILDS
@pytest.mark.parametrize("fail", FAILURES)
@pytest.mark.parametrize("place", MOST)
def test_sink_never_sees_an_end_when_upstream_failed(place: str, fail: Any, build: Any, journal: Journal) -> None:
    with pytest.raises(RunError):
        build(fail, place).into(sink(stages.committing, journal), on=on(place)).run()
    # It may have been cancelled before it began.
    assert journal.lines in (["sink cleaned up"], [])


@pairwise
@BUILDS
@pytest.mark.parametrize("fail", DEATHS)
@pytest.mark.parametrize("place", FORKING)
def test_sink_never_sees_an_end_when_upstream_died(place: str, fail: Any, build: Any, journal: Journal) -> None:
    with pytest.raises(WorkerLostError):
        build(fail, place).into(sink(stages.committing, journal), on=on(place)).run()
    assert "committed" not in journal.lines


def test_sink_never_sees_an_end_when_spawned_upstream_died(journal: Journal) -> None:
    with pytest.raises(WorkerLostError):
        source_fails(stages.exit_0, "spawn").into(sink(stages.committing, journal), on=on("spawn")).run()
    assert "committed" not in journal.lines


@pytest.mark.parametrize(
    "items, error",
    [
        pytest.param(source(stages.holding_a_file, 40), UnpicklableItemError, id="unpicklable"),
        pytest.param(source(stages.unloadable_at, 40), UnpicklableItemError, id="unloadable"),
    ],
)
def test_sink_never_sees_an_end_when_an_item_could_not_come(
    items: Any, error: type[RunError], journal: Journal
) -> None:
    with pytest.raises(error):
        Pipeline(items, on=Processes(1)).into(sink(stages.committing, journal), on=Processes(1)).run()
    assert "committed" not in journal.lines


@pytest.mark.parametrize("place", MOST)
def test_sink_never_sees_an_end_when_upstream_returned_early(place: str, journal: Journal) -> None:
    pipeline = Pipeline(source(stages.count, 500), on=on(place)).then(stage(stages.first_only, 7), on=on(place))
    with pytest.raises(StageStoppedError):
        pipeline.into(sink(stages.committing, journal), on=on(place)).run()
    assert "committed" not in journal.lines


@pytest.mark.parametrize("workers", [2, 3])
def test_sink_never_sees_an_end_when_one_of_several_workers_died(workers: int, gate: Gate) -> None:
    """The others come to clean ends of their own: that is not the end of the channel."""
    held = Pipeline(source(stages.count, 3)).then(stage(stages.held_last, gate, 2), on=Processes(workers))
    with held.then(stages.same, on=Processes(1)).open() as run:
        items = iter(run)
        pid = gate.wait_held()
        assert sorted([next(items), next(items)]) == [0, 1]
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(WorkerLostError, match=rf"^stage 'held_last' lost worker \d of {workers} \(pid {pid}\): "):
            next(items)


@pytest.mark.parametrize("place", EVERYWHERE)
def test_swallowing_cancelled_does_not_make_a_failed_run_a_success(place: str, journal: Journal) -> None:
    pipeline = source_fails(stages.raise_value_error, place).then(stage(stages.swallowing_stage, journal), on=on(place))
    with pytest.raises(RunError, match=r"^source 'failing_source' .* raised ValueError:\n"):
        pipeline.into(sink(stages.swallowing, journal), on=on(place)).run()
    # The latter at a `yield`, as its generator is closed.
    assert set(journal.lines) <= {"Cancelled", "GeneratorExit"}


@pytest.mark.parametrize("place", FORKING)
def test_swallowing_cancelled_does_not_make_a_killed_run_a_success(place: str, journal: Journal) -> None:
    pipeline = source_fails(stages.sigkill, place).then(stage(stages.swallowing_stage, journal), on=on(place))
    with pytest.raises(WorkerLostError, match=r"^source 'failing_source' lost worker 1 of 1 "):
        pipeline.into(sink(stages.swallowing, journal), on=on(place)).run()
    # The latter at a `yield`, as its generator is closed.
    assert set(journal.lines) <= {"Cancelled", "GeneratorExit"}


@pytest.mark.parametrize("place", MOST)
def test_item_made_while_cancelled_goes_nowhere(place: str, journal: Journal) -> None:
    """A stage that yields once more out of its `finally`, as a batch's rest, does not deliver half a run."""
    pipeline = source_fails(stages.raise_value_error, place).then(stages.batches_with_rest, on=on(place))
    with pytest.raises(RunError):
        pipeline.into(sink(stages.committing, journal), on=on(place)).run()
    assert "committed" not in journal.lines


@pytest.mark.parametrize("place", MOST)
def test_caller_never_sees_an_end_when_upstream_failed(place: str) -> None:
    seen: list[int] = []
    with pytest.raises(RunError):
        seen.extend(stage_fails(stages.raise_value_error, place))
    assert seen == list(range(len(seen)))
    assert len(seen) <= 300

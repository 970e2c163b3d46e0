"""Rule 2: a worker ends after its input has ended, and the rest proceeds."""

import os
import signal

import pytest

from chainpump import Pipeline, Processes, source, stage
from chainpump.ipc.board import Cell, State
from faults import stages
from faults.places import FORKING, WITH_WORKERS, on
from support.gate import Gate
from support.processes import gone, until, watching


@pytest.mark.parametrize("place", WITH_WORKERS)
def test_worker_that_ends_after_its_input_leaves_the_rest_to_proceed(place: str, gate: Gate) -> None:
    """Two of three workers find the end, while the third is still in its item: what it holds arrives."""
    pipeline = Pipeline(source(stages.count, 3), on=on(place)).then(stage(stages.held_last, gate, 2), on=on(place, 3))
    with pipeline.then(stages.same, on=on(place)).open() as run:
        items = iter(run)
        gate.wait_held()
        assert sorted([next(items), next(items)]) == [0, 1]
        gate.release()
        assert list(items) == [2]


@pytest.mark.parametrize("place", FORKING)
def test_process_that_ends_after_its_input_is_gone_while_the_next_one_works(place: str, gate: Gate) -> None:
    first = Pipeline(source(stages.announced, gate, 3), on=on(place)).then(stage(stages.announcing, gate), on=on(place))
    with first.then(stage(stages.held_at, gate, 2), on=on(place)).open() as run:
        pids = {gate.wait_held() for _ in range(3)}
        assert len(pids) == 3
        items = iter(run)
        assert [next(items), next(items)] == [0, 1]
        last = run._wiring.slots[2][0].pid
        with watching(pids - {last}) as ended:
            assert gone(ended)
        gate.release()
        assert list(items) == [2]


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_more_workers_than_items_end_cleanly(workers: int) -> None:
    pipeline = Pipeline(source(stages.count, 1)).then(stages.same, on=Processes(workers))
    assert list(pipeline.then(stages.same, on=Processes(workers))) == [0]


def test_worker_killed_after_it_has_said_that_it_is_done_is_no_failure(gate: Gate) -> None:
    """All it made has been sent, so nothing is lost. A stray thread keeps its process until the kill."""
    pipeline = Pipeline(source(stages.count, 10)).then(stage(stages.leave_thread, gate))
    with pipeline.then(stages.same).open(grace=60) as run:
        pid = gate.wait_held()
        items = iter(run)
        assert [next(items) for _ in range(10)] == list(range(10))
        row = run._wiring.board.row(1)
        until(lambda: row[Cell.STATE] == State.DONE, "the worker to be done")
        os.kill(pid, signal.SIGKILL)
        assert list(items) == []

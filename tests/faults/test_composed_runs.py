"""Runs within, beside and after other runs, from any thread; each is whole by itself."""

import gc
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from chainpump import Inline, Pipeline, Processes, RunError, StageError, WorkerLostError, source, stage
from faults import stages
from faults.places import EVERYWHERE, EXECUTORS, FORKING, MOST, PROCESSES, WAYS, WITH_WORKERS, collected, on
from faults.roles import counted
from support.cases import in_turns
from support.gate import Gate, Journal
from support.processes import gone, watching


@pytest.mark.parametrize("place", EVERYWHERE)
def test_same_pipeline_gives_the_same_twice(place: str) -> None:
    pipeline = Pipeline(source(stages.count, 100), on=on(place)).then(stages.pair_up, on=on(place))
    assert list(pipeline) == list(pipeline) == list(range(100))


@pytest.mark.parametrize("place", MOST)
def test_same_pipeline_runs_again_after_a_failure(place: str, journal: Journal) -> None:
    pipeline = Pipeline(source(stages.count, 100), on=on(place)).then(stage(stages.fail_once, journal), on=on(place))
    with pytest.raises(StageError, match="raised ValueError"):
        list(pipeline)
    assert list(pipeline) == list(range(100))


@pytest.mark.parametrize("place", MOST)
def test_two_runs_of_one_pipeline_at_once_do_not_mix(place: str) -> None:
    pipeline = Pipeline(source(stages.count, 300), on=on(place)).then(stages.same, on=on(place))
    assert list(zip(pipeline, pipeline, strict=True)) == [(n, n) for n in range(300)]


@pytest.mark.parametrize("place", MOST)
def test_one_run_ends_while_another_goes_on(place: str) -> None:
    """The first one's channels must end although the second was started while they were open."""
    endless = iter(Pipeline(source(stages.count_for_ever), on=on(place)).then(stages.same, on=on(place)))
    assert next(endless) == 0
    with Pipeline(source(stages.count, 50), on=on(place)).then(stages.same, on=on(place)).open() as run:
        assert next(endless) == 1
        assert list(run) == list(range(50))
    assert next(endless) == 2
    del endless


@pytest.mark.parametrize("place", FORKING)
def test_many_runs_from_many_threads_at_once_are_each_whole(place: str) -> None:
    pipeline = Pipeline(source(stages.count, 200), on=on(place)).then(stages.same, on=on(place))
    with ThreadPoolExecutor(4) as pool:
        for items in [pool.submit(list, pipeline) for _ in range(12)]:
            assert items.result() == list(range(200))


def test_run_that_another_thread_closes_is_an_error_and_no_end(gate: Gate) -> None:
    pipeline = Pipeline(range(10)).then(stage(stages.held_at, gate, 1), on=Processes(1))
    with pipeline.open() as run, ThreadPoolExecutor(1) as pool:
        items = pool.submit(list, run)
        gate.wait_held()
        run.close()
        with pytest.raises(RunError, match="closed"):
            items.result()


def nesting(outer: str, inner: str) -> Pipeline[Any]:
    """A stage that runs pipelines."""
    numbers = Pipeline([3])
    if outer == "tasks":
        return numbers.map(partial(stages.sum_of_a_pipeline, inner), on=on(outer))
    return numbers.then(stage(stages.sums_of_a_pipeline, inner), on=on(outer))


@pytest.mark.parametrize("inner", EXECUTORS)
@pytest.mark.parametrize("outer", EXECUTORS)
def test_pipeline_in_a_stage_of_a_pipeline(outer: str, inner: str) -> None:
    assert list(nesting(outer, inner)) == [3]


@pytest.mark.parametrize("place", EXECUTORS)
def test_pipeline_in_a_stage_of_a_pipeline_with_a_sink(place: str) -> None:
    """What is within a stage does not matter for what comes out of it: so here it is of one kind with it."""
    assert collected(nesting(place, place), place) == [3]


@in_turns
@WAYS
@pytest.mark.parametrize("place", WITH_WORKERS)
def test_failure_of_an_inner_pipeline_is_the_failure_of_its_stage(place: str, way: Any) -> None:
    pipeline = counted(place, 4).then(stages.failing_pipeline, on=on(place))
    with pytest.raises(StageError, match=r"^stage 'failing_pipeline' .* raised StageError on item 0:\n") as caught:
        way(pipeline, place)
    assert isinstance(caught.value.__cause__, StageError)
    assert caught.value.__cause__.stage == "failing_stage"


@pytest.mark.parametrize("place", PROCESSES)
def test_exit_codes_of_inner_workers_are_the_librarys_alone_to_read(place: str) -> None:
    """`multiprocessing` reads those of its own children whenever any thread starts a process; each can be read once."""
    assert list(Pipeline([0]).then(stage(stages.children_beside_a_pipeline, place), on=on(place))) == [0]
    assert list(Pipeline([0]).then(stage(stages.children_beside_a_pipeline, place), on=Inline())) == [0]


def test_death_of_an_outer_worker_takes_the_inner_workers_with_it(gate: Gate) -> None:
    pipeline = Pipeline(source(stages.count, 4)).then(stage(stages.holding_pipeline, gate), on=Processes(1))
    with pipeline.open() as run:
        outer, inner = gate.wait_held(), gate.wait_held()
        with watching([outer, inner]) as workers:
            assert len(workers) == 2
            os.kill(outer, signal.SIGKILL)
            with pytest.raises(
                WorkerLostError, match=rf"^stage 'holding_pipeline' .* \(pid {outer}\): killed by SIGKILL"
            ):
                list(run)
            assert gone(workers)


def test_cancelled_outer_worker_cancels_its_inner_pipeline(gate: Gate) -> None:
    pipeline = Pipeline(source(stages.count, 4)).then(stage(stages.holding_pipeline, gate), on=Processes(1))
    with pipeline.open(grace=30):
        pids = {gate.wait_held(), gate.wait_held()}
        workers = watching(pids)
        ends = workers.__enter__()
    assert gone(ends)
    workers.__exit__(None, None, None)


@pytest.mark.parametrize("workers", [1, 2])
def test_sink_that_hoards_large_arrays_gets_all_of_them(workers: int) -> None:
    numbers = Pipeline(source(stages.arrays, 60), on=Processes(1)).then(stages.same, on=Processes(workers))
    hoard = list(numbers)
    assert sorted(int(array[0]) for array in hoard) == list(range(60))
    assert all((array == array[0]).all() for array in hoard)
    del hoard
    gc.collect()


def test_several_workers_that_hoard_large_arrays_get_all_of_them() -> None:
    numbers = Pipeline(source(stages.arrays, 60), on=Processes(1))
    # A list of what each returned.
    values: Any = numbers.into(stages.hoard_numbers, on=Processes(2)).run().value
    assert sorted(number for value in values for number in value) == list(range(60))


def test_runs_from_a_daemon_thread_while_the_main_thread_runs_another() -> None:
    pipeline = Pipeline(source(stages.count, 200)).then(stages.same, on=Processes(1))
    results: list[list[int]] = []
    thread = threading.Thread(target=lambda: results.append(list(pipeline)), daemon=True)
    thread.start()
    results.append(list(pipeline))
    thread.join()
    assert results == [list(range(200))] * 2

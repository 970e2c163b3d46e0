"""Rule 8, the strays: a child that user code leaves behind, or a fork of the main process, delays no end of a run."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from chainpump import Pipeline, Processes, StageError, StageStoppedError, WorkerLostError, source, stage
from faults import stages
from faults.places import FORK, FORKING, PROCESSES, on
from support.cases import pairwise
from support.gate import Gate, Journal
from support.processes import descendants, kill_and_reap, state
from support.threads import meanwhile

FORKS = pytest.mark.parametrize("fork", [stages.os_fork, stages.libc_fork], ids=lambda fork: fork.__name__)


@contextmanager
def strays(journal: Journal) -> Iterator[None]:
    """Afterwards, see that only the children that were left on purpose are there, and end them."""
    try:
        yield
        left = {int(pid) for pid in journal.lines}
        assert left
        assert not {state(pid) for pid in left} & {"", "Z"}, "the child was to outlive the run"
        assert descendants() == left
    finally:
        kill_and_reap(int(pid) for pid in journal.lines)


@FORKS
@pytest.mark.parametrize("place", PROCESSES)
def test_stray_child_of_a_stage_does_not_delay_a_clean_end(
    place: str, fork: Callable[[], int], journal: Journal
) -> None:
    numbers = Pipeline(source(stages.count, 100), on=on(place))
    pipeline = numbers.then(stage(stages.leave_child, fork, journal), on=on(place)).then(stages.same, on=on(place))
    with strays(journal):
        assert list(pipeline) == list(range(100))


@FORKS
@pytest.mark.parametrize("place", PROCESSES)
def test_stray_child_of_a_source_does_not_hide_the_end_from_anybody(
    place: str, fork: Callable[[], int], journal: Journal
) -> None:
    numbers = Pipeline(source(stages.count_leaving_child, 100, fork, journal), on=on(place))
    with strays(journal):
        assert numbers.then(stages.same, on=on(place, 2)).into(stages.tally, on=on(place)).run().value == 100


@pairwise
@FORKS
@pytest.mark.parametrize(
    "then, error",
    [
        pytest.param(stages.raise_value_error, StageError, id="raises"),
        pytest.param(stages.sigkill, WorkerLostError, id="SIGKILL"),
        pytest.param(stages.exit_0, WorkerLostError, id="os._exit-0"),
    ],
)
@pytest.mark.parametrize("place", FORKING)
def test_stray_child_of_a_worker_does_not_hide_its_failure(
    place: str, then: Callable[[], None], error: type[Exception], fork: Callable[[], int], journal: Journal
) -> None:
    numbers = Pipeline(source(stages.count_for_ever), on=on(place))
    pipeline = numbers.then(stage(stages.leave_child, fork, journal, then), on=on(place)).then(
        stages.same, on=on(place)
    )
    with strays(journal), pytest.raises(error, match=r"^stage 'leave_child' "):
        list(pipeline)


@FORKS
@pytest.mark.parametrize("place", FORKING)
def test_stray_child_does_not_delay_the_failure_of_another_stage(
    place: str, fork: Callable[[], int], journal: Journal
) -> None:
    numbers = Pipeline(source(stages.count_for_ever), on=on(place))
    strayed = numbers.then(stage(stages.leave_child, fork, journal), on=on(place))
    pipeline = strayed.then(stage(stages.first_only, 10), on=on(place)).then(stages.same, on=on(place))
    with strays(journal), pytest.raises(StageStoppedError, match=r"^stage 'first_only' returned after 10 items "):
        list(pipeline)


@FORKS
def test_stray_child_of_the_main_process_does_not_keep_a_run_from_ending(fork: Callable[[], int], gate: Gate) -> None:
    """It is made while the run is open, and holds whatever the main process held."""
    with Pipeline(source(stages.count, 10)).then(stage(stages.held_at, gate, 1), on=Processes(1)).open() as run:
        gate.wait_held()
        child = fork()
        if child == 0:
            while True:
                signal.pause()
        try:
            gate.release()
            assert list(run) == list(range(10))
        finally:
            kill_and_reap([child])


def test_stray_child_of_the_main_process_does_not_keep_a_failed_run_from_ending(gate: Gate) -> None:
    with Pipeline(source(stages.count, 10)).then(stage(stages.held_at, gate, 1), on=Processes(1)).open() as run:
        pid = gate.wait_held()
        child = stages.libc_fork()
        if child == 0:
            while True:
                signal.pause()
        try:
            os.kill(pid, signal.SIGKILL)
            with pytest.raises(WorkerLostError, match=rf"^stage 'held_at' lost worker 1 of 1 \(pid {pid}\): "):
                list(run)
        finally:
            kill_and_reap([child])


def test_child_of_the_main_process_that_exits_leaves_the_run_alone(gate: Gate) -> None:
    """It runs the clean-up of a copy of the run, which is not its own."""
    with Pipeline(source(stages.count, 10)).then(stage(stages.held_at, gate, 1), on=Processes(1)).open() as run:
        items = iter(run)
        assert next(items) == 0
        gate.wait_held()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                run.close()
                del items
                del run
                code = 0
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
        gate.release()
        assert list(items) == list(range(1, 10))


@pytest.mark.parametrize("method", [pytest.param("fork", marks=FORK), "forkserver"])
def test_pool_that_the_user_starts_during_a_run_does_not_disturb_it(method: str, gate: Gate) -> None:
    with Pipeline(source(stages.count, 10)).then(stage(stages.held_at, gate, 1), on=Processes(1)).open() as run:
        gate.wait_held()
        with multiprocessing.get_context(method).Pool(2) as pool:
            assert pool.map(abs, [-1, -2, -3]) == [1, 2, 3]
            gate.release()
            assert list(run) == list(range(10))
            pool.close()
            pool.join()


def test_children_that_the_user_asks_after_do_not_take_the_workers_exit_codes(gate: Gate) -> None:
    """`multiprocessing.active_children()`, as every start of a process, joins all that the library knows of."""
    asking = threading.Event()
    asking.set()

    def ask() -> None:
        while asking.is_set():
            multiprocessing.active_children()

    with meanwhile(ask):
        try:
            for _ in range(30):
                with Pipeline(range(10)).then(stage(stages.held, gate), on=Processes(1)).open() as run:
                    os.kill(gate.wait_held(), signal.SIGKILL)
                    with pytest.raises(WorkerLostError, match="killed by SIGKILL"):
                        list(run)
        finally:
            asking.clear()

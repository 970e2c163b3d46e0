"""Rule 8: nothing is left behind, however the run ends; `finally` blocks of generators run.

The fixture `nothing_left` looks for processes, threads, descriptors, mappings and noise after every test; these tests
look for processes at once, where the library has promised that they are gone.
"""

import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from multiprocessing import process
from pathlib import Path
from typing import Any

import pytest

from chainpump import Inline, Pipeline, Processes, RunError, Threads, sink, source, stage
from chainpump.engine.fault_rules import VARIABLE
from chainpump.engine.lifecycle import Left
from chainpump.engine.supervisor import Supervisor
from chainpump.engine.wiring import Wiring
from chainpump.engine.worker_slot import WorkerSlot
from chainpump.executors.process_handle import ProcessHandle
from chainpump.executors.thread_handle import ThreadHandle
from chainpump.ipc.descriptors import kept_by_fork, opened_pair
from chainpump.worker import output
from chainpump.worker.output import Output
from faults import stages
from faults.places import ANYWHERE, on, places, plain
from faults.roles import made, through
from support.gate import LIMIT, Gate, Journal
from support.processes import descendants, until
from support.threads import threads_that_stay

CLEANED_UP = ["source cleaned up", "stage cleaned up"]


def endless(place: str, journal: Journal) -> Pipeline[int]:
    """Workers that would never end by themselves."""
    numbers = made(place, stages.counting, 1 << 60, journal)
    if place == "tasks":
        numbers = through(numbers, place, 8)
    return numbers.then(stage(stages.noting, journal, "stage"), on=on(plain(place)))


@pytest.mark.parametrize("place", ANYWHERE)
def test_leaving_the_loop_cancels_every_worker_and_runs_its_clean_up(place: str, journal: Journal) -> None:
    for item in endless(place, journal):
        if item == 3:
            break
    gc.collect()
    assert descendants() == set()
    assert sorted(journal.lines) == CLEANED_UP


@pytest.mark.parametrize("place", ANYWHERE)
def test_leaving_an_open_run_early_cancels_every_worker(place: str, journal: Journal) -> None:
    with endless(place, journal).open() as run:
        items = iter(run)
        assert next(items) == 0
    assert descendants() == set()
    assert sorted(journal.lines) == CLEANED_UP


@pytest.mark.parametrize("place", ANYWHERE)
def test_exception_in_the_block_of_an_open_run_cancels_every_worker(place: str, journal: Journal) -> None:
    with pytest.raises(KeyError, match="mine"), endless(place, journal).open() as run:
        raise KeyError("mine", next(iter(run)))
    assert descendants() == set()
    assert sorted(journal.lines) == CLEANED_UP


@pytest.mark.parametrize("place", ANYWHERE)
def test_half_read_iterator_that_is_dropped_cancels_every_worker(place: str, journal: Journal) -> None:
    items = iter(endless(place, journal))
    assert next(items) == 0
    del items
    assert descendants() == set()
    assert sorted(journal.lines) == CLEANED_UP


@pytest.mark.parametrize("place", ANYWHERE)
def test_half_read_iterator_in_a_cycle_cancels_every_worker_once_it_is_collected(place: str, journal: Journal) -> None:
    cycle: list[Any] = [iter(endless(place, journal))]
    cycle.append(cycle)
    assert next(cycle[0]) == 0
    del cycle
    gc.collect()
    assert descendants() == set()
    assert sorted(journal.lines) == CLEANED_UP


@pytest.mark.parametrize("place", ANYWHERE)
def test_run_that_was_opened_and_dropped_unread_cancels_every_worker(place: str, journal: Journal) -> None:
    run = endless(place, journal).open()
    del run
    gc.collect()
    assert descendants() == set()
    # A worker may have been cancelled before it began.
    assert set(journal.lines) <= set(CLEANED_UP)


@pytest.mark.parametrize("place", ANYWHERE)
def test_items_asked_for_after_the_end_of_the_block_are_an_error_and_no_end(place: str, journal: Journal) -> None:
    with endless(place, journal).open() as run:
        items = iter(run)
        assert next(items) == 0
    with pytest.raises(Exception, match="closed"):
        list(items)


@pytest.mark.parametrize("place", ANYWHERE)
def test_nothing_is_left_of_a_failed_run(place: str, journal: Journal) -> None:
    failing = endless(place, journal).then(
        stage(stages.failing_stage, stages.raise_value_error, 3), on=on(plain(place))
    )
    with pytest.raises(Exception, match="raised ValueError on item 3"):
        list(failing)
    assert descendants() == set()
    assert sorted(journal.lines) == CLEANED_UP


def test_clean_up_of_a_stage_runs_although_that_of_another_in_the_same_worker_raises(journal: Journal) -> None:
    numbers = Pipeline(source(stages.counting, 1 << 60, journal), on=Inline())
    for _ in numbers.then(stage(stages.raising_in_clean_up), on=Inline()).then(stage(stages.noting, journal, "stage")):
        break
    assert sorted(journal.lines) == CLEANED_UP


@pytest.mark.parametrize("place", ANYWHERE)
def test_nothing_is_left_of_a_run_that_has_succeeded(place: str, journal: Journal) -> None:
    noted = made(place, stages.counting, 10, journal).then(stage(stages.noting, journal, "stage"), on=on(plain(place)))
    report = noted.into(sink(stages.tally), on=on(plain(place))).run()
    assert descendants() == set()
    assert report.value == 10
    assert sorted(journal.lines) == [*CLEANED_UP, "stage saw the end"]


def test_clean_up_of_a_worker_that_is_busy_runs_within_the_grace(gate: Gate, journal: Journal) -> None:
    """It is inside an item, in a call that waits: SIGTERM reaches it there."""
    pipeline = Pipeline(range(10)).then(stage(stages.held_noting, gate, journal), on=Processes(1))
    with pipeline.open():
        gate.wait_held()
    assert journal.lines == ["Cancelled", "cleaned up"]


@pytest.mark.parametrize("place", places("fork"))
def test_clean_up_of_a_worker_that_is_busy_runs_although_its_flusher_was_told_first(
    place: str, gate: Gate, second_gate: Gate, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is sent beside it finds the run cancelled; only then comes SIGTERM."""
    interrupt = ProcessHandle.interrupt
    wait_held = cache(second_gate.wait_held)

    def interrupt_after(handle: ProcessHandle) -> None:
        wait_held()
        interrupt(handle)

    def flush_cancelled(output: Output) -> int:
        while not output._cancelled[0]:
            time.sleep(0.001)
        try:
            output.flush()
        finally:
            second_gate.announce()
        return 0

    monkeypatch.setattr(ProcessHandle, "interrupt", interrupt_after)
    monkeypatch.setattr(Output, "flush_old", flush_cancelled)
    # However slow the machine is, only the flusher sends the first two items.
    monkeypatch.setattr(output, "FLUSH_NS", 1 << 62)
    monkeypatch.setattr(Output, "frame_items", 10)
    held = Pipeline(source(stages.held_at_noting, range(10), gate, 2, journal), on=on(place))
    with held.open(grace=LIMIT):
        gate.wait_held()
    assert journal.lines == ["stage cleaned up"]


FINALIZING = [
    stages.held_in_del,
    stages.held_in_finalizer,
    stages.held_in_callback,
    stages.held_in_dropped_generator,
]


@pytest.mark.parametrize("finalizing", FINALIZING, ids=lambda it: it.__name__)
def test_cancellation_that_arrives_in_a_finalizer_is_not_lost(finalizing: Any, gate: Gate, journal: Journal) -> None:
    """Python drops what is raised there; so the worker must hear of it afterwards, where it waits for ever."""
    pipeline = Pipeline(range(10)).then(stage(finalizing, gate, journal), on=Processes(1))
    with pipeline.open(grace=10):
        gate.wait_held()
    assert journal.lines == ["Cancelled"]


def test_cancellation_of_a_thread_that_is_lost_in_a_callback_is_sent_again(
    gate: Gate, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = sys.unraisablehook
    kill = ThreadHandle.kill

    def kill_in_callback(handle: ThreadHandle) -> None:
        # Taken away first: what sends the cancellation again is a `kill` that releases nobody, at any time later.
        monkeypatch.setattr(ThreadHandle, "kill", kill)
        kill(handle)
        gate.release()

    monkeypatch.setattr(ThreadHandle, "kill", kill_in_callback)
    pipeline = Pipeline(range(10)).then(stage(stages.killed_in_callback, gate, journal), on=Threads(1))
    with pipeline.open(grace=1):
        gate.wait_held()
    assert journal.lines == ["Cancelled"]
    assert sys.unraisablehook is hook


def test_nothing_is_left_where_a_worker_could_not_be_started(journal: Journal) -> None:
    pipeline = Pipeline(source(stages.counting, 1 << 60, journal), on=Processes(1)).then(
        stages.same, on=stages.NeverStarts()
    )
    with pytest.raises(Exception, match=r"^stage 'same' could not start worker 1 of 1: OSError: no room"):
        list(pipeline)
    assert descendants() == set()


class Pressing(list[Sequence[WorkerSlot]]):
    """The slots of a run. Presses Ctrl-C when somebody first looks at what is in them."""

    pressed = False

    def __iter__(self) -> Iterator[Sequence[WorkerSlot]]:
        if not self.pressed:
            self.pressed = True
            signal.raise_signal(signal.SIGINT)
        return super().__iter__()


def test_ctrl_c_as_somebody_begins_to_watch_the_workers_leaves_none(
    monkeypatch: pytest.MonkeyPatch, gate: Gate
) -> None:
    start = Supervisor.start

    def press(supervisor: Supervisor) -> None:
        if not isinstance(supervisor._wiring.slots, Pressing):
            supervisor._wiring.slots = Pressing(supervisor._wiring.slots)
        start(supervisor)

    monkeypatch.setattr(Supervisor, "start", press)
    pipeline = Pipeline(range(10)).then(stage(stages.held, gate), on=Processes(2))
    with pytest.raises(KeyboardInterrupt):
        pipeline.into(sum, on=Processes(1)).run()
    assert descendants() == set()


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("name", ["chainpump same 1/2", "chainpump supervisor", "chainpump logs", "chainpump observer"])
def test_ctrl_c_as_a_thread_of_the_run_is_started_leaves_nothing(
    name: str, before: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in the moment in which the run does not know of it yet. It ends only once the run waits for it."""
    start, join = threading.Thread.start, threading.Thread.join
    waited_for = threading.Event()

    def press(thread: threading.Thread) -> None:
        if thread.name != name:
            return start(thread)
        run = thread.run
        monkeypatch.setattr(thread, "run", lambda: (run(), waited_for.wait(LIMIT)))
        if before:
            signal.raise_signal(signal.SIGINT)
        start(thread)
        return None if before else signal.raise_signal(signal.SIGINT)

    def wait(thread: threading.Thread, timeout: float | None = None) -> None:
        if thread.name == name:
            waited_for.set()
        join(thread, timeout)

    monkeypatch.setattr(threading.Thread, "start", press)
    monkeypatch.setattr(threading.Thread, "join", wait)
    pipeline = Pipeline(source(stages.count_for_ever), on=Processes(1)).then(stages.same, on=Threads(2))
    with pytest.raises(KeyboardInterrupt):
        pipeline.into(sum, on=Processes(1)).run(observe=lambda _: None)
    assert waited_for.is_set()
    assert descendants() == set()


def test_views_of_shared_memory_outlive_their_run() -> None:
    kept = list(Pipeline(source(stages.arrays, 20, 300_000), on=Processes(1)).then(stages.same, on=Processes(1)))
    assert [int(array[0]) for array in kept] == list(range(20))
    assert all((array == array[0]).all() for array in kept)
    # They are writable, and do not share memory with each other.
    kept[0][:] = 99
    assert [int(array[0]) for array in kept[1:]] == list(range(1, 20))


def test_threads_and_processes_mixed_leave_nothing(journal: Journal) -> None:
    pipeline = (
        Pipeline(source(stages.counting, 1 << 60, journal), on=Threads(1))
        .then(stage(stages.noting, journal, "process"), on=Processes(2))
        .then(stage(stages.noting, journal, "thread"), on=Threads(2))
    )
    for item in pipeline:
        if item > 10:
            break
    gc.collect()
    assert descendants() == set()
    assert sorted(set(journal.lines)) == ["process cleaned up", "source cleaned up", "thread cleaned up"]


def test_run_that_is_cancelled_while_it_starts_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a thread of its own, say."""
    start = Supervisor.start

    def cancelled(supervisor: Supervisor) -> None:
        supervisor.post(Left(0))
        start(supervisor)

    monkeypatch.setattr(Supervisor, "start", cancelled)
    with (
        Pipeline(source(stages.count_for_ever), on=Processes()).open() as run,
        pytest.raises(RunError, match="was closed"),
    ):
        list(run)
    assert descendants() == set()


def test_run_that_is_collected_in_a_thread_of_its_own_leaves_no_other() -> None:
    run: Any = Pipeline(source(stages.count_for_ever)).then(collecting, on=Threads()).open(observe=id)
    next(iter(run))
    run.cycle = run
    del run
    assert threads_that_stay() == []


def within_a_fork(action: Callable[[], object]) -> None:
    with kept_by_fork(()):
        action()


def while_a_pipe_is_opened(action: Callable[[], object]) -> None:
    def made() -> tuple[int, int]:
        action()
        return os.pipe()

    for end in opened_pair(made):
        end.close()


@pytest.mark.parametrize("when", [within_a_fork, while_a_pipe_is_opened])
def test_run_that_is_collected_where_no_other_thread_can_fork_does_not_wait_for_its_own_turn(
    when: Callable[[Callable[[], object]], None], gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A finalizer breaks in where another run starts a worker, just as this run is about to replace one."""
    start, is_about_to = Wiring.start, threading.Event()

    def start_successor(wiring: Wiring, slot: WorkerSlot, condemned: Any) -> Any:
        if condemned is not None:
            is_about_to.set()
        return start(wiring, slot, condemned)

    monkeypatch.setattr(Wiring, "start", start_successor)
    runs = [Pipeline(range(10)).map(gate.hold, on=Processes(1, restarts=1)).open()]
    pid = gate.wait_held()

    def collect() -> None:
        os.kill(pid, signal.SIGKILL)
        assert is_about_to.wait(LIMIT)
        runs.clear()

    when(collect)
    until(lambda: descendants() == set(), "the end of the run")


def collecting(items: Iterable[int]) -> Iterator[int]:
    for item in items:
        gc.collect()
        yield item


@pytest.mark.parametrize("place", places("fork"))
def test_clean_up_of_a_stage_that_could_not_send_is_not_interrupted(
    place: str, gate: Gate, second_gate: Gate, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It sends items 0 and 1 as it waits for another, and is told there that it cannot; only then comes SIGTERM.

    No flusher may send them before: a failure of its own would be told at once, and nobody would be interrupted.
    """
    interrupt = ProcessHandle.interrupt

    def interrupt_in_clean_up(handle: ProcessHandle) -> None:
        interrupt(handle)
        if handle._who.stage == "clean":
            second_gate.release()

    monkeypatch.setattr(ProcessHandle, "interrupt", interrupt_in_clean_up)
    monkeypatch.setattr(output, "FLUSH_NS", 10**18)
    monkeypatch.setattr(
        Output, "frame_items", property(lambda _: 10 if "clean" in process.current_process().name else 1)
    )
    monkeypatch.setenv(VARIABLE, "send@clean=#1")
    held = Pipeline(source(stages.held_at, range(10), gate, 2), on=on(place))
    clean = held.then(stage(stages.held_in_clean_up, second_gate, journal), on=on(place), name="clean")
    with clean.open():
        second_gate.wait_held()
    assert journal.lines == ["cleaned up"]


@pytest.mark.parametrize("place", places("forkserver", "fork", "threads", "tasks", "inline"))
def test_descriptors_and_memory_of_a_run_go_without_the_garbage_collector(place: str) -> None:
    def run_in_every_way() -> None:
        same = through(made(place, stages.count, 10), place, 1)
        assert sorted(same) == list(range(10))
        assert same.into(sum, on=on(plain(place))).run().value == 45
        with same.open() as run:
            next(iter(run))
        with pytest.raises(RunError):
            list(same.then(stage(stages.failing_stage, stages.raise_value_error, 3), on=on(plain(place))))

    # What the fork server and the standard library keep is there from now on.
    run_in_every_way()
    gc.collect()
    gc.disable()
    try:
        before = len(list(Path("/proc/self/fd").iterdir()))
        for _ in range(3):
            run_in_every_way()
        assert len(list(Path("/proc/self/fd").iterdir())) == before
    finally:
        gc.enable()

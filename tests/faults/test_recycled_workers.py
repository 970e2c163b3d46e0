"""What goes wrong while a worker retires, or while its successor waits for its turn."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from chainpump import Pipeline, Processes, RunError, StageError, WorkerLostError, per_worker, stage
from chainpump.engine.worker_slot import WorkerSlot
from chainpump.executors.process_handle import ProcessHandle
from chainpump.executors.start_methods import StartMethod
from chainpump.worker.worker import Worker
from faults import deaths
from faults.places import FORKING
from support.gate import Gate, Journal
from support.processes import gone, press_ctrl_c, until, watching

# A worker holds at this item, when it has requested its successor.
HELD = 40
AFTER = 50
N = 120


def recycled(place: StartMethod = "forkserver", **options: Any) -> Processes:
    return Processes(start_method=place, recycle_after=AFTER, **options)


def chain(gate: Gate, on: Processes, n: int = N) -> Pipeline[int]:
    """A stage with one worker, which holds at an item. Its items travel one by one."""
    return Pipeline(range(n)).map(partial(deaths.held_at, gate, [HELD]), on=on, in_flight=1, name="held")


def slot_of(run: Any) -> WorkerSlot:
    slot: WorkerSlot = run._wiring.slots[1][0]
    return slot


def successor_of(run: Any) -> int:
    """Wait until a successor has been started; its process."""
    found: list[int] = []

    def is_there() -> bool:
        successor = slot_of(run).successor
        found.extend([successor.worker.pid] if successor is not None else [])
        return bool(found)

    until(is_there, "a successor")
    return found[0]


# ------------------------------------------------------------------------------------------------ a worker dies


@pytest.mark.parametrize("place", FORKING)
def test_death_of_a_worker_with_a_waiting_successor_is_named(place: StartMethod, gate: Gate) -> None:
    with chain(gate, recycled(place)).open() as run:
        pid = gate.wait_held()
        with watching([successor_of(run)]) as watched:
            os.kill(pid, signal.SIGKILL)
            with pytest.raises(
                WorkerLostError, match=rf"^stage 'held' lost worker 1 of 1 \(pid {pid}\): killed by SIGKILL"
            ):
                list(run)
            assert gone(watched)


@pytest.mark.parametrize("place", FORKING)
def test_with_restarts_the_waiting_successor_takes_the_place_of_the_dead(place: StartMethod, gate: Gate) -> None:
    with chain(gate, recycled(place, restarts=1)).open() as run:
        pid = gate.wait_held()
        waiting = successor_of(run)
        os.kill(pid, signal.SIGKILL)
        # The item is processed again.
        assert gate.wait_held() == waiting
        gate.release()
        assert list(run) == list(range(N))
    held = run.report().stages[1]
    assert (held.restarts, held.received) == (1, N)


@pytest.mark.parametrize("place", FORKING)
def test_death_of_a_successor_before_its_turn_costs_nothing(
    place: StartMethod, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), chain(gate, recycled(place)).open() as run:
        gate.wait_held()
        pid = successor_of(run)
        os.kill(pid, signal.SIGKILL)
        until(lambda: slot_of(run).successor is None, "the death to be noticed")
        gate.release()
        assert list(run) == list(range(N))
    assert run.report().stages[1].recycled == N // AFTER
    text = f"stage 'held' (worker 1 of 1, pid {pid}) has ended before it received an item: killed by SIGKILL"
    assert [record.message for record in caplog.records if record.message.startswith(text)]


def test_failure_of_a_successor_before_its_turn_costs_nothing(
    gate: Gate, journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    factory = per_worker(set_up, gate, journal, [2])
    pipeline = Pipeline(range(N)).map(factory, on=recycled(), in_flight=1)
    with caplog.at_level(logging.WARNING), pipeline.open() as run:
        gate.wait_held()
        successor_of(run)
        until(lambda: slot_of(run).successor is None, "its failure to be noticed")
        gate.release()
        assert list(run) == list(range(N))
    assert run.report().stages[1].recycled == N // AFTER
    # A successor that waits at the end of the input has set up, too.
    assert journal.lines.count("left") in (N // AFTER + 1, N // AFTER + 2)
    assert any("the factory is tired" in record.message for record in caplog.records)


def test_failure_of_each_successor_ends_the_run(gate: Gate, journal: Journal) -> None:
    factory = per_worker(set_up, gate, journal, range(2, 100))
    gate.release()
    with pytest.raises(StageError, match="the factory is tired"):
        list(Pipeline(range(N)).map(factory, on=recycled(), in_flight=1))


@contextmanager
def set_up(gate: Gate, journal: Journal, fails: Iterable[int] = ()) -> Generator[Callable[[int], int]]:
    """A factory that fails when it is called for the n-th time, counted from 1."""
    journal.write("called")
    if journal.lines.count("called") in fails:
        raise RuntimeError("the factory is tired")
    try:
        yield partial(deaths.held_at, gate, [HELD])
    finally:
        journal.write("left")


# --------------------------------------------------------------------------------------------- a successor is refused


@contextmanager
def refusing(monkeypatch: pytest.MonkeyPatch, starts: Iterable[int]) -> Iterator[list[int]]:
    """The system refuses these starts of a worker of the stage, counted from 1. Yields all starts so far."""
    seen: list[int] = []
    start = ProcessHandle.__init__

    def refuse(handle: ProcessHandle, worker: Worker, *rest: Any) -> None:
        seen.append(len(seen) + 1)
        if seen[-1] in starts:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        start(handle, worker, *rest)

    with monkeypatch.context() as patches:
        patches.setattr(ProcessHandle, "__init__", refuse)
        yield seen


def test_a_successor_that_the_system_refuses_is_started_when_it_is_needed(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    with refusing(monkeypatch, starts=[2]) as seen, chain(gate, recycled()).open() as run:
        gate.wait_held()
        until(lambda: len(seen) == 2, "the refused start")
        gate.release()
        assert list(run) == list(range(N))
    assert run.report().stages[1].recycled == N // AFTER
    assert len(seen) >= N // AFTER + 2


def test_the_run_fails_if_no_worker_can_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    text = r"^stage 'abs' could not start worker 1 of 1: BlockingIOError: .*Resource temporarily unavailable"
    with refusing(monkeypatch, starts=range(2, 100)), pytest.raises(RunError, match=text):
        list(Pipeline(range(N)).map(abs, on=recycled(), in_flight=1))


# ------------------------------------------------------------------------------------------------ the end of the run


@pytest.mark.parametrize("place", FORKING)
def test_a_successor_that_waits_ends_with_the_input(place: StartMethod, gate: Gate, journal: Journal) -> None:
    with chain(gate, recycled(place), n=HELD + 2).open() as run:
        gate.wait_held()
        with watching([successor_of(run)]) as watched:
            gate.release()
            assert list(run) == list(range(HELD + 2))
            assert gone(watched)
    assert run.report().stages[1].recycled == 0


def test_a_successor_that_is_not_needed_tears_down_what_it_has_set_up(gate: Gate, journal: Journal) -> None:
    factory = per_worker(set_up, gate, journal)
    with Pipeline(range(HELD + 2)).map(factory, on=recycled(), in_flight=1).open() as run:
        gate.wait_held()
        successor_of(run)
        until(lambda: journal.lines.count("called") == 2, "the set-up of the successor")
        gate.release()
        assert list(run) == list(range(HELD + 2))
    assert journal.lines.count("left") == 2


@pytest.mark.parametrize("place", FORKING)
def test_a_run_that_is_left_while_a_successor_waits_leaves_nothing(place: StartMethod, gate: Gate) -> None:
    with chain(gate, recycled(place)).open() as run:
        pid = gate.wait_held()
        pids = [pid, successor_of(run)]
        with watching(pids) as watched:
            run.close()
            assert gone(watched)


@pytest.mark.parametrize("place", FORKING)
def test_ctrl_c_while_a_successor_waits_leaves_nothing(place: StartMethod, gate: Gate) -> None:
    with chain(gate, recycled(place)).open() as run:
        pid = gate.wait_held()
        pids = [pid, successor_of(run)]
        with watching(pids) as watched:
            with pytest.raises(KeyboardInterrupt), pressing_ctrl_c():
                list(run)
            assert gone(watched)


@contextmanager
def pressing_ctrl_c() -> Iterator[None]:
    import threading

    thread = threading.Thread(target=press_ctrl_c, args=(os.getpid(),))
    thread.start()
    try:
        yield
    finally:
        thread.join()


@pytest.mark.parametrize("place", FORKING)
def test_a_run_that_is_left_while_a_worker_cleans_up_leaves_nothing(
    place: StartMethod, gate: Gate, journal: Journal
) -> None:
    pipeline = Pipeline(range(N)).then(stage(cleaning_up, gate), on=recycled(place), in_flight=1)
    with pipeline.open() as run:
        found = []
        for item in run:
            found.append(item)
            if item == AFTER - 2:
                break
        next(iter(run))
        pid = gate.wait_held()
        with watching([pid, *([slot.worker.pid] if (slot := slot_of(run).successor) is not None else [])]) as watched:
            run.close()
            assert gone(watched)
    assert found == list(range(AFTER - 1))


def cleaning_up(items: Iterable[int], gate: Gate) -> Iterator[int]:
    """Hold in the clean-up."""
    try:
        yield from items
    finally:
        gate.hold(None)


@pytest.mark.parametrize("place", FORKING)
def test_a_worker_that_is_killed_after_its_share_is_followed_all_the_same(place: StartMethod, gate: Gate) -> None:
    """Its results have been sent, and it has said so on the board, but not in a report."""
    on = recycled(place)
    with Pipeline(range(N)).map(per_worker(dying_at_its_end, gate), on=on, in_flight=1).open() as run:
        assert list(run) == list(range(N))
    assert run.report().stages[1].recycled == N // AFTER


@contextmanager
def dying_at_its_end(gate: Gate) -> Generator[Callable[[int], int]]:
    """The process dies between its last result and its report."""
    from chainpump.executors.process_run import ProcessRun
    from chainpump.worker.outcome import Finished

    send = ProcessRun._report_outcome

    def die(run: ProcessRun, outcome: Any) -> None:
        if isinstance(outcome, Finished) and outcome.retired:
            os.kill(os.getpid(), signal.SIGKILL)
        send(run, outcome)

    ProcessRun._report_outcome = die  # type: ignore[method-assign]
    yield abs

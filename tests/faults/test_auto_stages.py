"""What goes wrong while workers of auto stages come and go: the run says so as ever, or goes on whole."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from chainpump import Executor, Pipeline, Processes, RunError, StageError, Threads, WorkerLostError, source, stage
from chainpump.executors.process_handle import ProcessHandle
from chainpump.executors.thread_handle import ThreadHandle
from chainpump.worker.worker import Worker
from faults import deaths, stages
from faults.places import FORKING, MOST_WORKERS
from support.gate import Gate, Journal
from support.processes import descendants, press_ctrl_c, until
from support.scaling import ForcedScaling
from support.threads import meanwhile

N = 1_000
ANY = pytest.mark.parametrize("place", MOST_WORKERS)
Start = Callable[[Any, Worker], Any]


def auto(place: str, restarts: int = 0) -> Executor:
    if place == "threads":
        return Threads("auto")
    return Processes("auto", start_method=place, restarts=restarts)  # type: ignore[arg-type]  # a name of a method


def as_a_second_starts(monkeypatch: pytest.MonkeyPatch, do: Callable[[], object]) -> None:
    """Do this in the middle of the start of any worker with the number 2."""

    def starting(start: Callable[..., None]) -> Callable[..., None]:
        def started(handle: object, worker: Worker, *rest: Any) -> None:
            if worker.who.number == 2:
                do()
            start(handle, worker, *rest)

        return started

    for kind in (ProcessHandle, ThreadHandle):
        monkeypatch.setattr(kind, "__init__", starting(kind.__init__))


def fail(error: BaseException) -> None:
    raise error


# --------------------------------------------------------------------------------------------- as another one is given


@pytest.mark.parametrize("place", FORKING)
def test_worker_that_is_killed_as_another_one_is_started_is_named(
    place: str, gate: Gate, scaling: ForcedScaling, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids: list[int] = []
    as_a_second_starts(monkeypatch, lambda: os.kill(pids[0], signal.SIGKILL))
    with Pipeline(range(N)).then(stage(stages.held, gate), on=auto(place)).open() as run:
        pids.append(gate.wait_held())
        scaling.wanted["held"] = 2
        with pytest.raises(WorkerLostError, match=rf"^stage 'held' lost worker 1 of 4 \(pid {pids[0]}\): killed by"):
            list(run)


@pytest.mark.parametrize("place", FORKING)
def test_worker_that_is_killed_as_another_one_is_started_is_replaced(
    place: str, gate: Gate, scaling: ForcedScaling, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids: list[int] = []
    as_a_second_starts(monkeypatch, lambda: os.kill(pids[0], signal.SIGKILL))
    held = partial(deaths.held_at, gate, [0])
    with Pipeline(range(N)).map(held, on=auto(place, restarts=1), name="held").open() as run:
        pids.append(gate.wait_held())
        scaling.wanted["held"] = 2
        # The successor, in the same item.
        gate.wait_held()
        gate.release(1)
        assert list(run) == list(range(N))
        assert [each.restarts for each in run.report().stages] == [0, 1, 0]


@ANY
def test_worker_that_cannot_be_started_late_ends_the_run_and_is_named(
    place: str, gate: Gate, scaling: ForcedScaling, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_a_second_starts(monkeypatch, lambda: fail(OSError("no room")))
    with Pipeline(range(N)).then(stage(stages.held, gate), on=auto(place)).open() as run:
        gate.wait_held()
        scaling.wanted["held"] = 2
        with pytest.raises(RunError, match=r"^stage 'held' could not start worker 2 of 4: OSError: no room"):
            list(run)


@ANY
def test_ctrl_c_as_a_worker_is_started_leaves_none(
    place: str, gate: Gate, scaling: ForcedScaling, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Pipeline(range(N)).then(stage(stages.held, gate), on=auto(place)).open() as run:

        def press() -> None:
            press_ctrl_c(os.getpid())
            until(lambda: bool(run._supervisor._mail), "the run to be left")

        as_a_second_starts(monkeypatch, press)
        gate.wait_held()
        scaling.wanted["held"] = 2
        with pytest.raises(KeyboardInterrupt):
            list(run)
    assert descendants() == set()


@ANY
def test_run_can_be_left_as_workers_come_and_go(place: str, scaling: ForcedScaling) -> None:
    for seed in range(5):
        scaling.shuffle(seed)
        pipeline = Pipeline(source(stages.count_for_ever), on=Threads()).then(stages.same, on=auto(place))
        with pipeline.then(stages.same, on=auto(place)).open() as run:
            for _ in run:
                if len(run.report().decisions) >= 3:
                    break
        assert descendants() == set()


# ------------------------------------------------------------------------------------------------ as it is decided


@ANY
def test_defect_in_a_decision_ends_the_run(
    place: str, gate: Gate, scaling: ForcedScaling, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Pipeline(range(N)).then(stage(stages.held, gate), on=auto(place)).open() as run:
        gate.wait_held()
        monkeypatch.setattr(scaling, "_choose", lambda _: fail(ZeroDivisionError("odd figures")))
        with pytest.raises(ZeroDivisionError, match=r"^odd figures$"):
            list(run)


@ANY
def test_worker_that_raises_as_others_come_and_go_is_named_with_its_item(place: str, scaling: ForcedScaling) -> None:
    scaling.shuffle(seed=1)
    pipeline = Pipeline(range(N)).map(partial(deaths.raising_at, 700), on=auto(place), name="raising")
    with pytest.raises(StageError, match=r"^stage 'raising' .* raised ValueError on item 700"):
        list(pipeline)


# ------------------------------------------------------------------------------------------- as one is to retire


@pytest.mark.parametrize("place", FORKING)
def test_worker_that_is_killed_as_it_is_to_retire_has_not_finished(
    place: str, gate: Gate, scaling: ForcedScaling
) -> None:
    with Pipeline(range(N)).then(stage(stages.held, gate), on=auto(place)).open() as run:
        scaling.wanted["held"] = 2
        pids = {gate.wait_held(), gate.wait_held()}
        scaling.wanted["held"] = 1
        until(lambda: len(run.report().decisions) == 2, "the decision")
        (second,) = (slot.worker.pid for slot in run._wiring.all_slots if slot.worker and slot.number == 1)
        assert second in pids
        os.kill(second, signal.SIGKILL)
        with pytest.raises(WorkerLostError, match=rf"^stage 'held' lost worker 2 of 4 \(pid {second}\)"):
            list(run)


@pytest.mark.parametrize("place", FORKING)
def test_what_a_worker_had_in_hand_as_it_was_to_retire_is_its_successors(
    place: str, gate: Gate, scaling: ForcedScaling
) -> None:
    held = partial(deaths.held_at, gate, range(2))
    with Pipeline(range(N)).map(held, on=auto(place, restarts=1), name="held").open() as run:
        scaling.wanted["held"] = 2
        gate.wait_held()
        gate.wait_held()
        scaling.wanted["held"] = 1
        until(lambda: len(run.report().decisions) == 2, "the decision")
        (second,) = (slot.worker.pid for slot in run._wiring.all_slots if slot.worker and slot.key == (1, 1))
        os.kill(second, signal.SIGKILL)
        assert gate.wait_held() != second
        gate.release(2)
        assert list(run) == list(range(N))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("place", FORKING)
def test_every_output_comes_once_and_in_order_although_workers_come_go_and_die(
    place: str, seed: int, scaling: ForcedScaling, journal: Journal
) -> None:
    scaling.shuffle(seed)
    dying = partial(deaths.doubled, range(0, N, 97), stages.sigkill, journal, 1)
    pipeline = Pipeline(range(N)).map(dying, on=auto(place, restarts=100))
    assert list(pipeline) == [2 * number for number in range(N)]
    assert len(journal.lines) == len(range(0, N, 97))


@ANY
def test_sink_that_commits_does_not_do_so_before_the_run_has_gone_well(
    place: str, journal: Journal, gate: Gate, scaling: ForcedScaling
) -> None:
    """Although two of three are not needed any more."""
    failing = stage(stages.fail_at_one, stages.raise_value_error, gate, 50)
    sink = partial(stages.committing, journal=journal)
    runnable = Pipeline(range(N)).then(failing, on=Threads()).into(sink, on=auto(place), name="committing")

    def fails() -> None:
        with pytest.raises(StageError, match=r"^stage 'fail_at_one' .* raised ValueError on item 50"):
            runnable.run()

    with meanwhile(fails):
        gate.wait_held()
        scaling.wanted["committing"] = 3
        until(lambda: scaling.seen.get("committing") == 3, "three of them")
        scaling.wanted["committing"] = 1
        gate.release(51)
    assert set(journal.lines) == {"sink cleaned up"}

"""Rule 4, second half: a process dies without having said that it finished; the error names it and its death."""

import os
import signal
import time
from multiprocessing import forkserver
from typing import Any

import pytest

from chainpump import Inline, Pipeline, Processes, WorkerLostError, source, stage
from chainpump.engine.lifecycle import Phase
from faults import stages
from faults.places import FORKING, PROCESSES, WAYS, beside, on
from faults.roles import Fail, counted, failing_sink, failing_source, failing_stage
from support.cases import in_turns, pairwise
from support.gate import Gate
from support.processes import gone, until, wait_asleep, watching
from support.threads import meanwhile

DEATHS = [
    pytest.param(stages.exit_0, r"exited with code 0", 0, None, id="os._exit-0"),
    pytest.param(stages.exit_3, r"exited with code 3", 3, None, id="os._exit-3"),
    pytest.param(stages.sigkill, r"killed by SIGKILL", -9, signal.SIGKILL, id="SIGKILL"),
    pytest.param(stages.sigsegv, r"killed by SIGSEGV", -11, signal.SIGSEGV, id="SIGSEGV"),
    pytest.param(stages.sigabrt, r"killed by SIGABRT", -6, signal.SIGABRT, id="SIGABRT"),
]


def lost(role: str, how: str, name: str = "failing", worker: str = "1 of 1") -> str:
    """The first line of the message, whole."""
    return rf"^{role} '{name}' lost worker {worker} \(pid \d+\): {how}(, \d+ items? in flight)?\."


@pairwise
@WAYS
@pytest.mark.parametrize("role, build", [("source", failing_source), ("stage", failing_stage)], ids=["source", "stage"])
@pytest.mark.parametrize("fail, how, exit_code, number", DEATHS)
@pytest.mark.parametrize("place", PROCESSES)
def test_process_that_dies_is_named_with_its_exit_code_or_signal(
    place: str, fail: Fail, how: str, exit_code: int, number: signal.Signals | None, role: str, build: Any, way: Any
) -> None:
    with pytest.raises(WorkerLostError, match=lost(role, how)) as caught:
        way(build(fail, place), place)
    check_dying(caught.value, exit_code, number)


@in_turns
@pytest.mark.parametrize("fail, how, exit_code, number", DEATHS)
@pytest.mark.parametrize("place", PROCESSES)
def test_sink_that_dies_is_named_with_its_exit_code_or_signal(
    place: str, fail: Fail, how: str, exit_code: int, number: signal.Signals | None
) -> None:
    with pytest.raises(WorkerLostError, match=lost("sink", how)) as caught:
        failing_sink(fail, place).run()
    check_dying(caught.value, exit_code, number)


def check_dying(error: WorkerLostError, exit_code: int, number: signal.Signals | None) -> None:
    """The one that is named 'failing' is to blame, and nobody else."""
    assert (error.stage, error.worker) == ("failing", 1)
    assert (error.exit_code, error.signal) == (exit_code, number)
    assert isinstance(error.pid, int)
    assert [failure.stage for failure in error.failures] == ["failing"]


def kill_at_rest(pid: int) -> int:
    """Kill a worker once it waits."""
    wait_asleep(pid)
    os.kill(pid, signal.SIGKILL)
    return pid


@pairwise
@WAYS
@pytest.mark.parametrize("place", PROCESSES)
def test_killed_worker_names_stage_pid_and_signal(place: str, way: Any, gate: Gate) -> None:
    """Killed while it is busy with an item."""
    busy = counted(place).then(stage(stages.held, gate), on=on(place), name="score")
    message = r"^stage 'score' lost worker 1 of 1 \(pid \d+\): killed by SIGKILL, \d+ items? in flight\.\n"
    with meanwhile(lambda: kill_at_rest(gate.wait_held())) as killed:
        with pytest.raises(WorkerLostError, match=message) as caught:
            way(busy, place)
        assert (caught.value.pid, caught.value.signal) == (killed.result(), signal.SIGKILL)


@pytest.mark.parametrize(
    "number", [signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP], ids=lambda number: number.name
)
@pytest.mark.parametrize("place", PROCESSES)
def test_worker_that_is_signalled_from_outside_is_named_with_the_signal(
    place: str, number: signal.Signals, gate: Gate
) -> None:
    pipeline = Pipeline(range(10)).then(stage(stages.held, gate), on=on(place, 2), name="score")
    with pipeline.open() as run:
        pid = gate.wait_held()
        os.kill(pid, number)
        with pytest.raises(
            WorkerLostError, match=lost("stage", rf"killed by {number.name}", "score", "[12] of 2")
        ) as caught:
            list(run)
    assert (caught.value.pid, caught.value.signal) == (pid, number)


@WAYS
@pytest.mark.parametrize("place", PROCESSES)
def test_worker_that_ends_by_sigterm_is_named_although_its_neighbour_sees_that_first(place: str, way: Any) -> None:
    """A service manager sends it; the worker cleans up, and is alone in its stage."""
    pipeline = Pipeline(source(stages.terminated_at, 5), on=on(place)).then(stages.same, on=on(beside(place)))
    with pytest.raises(WorkerLostError, match=lost("source", "killed by SIGTERM", "terminated_at", "1 of 1")):
        way(pipeline, place)


@WAYS
@pytest.mark.parametrize("place", PROCESSES)
def test_worker_killed_while_it_waits_for_items_is_named(place: str, way: Any, gate: Gate, second_gate: Gate) -> None:
    """The source is held, so that the stage has nothing to do."""
    held = Pipeline(source(stages.held_source, gate), on=on(beside(place)))
    idle = held.then(stage(stages.announcing, second_gate), on=on(place), name="idle")

    def kill() -> int:
        gate.wait_held()
        return kill_at_rest(second_gate.wait_held())

    with meanwhile(kill) as killed:
        with pytest.raises(WorkerLostError, match=lost("stage", "killed by SIGKILL", "idle")) as caught:
            way(idle, place)
        assert caught.value.pid == killed.result()


FULL = pytest.mark.parametrize(
    "make, how",
    [
        pytest.param(stages.announced, {}, id="socket"),
        pytest.param(stages.announced_arrays, {}, id="slabs"),
        pytest.param(stages.announced, {"in_flight": 1}, id="slots"),
    ],
)
"""What a source has filled up when its consumer holds an item."""


@pairwise
@FULL
@WAYS
@pytest.mark.parametrize("place", PROCESSES)
def test_worker_killed_while_it_waits_to_send_is_named(
    place: str, make: Any, how: dict[str, Any], way: Any, gate: Gate, second_gate: Gate
) -> None:
    full = Pipeline(source(make, second_gate, 1 << 40), on=on(place), name="full")
    pipeline = full.then(stage(stages.held, gate), on=on(beside(place)), **how)

    def kill() -> int:
        gate.wait_held()
        return kill_at_rest(second_gate.wait_held())

    with meanwhile(kill) as killed:
        with pytest.raises(WorkerLostError, match=lost("source", "killed by SIGKILL", "full")) as caught:
            way(pipeline, place)
        assert caught.value.pid == killed.result()


@pairwise
@FULL
@WAYS
@pytest.mark.parametrize("place", PROCESSES)
def test_consumer_killed_while_its_producer_waits_to_send_ends_the_run(
    place: str, make: Any, how: dict[str, Any], way: Any, gate: Gate, second_gate: Gate
) -> None:
    full = Pipeline(source(make, second_gate, 1 << 40), on=on(beside(place)))
    pipeline = full.then(stage(stages.held, gate), on=on(place), **how)

    def kill() -> int:
        wait_asleep(second_gate.wait_held())
        return kill_at_rest(gate.wait_held())

    with meanwhile(kill) as killed:
        with pytest.raises(WorkerLostError, match=lost("stage", "killed by SIGKILL", "held")) as caught:
            way(pipeline, place)
        assert caught.value.pid == killed.result()


@pytest.mark.parametrize("place", PROCESSES)
def test_worker_killed_before_it_could_start_is_named(place: str) -> None:
    pipeline = Pipeline(source(stages.count_for_ever), on=on(place)).then(stages.same, on=on(place))
    with pipeline.open() as run:
        killed = run._wiring.slots[1][0].pid
        # It may have got anywhere by now, but not to its end.
        os.kill(killed, signal.SIGKILL)
        with pytest.raises(WorkerLostError) as caught:
            list(run)
    assert (caught.value.pid, caught.value.signal) == (killed, signal.SIGKILL)


@pytest.mark.parametrize("place", FORKING)
def test_run_that_has_failed_before_the_caller_asked_for_an_item_tells_why(place: str) -> None:
    dying = stage(stages.failing_stage, stages.sigkill, 0)
    with Pipeline(range(10)).then(dying, on=on(place), name="failing").open() as run:
        run._supervisor.join()
        with pytest.raises(WorkerLostError, match=lost("stage", "killed by SIGKILL")):
            list(run)


def test_item_in_hand_is_named_where_it_is_known(gate: Gate) -> None:
    pipeline = Pipeline(range(10)).then(stage(stages.held_at, gate, 0), on=Processes(1), in_flight=1)
    with pipeline.open() as run:
        os.kill(gate.wait_held(), signal.SIGKILL)
        with pytest.raises(WorkerLostError, match=lost("stage", "killed by SIGKILL", "held_at")) as caught:
            list(run)
    assert caught.value.failures[0].index == 0
    assert "It was in item 0." in str(caught.value)


def test_death_of_the_fork_server_ends_the_run_and_the_next_run_works(gate: Gate) -> None:
    """Workers of a dead fork server cannot be watched any more; so they are lost."""
    with Pipeline(range(10)).then(stage(stages.held, gate), on=Processes(1)).open() as run:
        worker = gate.wait_held()
        server = vars(forkserver._forkserver)["_forkserver_pid"]
        with watching([worker, server]) as watched:
            os.kill(server, signal.SIGKILL)
            with pytest.raises(WorkerLostError, match=r"^stage 'held' lost worker 1 of 1 \(pid \d+\): "):
                list(run)
            assert gone(watched)
    assert list(Pipeline(range(3)).then(stages.same, on=Processes(1))) == [0, 1, 2]


def test_death_that_is_told_late_is_still_the_cause(gate: Gate) -> None:
    """The caller reads the end of the channel at once; of the death the fork server tells, which is stopped now."""
    server = vars(forkserver._forkserver)["_forkserver_pid"]
    with Pipeline(range(10)).then(stage(stages.held, gate), on=Processes(1)).open(grace=10) as run:
        pid = gate.wait_held()

        def let_the_server_tell() -> None:
            until(lambda: run._supervisor.state.phase is not Phase.RUNNING, "the caller to find its channel broken")
            # Seconds; failures are listed together if they are 0.1 s apart.
            late = time.monotonic() + 0.2
            until(lambda: time.monotonic() > late, "more than failures may lie apart")
            os.kill(server, signal.SIGCONT)

        os.kill(server, signal.SIGSTOP)
        os.kill(pid, signal.SIGKILL)
        message = rf"^stage 'held' lost worker 1 of 1 \(pid {pid}\): killed by SIGKILL"
        with meanwhile(let_the_server_tell), pytest.raises(WorkerLostError, match=message):
            list(run)


def test_sink_of_the_caller_is_told_of_a_killed_worker_while_it_holds_items(gate: Gate) -> None:
    """The caller is at its own item when a worker dies: the next item that it asks for is the error."""
    pipeline = Pipeline(source(stages.count_for_ever), on=Processes(1)).then(
        stage(stages.held_at, gate, 50), on=Processes(1)
    )
    with pipeline.then(stages.same, on=Inline()).open() as run:
        items = iter(run)
        assert next(items) == 0
        pid = gate.wait_held()
        with watching([pid]) as watched:
            os.kill(pid, signal.SIGKILL)
            assert gone(watched)
        with pytest.raises(WorkerLostError, match=lost("stage", "killed by SIGKILL", "held_at")):
            list(items)

"""What a worker has started ends with it: after the grace, whatever has ended the worker, and the log says what."""

import os
import re
import signal
from functools import partial

import pytest

from chainpump import DeadLetter, Pipeline, WorkerLostError
from faults import program, stages
from faults.places import FORKING, PROCESSES, on
from faults.program import ended, started
from support.gate import Gate
from support.processes import descendants, gone, kill_and_reap, parent, until, watching
from support.threads import meanwhile

# Seconds.
GRACE = 0.2
# Seconds; a program has begun by then.
SOON = 1.0


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the library has said of programs."""
    return [text for text in caplog.messages if "left behind" in text]


def assert_nothing_runs() -> None:
    """Where nothing tells of their end, the run does not see the last moment of those that it has killed."""
    until(lambda: descendants() == set(), "the end of all programs")


@pytest.mark.parametrize("is_deaf", [False, True], ids=["hears SIGTERM", "hears nothing"])
@pytest.mark.parametrize("place", PROCESSES)
def test_a_program_ends_with_the_worker_that_takes_too_long_for_it(
    place: str, is_deaf: bool, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    run_it = partial(stages.in_a_program, gate=gate, is_deaf=is_deaf)
    numbers = Pipeline(range(3)).map(run_it, on=on(place), timeout=SOON, on_error=DeadLetter(), name="run_it")
    with numbers.open(grace=GRACE) as run:
        assert list(run) == [0, 2]
        pid = gate.wait_held()
        with watching([pid]) as programs:
            assert gone(programs)
    assert_nothing_runs()
    assert re.match(r"stage 'run_it' \(worker 1 of 1, pid \d+\) has ended, and ", told(caplog)[0])
    assert f"pid {pid} (/bin/sh -c " in told(caplog)[0]
    ends = ["are told to end (SIGTERM)", "were ended by force after 0.2 s (SIGKILL)"]
    # Seen to end by itself.
    if not is_deaf:
        del ends[1]
    assert len(told(caplog)) == len(ends)
    assert all(how in text for how, text in zip(ends, told(caplog), strict=True))


@pytest.mark.parametrize("place", FORKING)
def test_a_pool_ends_with_the_worker_that_takes_too_long_for_it(place: str, gate: Gate) -> None:
    pooled = Pipeline(range(3)).map(
        partial(stages.in_a_pool, gate=gate), on=on(place), timeout=SOON, on_error=DeadLetter()
    )
    with pooled.open(grace=GRACE) as run:
        assert list(run) == [0, 2]
    assert_nothing_runs()


@pytest.mark.parametrize("place", PROCESSES)
def test_a_program_ends_with_the_worker_that_dies(place: str, gate: Gate) -> None:
    held = Pipeline(range(2)).map(partial(stages.in_a_program, gate=gate, is_deaf=True), on=on(place))
    with held.open(grace=GRACE) as run:
        os.kill(parent(gate.wait_held()), signal.SIGKILL)
        with pytest.raises(WorkerLostError, match="SIGKILL"):
            list(run)
    assert_nothing_runs()


@pytest.mark.parametrize("place", PROCESSES)
def test_a_program_ends_with_the_worker_that_is_left(place: str, gate: Gate) -> None:
    with Pipeline(range(2)).map(partial(stages.in_a_program, gate=gate, is_deaf=True), on=on(place)).open(grace=GRACE):
        gate.wait_held()
    assert_nothing_runs()


@pytest.mark.parametrize("place", PROCESSES)
def test_a_program_that_is_left_by_a_worker_that_has_finished_ends_after_the_grace(
    place: str, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    left = Pipeline(range(1)).map(partial(stages.leave_program, gate=gate, is_apart=False), on=on(place), name="left")
    with meanwhile(lambda: (gate.wait_held(), gate.release())) as began:
        assert list(left.open(grace=GRACE)) == [0]
    pid = began.result()[0]
    [text] = told(caplog)
    assert re.match(r"stage 'left' \(worker 1 of 1, pid \d+\) has ended, and ", text)
    assert "were ended by force after 0.2 s (SIGKILL): " in text
    assert f"pid {pid} (/bin/sh -c " in text
    assert_nothing_runs()


@pytest.mark.parametrize("place", PROCESSES)
def test_a_program_in_a_session_of_its_own_outlives_its_worker(place: str, gate: Gate) -> None:
    left = Pipeline(range(1)).map(partial(stages.leave_program, gate=gate, is_apart=True), on=on(place))
    with meanwhile(lambda: (gate.wait_held(), gate.release())):
        assert list(left.open(grace=0)) == [0]
    alive = descendants()
    kill_and_reap(alive)
    # A shell, and its sleep.
    assert len(alive) == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
@pytest.mark.parametrize("place", PROCESSES)
def test_a_program_ends_with_the_main_process(place: str, number: signal.Signals, gate: Gate) -> None:
    """Nobody is left to end it but the kernel."""
    with started(program.in_a_program, place, gate) as process, watching([gate.wait_held()]) as programs:
        os.kill(process.pid, number)
        assert gone(programs)
        assert ended(process) == (-number, "", "")

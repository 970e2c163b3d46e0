"""Rule 8, the unwilling: a process that does not hear its cancellation is killed after the grace, a thread left.

Nothing else would ever end these workers, or let go of who waits for them: so a test that ends has proved it, and how
soon it does is the machine's affair.
"""

import sys
import threading
import time
from typing import Any

import pytest

from chainpump import DeadLetter, Inline, Pipeline, Processes, StageError, Threads, sink, source, stage
from chainpump.engine import started_worker, supervisor
from chainpump.executors.process_handle import ProcessHandle
from faults import stages
from faults.places import FORK, PROCESSES, WAYS, beside, on
from faults.roles import stuck
from support.cases import in_turns
from support.gate import LIMIT, Gate, Journal
from support.processes import descendants, until
from support.threads import meanwhile, threads_that_stay

# Seconds.
GRACE = 0.2
# The logger of the library itself, and its level.
OWN = ("chainpump", "WARNING")

PROCESSES_STUCK = [(place, how) for place in ("forkserver", "spawn", "fork") for how in stages.STUCK]
THREADS_STUCK = [
    ("threads", stages.held),
    ("threads", stages.stuck_swallowing),
    ("tasks", stages.blocking_item),
    ("tasks", stages.deaf_item),
]


def stuck_at(*cases: tuple[str, Any]) -> pytest.MarkDecorator:
    """Where, and how."""
    cases_of_fork = {"fork": FORK} if sys.version_info >= (3, 12) else {}
    return pytest.mark.parametrize(
        "place, how",
        [
            pytest.param(place, how, marks=cases_of_fork.get(place, ()), id=f"{place}-{how.__name__}")
            for place, how in cases
        ],
    )


@stuck_at(*PROCESSES_STUCK)
def test_worker_that_ignores_its_cancellation_is_killed_after_the_grace(place: str, how: Any, gate: Gate) -> None:
    with stuck(how, gate, place).open(grace=GRACE):
        gate.wait_held()
        left_at = time.monotonic()
    assert time.monotonic() - left_at >= GRACE
    assert descendants() == set()


@stuck_at(*((place, stages.stuck_swallowing) for place in ("forkserver", "spawn", "fork")))
def test_worker_that_is_killed_after_the_grace_is_told_of_in_the_log(
    place: str, how: Any, gate: Gate, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_stack = ProcessHandle.read_stack

    def read_once_told(handle: ProcessHandle) -> str:
        """It was asked 0.1 s ago, which may be too short on a loaded machine."""
        until(lambda: bool(read_stack(handle)), "where the worker is")
        return read_stack(handle)

    monkeypatch.setattr(ProcessHandle, "read_stack", read_once_told)
    with stuck(how, gate, place).open(grace=GRACE):
        pid = gate.wait_held()
    forced = "did not end within 0.2 s of being told to, and was ended by force: its clean-up may not have run."
    [text] = told(caplog)
    headline, at, *calls = text.splitlines()
    assert headline == f"stage 'stuck_swallowing' (worker 1 of 1, pid {pid}) {forced} If it needs longer: grace=."
    assert at == "It was at (most recent call first):"
    assert any(line.endswith(" in stuck_swallowing") for line in calls)


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The warnings of the library itself."""
    return [record.getMessage() for record in caplog.records if (record.name, record.levelname) == OWN]


@stuck_at(*THREADS_STUCK)
def test_worker_that_is_left_behind_is_told_of_in_the_log(
    place: str, how: Any, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    with stuck(how, gate, place).open(grace=GRACE):
        gate.wait_held()
    assert [text.partition(" (")[0] for text in told(caplog)] == [f"stage '{how.__name__}'"]
    assert all("nor by force, and is left behind" in text for text in told(caplog))
    let_threads_end(gate)


@pytest.mark.parametrize("place", PROCESSES)
def test_death_in_a_clean_up_that_no_error_tells_of_is_told_of_in_the_log(
    place: str, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody has left: there is nobody to raise the loss to."""
    with Pipeline(range(10)).then(stage(stages.killed_in_clean_up, gate), on=on(place), name="dying").open():
        pid = gate.wait_held()
    lost = f"stage 'dying' lost worker 1 of 1 (pid {pid}): killed by SIGKILL, 1 item in flight."
    assert told(caplog) == [f"{lost} Its clean-up may not have run."]


@in_turns
@WAYS
@stuck_at(*PROCESSES_STUCK, *THREADS_STUCK)
def test_stuck_worker_delays_the_error_of_another_by_the_grace_alone(
    place: str, how: Any, way: Any, gate: Gate, second_gate: Gate
) -> None:
    """The error is the other's: the stuck worker has failed in nothing."""
    failing = stage(stages.fail_without_input, stages.raise_value_error, second_gate)
    pipeline = stuck(how, gate, place).then(failing, on=on(beside(place)), name="culprit")
    with (
        meanwhile(lambda: let_fail(gate, second_gate)),
        pytest.raises(StageError, match=r"^stage 'culprit' \(worker 1 of 1, pid \d+\) raised ValueError:\n") as caught,
    ):
        way(pipeline, place, grace=GRACE)
    assert [failure.stage for failure in caught.value.failures] == ["culprit"]
    assert descendants() == set()
    let_threads_end(gate)


def let_threads_end(gate: Gate) -> None:
    """Those that were left behind; who swallows his cancellation comes to the gate twice."""
    gate.release(2)
    assert not threads_that_stay()


def let_fail(gate: Gate, second_gate: Gate) -> None:
    """Let the culprit go once the other is stuck."""
    gate.wait_held()
    second_gate.wait_held()
    second_gate.release()


@stuck_at(*PROCESSES_STUCK, *THREADS_STUCK)
def test_stuck_worker_delays_the_error_of_a_sink_by_the_grace_alone(
    place: str, how: Any, gate: Gate, second_gate: Gate
) -> None:
    failing = sink(stages.failing_without_input, stages.raise_value_error, second_gate)
    pipeline = stuck(how, gate, place).into(failing, on=on(beside(place)))
    with meanwhile(lambda: let_fail(gate, second_gate)), pytest.raises(ValueError, match="bad value"):
        pipeline.run(grace=GRACE)
    assert descendants() == set()
    let_threads_end(gate)


@stuck_at(*THREADS_STUCK)
def test_thread_that_waits_for_ever_is_left_behind_and_the_run_still_ends(place: str, how: Any, gate: Gate) -> None:
    with stuck(how, gate, place).open(grace=GRACE):
        gate.wait_held()
    let_threads_end(gate)


def test_iterable_that_waits_for_ever_does_not_keep_the_caller(gate: Gate) -> None:
    """An iterable is read by a thread of the main process: a socket, a queue."""
    with Pipeline(gate.hold_each(range(3))).then(stages.same, on=Processes(1)).open(grace=GRACE):
        gate.wait_held()
    gate.release()


def test_dead_letters_that_are_never_taken_do_not_keep_a_run_that_was_left(gate: Gate) -> None:
    taken = []
    policy = DeadLetter(to=lambda letter: taken.append(threading.current_thread()) or gate.hold(letter))
    with Pipeline(["no number"] * 3).map(int, on=Threads(1), on_error=policy).open(grace=GRACE):
        gate.wait_held()
    gate.release()
    # It is handed no other.
    taken[0].join(LIMIT)
    assert len(taken) == 1


def test_busy_thread_is_interrupted_between_two_instructions(gate: Gate) -> None:
    with Pipeline(range(3)).then(stage(stages.busy_for_ever, gate), on=Threads(1)).open(grace=GRACE):
        gate.wait_held()


@pytest.mark.parametrize("place", PROCESSES)
def test_stray_thread_of_a_worker_keeps_a_run_that_was_left_for_the_grace_alone(
    place: str, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    """A process waits for its threads that are no daemons: this one for ever."""
    pipeline = Pipeline(range(10)).then(stage(stages.leave_thread, gate), on=on(place))
    with pipeline.open(grace=GRACE) as run:
        items = iter(run)
        assert [next(items) for _ in range(10)] == list(range(10))
        gate.wait_held()
    assert descendants() == set()
    assert "did not end within 0.2 s of being told to, and was ended by force" in told(caplog)[0]


def test_grace_of_nothing_kills_at_once(gate: Gate, caplog: pytest.LogCaptureFixture) -> None:
    with Pipeline(range(10)).then(stage(stages.stuck_in_c, gate), on=Processes(1)).open(grace=0):
        gate.wait_held()
    assert "did not end within 0 s of being told to, and was ended by force" in told(caplog)[0]


def test_several_stuck_workers_share_one_grace(gate: Gate) -> None:
    workers, grace = 8, 1.0
    with Pipeline(range(10)).then(stage(stages.stuck_in_c, gate), on=Processes(workers)).open(grace=grace):
        for _ in range(workers):
            gate.wait_held()
        left_at = time.monotonic()
    assert time.monotonic() - left_at < workers * grace


def test_long_clean_up_is_given_the_grace_that_was_asked_for(gate: Gate, second_gate: Gate, journal: Journal) -> None:
    """The worker cleans up at the second gate, which opens only once it is there: no clock decides."""

    def let_it_clean_up() -> None:
        second_gate.wait_held()
        second_gate.release()

    pipeline = Pipeline(range(10)).then(stage(stages.slow_clean_up, gate, second_gate, journal), on=Processes(1))
    with meanwhile(let_it_clean_up), pipeline.open(grace=30):
        gate.wait_held()
    assert journal.lines == ["cleaned up"]


class Clock:
    """Can be put forward, as it is found by a process that was stopped for so long."""

    def __init__(self) -> None:
        self.ahead = 0.0
        # Since it was put forward.
        self.looks = threading.Semaphore(0)

    def monotonic(self) -> float:
        if self.ahead:
            self.looks.release()
        return time.monotonic() + self.ahead

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()


def test_time_in_which_the_whole_program_was_stopped_does_not_count_as_grace(
    gate: Gate, second_gate: Gate, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By Ctrl-Z, with its machine, or by an overload: the worker has had no chance to clean up meanwhile."""
    clock = Clock()
    monkeypatch.setattr(supervisor, "time", clock)
    monkeypatch.setattr(started_worker, "time", clock)

    def go_on_an_hour_later() -> None:
        second_gate.wait_held()
        clock.ahead = 3600.0
        # Which has the supervisor look.
        run.cancel()
        # After the second look, it has done what was due at the first.
        for _ in range(2):
            assert clock.looks.acquire(timeout=LIMIT)
        second_gate.release()

    pipeline = Pipeline(range(10)).then(stage(stages.slow_clean_up, gate, second_gate, journal), on=Processes(1))
    with pipeline.open(grace=LIMIT) as run:
        gate.wait_held()
        with meanwhile(go_on_an_hour_later):
            run.close()
    assert journal.lines == ["cleaned up"]


def test_inline_stage_cleans_up_when_the_caller_leaves(journal: Journal) -> None:
    pipeline = Pipeline(source(stages.counting, 1 << 60, journal), on=Inline())
    for item in pipeline.then(stage(stages.noting, journal, "stage"), on=Inline()):
        if item == 3:
            break
    assert journal.lines == ["stage cleaned up", "source cleaned up"]

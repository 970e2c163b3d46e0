"""What `per_worker` has made is left wherever its worker survives; a set-up is blamed, and is no item."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from chainpump import (
    Pipeline,
    Processes,
    Retry,
    Skip,
    StageError,
    Tasks,
    Threads,
    WorkerLostError,
    per_worker,
    source,
)
from faults import program, set_ups, stages
from faults.places import MOST_WORKERS, PROCESSES, on
from faults.program import ended, started
from support.gate import LIMIT, Gate, Journal
from support.processes import press_ctrl_c


def left_by(journal: Journal, pid: int) -> list[str]:
    return [line for line in journal.lines if line.startswith(f"left {pid}:")]


@pytest.mark.parametrize("place", PROCESSES)
def test_the_neighbours_of_a_killed_worker_tear_down_and_itself_cannot(
    place: str, gate: Gate, journal: Journal
) -> None:
    held = Pipeline(range(100)).map(per_worker(set_ups.noted, journal, gate.hold), on=on(place, 2), name="score")
    with held.open(grace=LIMIT) as run:
        killed, neighbour = gate.wait_held(), gate.wait_held()
        os.kill(killed, signal.SIGKILL)
        with pytest.raises(WorkerLostError, match=rf"stage 'score' lost worker \d of 2 \(pid {killed}\)"):
            list(run)
    assert left_by(journal, killed) == []
    assert left_by(journal, neighbour) == [f"left {neighbour}: Cancelled"]


@pytest.mark.parametrize("place", PROCESSES)
def test_a_worker_that_is_killed_while_it_is_set_up_is_named_so(place: str, gate: Gate, journal: Journal) -> None:
    held = Pipeline(range(9)).map(per_worker(set_ups.waits, journal, gate), on=on(place), name="score")
    with held.open(grace=LIMIT) as run:
        pid = gate.wait_held()
        os.kill(pid, signal.SIGKILL)
        message = rf"^stage 'score' lost worker 1 of 1 \(pid {pid}\) while it was set up: killed by SIGKILL\.\n"
        with pytest.raises(WorkerLostError, match=message):
            list(run)


@pytest.mark.parametrize("place", PROCESSES)
def test_a_worker_that_is_cancelled_while_it_is_set_up_leaves_what_it_has_entered(
    place: str, gate: Gate, journal: Journal
) -> None:
    with Pipeline(range(9)).map(per_worker(set_ups.waits, journal, gate), on=on(place)).open(grace=LIMIT):
        pid = gate.wait_held()
    assert left_by(journal, pid) == [f"left {pid}: Cancelled"]


def test_a_worker_that_is_replaced_sets_up_again(gate: Gate, journal: Journal) -> None:
    held = Pipeline(range(3)).map(per_worker(set_ups.noted, journal, gate.hold), on=Processes(restarts=1))
    with held.open(grace=LIMIT) as run:
        first = gate.wait_held()
        os.kill(first, signal.SIGKILL)
        second = gate.wait_held()
        gate.release(4)
        assert list(run) == [0, 1, 2]
    assert journal.lines == [f"entered {first}", f"entered {second}", f"left {second}: well"]


def test_a_worker_that_dies_while_it_is_set_up_is_replaced(journal: Journal) -> None:
    pipeline = Pipeline(range(3)).map(per_worker(set_ups.dies_in_first, journal), on=Processes(restarts=1))
    report = pipeline.into(list, on=Threads()).run()
    assert report.value == [0, 1, 2]
    assert report.stages[1].restarts == 1
    assert [line.split()[0] for line in journal.lines] == ["entered", "entered", "left"]


def broken() -> Callable[[int], int]:
    raise ValueError("no model")


@pytest.mark.parametrize("policy", [Skip(), Retry(3, on=ValueError)], ids=["skip", "retry"])
@pytest.mark.parametrize("place", MOST_WORKERS)
def test_no_policy_applies_to_a_set_up(place: str, policy: Skip | Retry) -> None:
    pipeline = Pipeline(range(3)).map(per_worker(broken), on=on(place), on_error=policy)
    with pytest.raises(StageError, match=r"could not be set up: broken raised ValueError: no model"):
        list(pipeline)


# Seconds. No item takes so long, even on a busy machine; the set-up does.
LIMIT_OF_ITEMS = 2.0


def slowly() -> Callable[[int], int]:
    time.sleep(1.2 * LIMIT_OF_ITEMS)
    return abs


async def slowly_async() -> Callable[[int], Awaitable[int]]:
    await asyncio.sleep(1.2 * LIMIT_OF_ITEMS)
    return set_ups.abs_async


def test_a_set_up_counts_as_no_item_of_a_process() -> None:
    pipeline = Pipeline(range(3)).map(per_worker(slowly), on=Processes(2), timeout=LIMIT_OF_ITEMS)
    assert list(pipeline.open(stall_timeout=LIMIT_OF_ITEMS)) == [0, 1, 2]


def test_a_set_up_counts_as_no_item_of_tasks() -> None:
    pipeline = Pipeline(range(3)).map(per_worker(slowly_async), on=Tasks(2), timeout=LIMIT_OF_ITEMS)
    assert list(pipeline.open(stall_timeout=LIMIT_OF_ITEMS)) == [0, 1, 2]


@pytest.mark.parametrize("place", MOST_WORKERS)
def test_a_tear_down_that_fails_after_another_failure_is_in_the_log(
    place: str, journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    refused = per_worker(set_ups.refuses_to_leave, journal, set_ups.fail_at_three)
    with pytest.raises(StageError, match=r"raised ValueError on item 3"):
        list(Pipeline(range(9)).map(refused, on=on(place), name="score"))
    [message] = [record.getMessage() for record in caplog.records if record.name == "chainpump"]
    assert "could not be torn down: refuses_to_leave raised OSError: disk full" in message
    assert message.startswith("stage 'score' (worker 1 of 1, pid ")


@pytest.mark.parametrize("place", ["forkserver", "threads", "tasks"])
def test_a_tear_down_has_the_grace_and_no_more(place: str, gate: Gate, caplog: pytest.LogCaptureFixture) -> None:
    factory: Any = set_ups.stuck_in_async_tear_down if place == "tasks" else set_ups.stuck_in_tear_down
    endless = Pipeline(source(stages.count_for_ever), on=Threads())
    with endless.map(per_worker(factory, gate), on=on(place)).open(grace=0.1) as run:
        assert next(iter(run)) == 0
    gate.wait_held()
    assert "was ended by force" in caplog.text


@pytest.mark.parametrize("place, to_all", [("forkserver", True), ("spawn", False), ("fork", True)])
def test_ctrl_c_leaves_what_every_process_has_entered(place: str, to_all: bool, gate: Gate) -> None:
    with started(program.interrupted_after_set_up, place, gate) as process:
        # Two workers, and the source.
        for _ in range(3):
            gate.wait_held()
        press_ctrl_c(process.pid, to_all)
        assert ended(process) == (0, "left\nleft\ninterrupted\n", "")


@pytest.mark.parametrize("place, workers", [("threads", 2), ("tasks", 1), ("inline", 1)])
def test_ctrl_c_leaves_what_every_thread_has_entered(place: str, workers: int, gate: Gate) -> None:
    with started(program.interrupted_after_set_up, place, gate) as process:
        for _ in range(workers):
            gate.wait_held()
        os.kill(process.pid, signal.SIGINT)
        assert ended(process) == (0, "left\n" * workers + "interrupted\n", "")

"""Rule 4, plural: all failures that are seen within 100 ms are listed."""

import os
import re
import signal
import threading
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import pytest

from chainpump import (
    Pipeline,
    RunError,
    Runnable,
    StageError,
    Tasks,
    Threads,
    WorkerLostError,
    sink,
    source,
    stage,
)
from chainpump.engine import lifecycle
from chainpump.transport.thread_channel import MemoryChannel
from faults import stages
from faults.places import EXECUTORS, PROCESSES, WAYS, WITH_WORKERS, beside, on
from faults.roles import counted
from support.cases import in_turns
from support.gate import LIMIT, Gate
from support.threads import meanwhile


@pytest.fixture(autouse=True)
def long_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may take longer than 100 ms to tell of the second failure."""
    monkeypatch.setattr(lifecycle, "WINDOW_NS", int(LIMIT * 1e9))


def failing(pipeline: Pipeline[Any], place: str, fail: Any, gate: Gate, at: int, name: str) -> Pipeline[Any]:
    """Fails at the gate, at this item, without hearing of a cancellation meanwhile."""
    if place == "tasks":
        return pipeline.map(partial(stages.fail_at_gate_item, fail, gate, at), on=on(place), name=name)
    return pipeline.then(stage(stages.fail_at_gate, fail, gate, at, deaf=True), on=on(place), name=name)


def let_both_go(gate: Gate) -> None:
    """Once both are there."""
    gate.wait_held()
    gate.wait_held()
    gate.release(2)


@in_turns
@WAYS
@pytest.mark.parametrize("place", EXECUTORS)
def test_two_stages_that_raise_at_once_are_both_listed(place: str, way: Any, gate: Gate) -> None:
    left = failing(counted(place), place, stages.raise_value_error, gate, 1, "left")
    right = failing(left, place, stages.raise_unusual, gate, 0, "right")
    with meanwhile(lambda: let_both_go(gate)), pytest.raises(StageError) as caught:
        way(right, place, grace=LIMIT)
    assert sorted(failure.stage for failure in caught.value.failures) == ["left", "right"]
    first, also = caught.value.failures
    assert str(caught.value).startswith(f"{first.headline}\n")
    assert f"\nAlso failed before the run had ended:\n- {also.headline}\n" in str(caught.value)


def test_task_that_fails_once_its_input_is_cancelled_is_listed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its item knows nothing of that: it has the event loop, which has not heard of it yet."""
    is_held, is_cancelled = threading.Event(), threading.Event()
    hang_up = MemoryChannel.hang_up

    def watched(channel: MemoryChannel) -> None:
        hang_up(channel)
        is_cancelled.set()

    def first(items: Iterable[int]) -> Iterator[int]:
        yield next(iter(items))
        assert is_held.wait(LIMIT)
        raise ValueError("first")

    async def second(item: int) -> int:
        is_held.set()
        assert is_cancelled.wait(LIMIT)
        raise KeyError("second")

    monkeypatch.setattr(MemoryChannel, "hang_up", watched)
    pipeline = Pipeline(range(10)).then(first, on=Threads()).map(second, on=Tasks())
    with pytest.raises(StageError) as caught:
        list(pipeline)
    assert sorted(failure.stage for failure in caught.value.failures) == ["first", "second"]


@pytest.mark.parametrize("place", EXECUTORS)
def test_failures_of_a_stage_and_of_the_sink_at_once_are_both_told(place: str, gate: Gate) -> None:
    """Whichever is first: an exception of the sink's as it is, with notes; one of the stage's with both listed."""
    pipeline = failing(counted(place), place, stages.raise_unusual, gate, 1, "left")
    if place == "tasks":
        each = partial(stages.fail_at_gate_item, stages.raise_value_error, gate, 0)
        runnable: Runnable[Any] = pipeline.each(each, on=on(place), name="right")
    else:
        deaf = sink(stages.fail_at_gate_deaf, stages.raise_value_error, gate)
        runnable = pipeline.into(deaf, on=on(place), name="right")
    with meanwhile(lambda: let_both_go(gate)), pytest.raises((StageError, ValueError)) as caught:
        runnable.run(grace=LIMIT)
    told = "\n".join([str(caught.value), *getattr(caught.value, "__notes__", ())])
    assert re.search(r"stage 'left' \(worker 1 of 1, pid \d+\) raised Unusual on item 1:", told)
    assert re.search(r"sink 'right' \(worker 1 of 1, pid \d+\) raised ValueError on item 0:", told)


@WAYS
@pytest.mark.parametrize("place", PROCESSES)
def test_two_workers_that_are_killed_at_once_are_both_listed(place: str, way: Any, gate: Gate) -> None:
    """Both are stopped first, so that neither can end in another way."""
    pipeline = counted(place).then(stage(stages.held, gate), on=on(place, 2), name="pair")

    def kill_both() -> set[int]:
        pids = {gate.wait_held(), gate.wait_held()}
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in pids:
                os.kill(pid, number)
        return pids

    with meanwhile(kill_both) as killed:
        with pytest.raises(WorkerLostError) as caught:
            way(pipeline, place, grace=LIMIT)
        assert {failure.pid for failure in caught.value.failures} == killed.result()
    assert {failure.worker for failure in caught.value.failures} == {1, 2}


@in_turns
@WAYS
@pytest.mark.parametrize("place", WITH_WORKERS)
def test_what_the_cancellation_itself_brings_about_is_not_listed(place: str, way: Any, gate: Gate) -> None:
    """Stages that raise something of their own when they are cancelled have not failed."""
    pipeline = (
        Pipeline(source(stages.angry_source), on=on(beside(place)))
        .then(stages.angry, on=on(place))
        .then(stage(stages.fail_at_gate, stages.raise_value_error, gate), on=on(beside(place)), name="culprit")
        .then(stages.angry, on=on(place))
    )
    gate.release()
    with pytest.raises(RunError, match=r"^stage 'culprit' ") as caught:
        way(pipeline, place, grace=LIMIT)
    assert [failure.stage for failure in caught.value.failures] == ["culprit"]

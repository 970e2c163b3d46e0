"""The contract of executors: one of somebody else's needs little more than a way to start a worker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from chainpump import Pipeline, StageOptionError
from chainpump.executors.base import Lost, WorkerHandle
from chainpump.executors.thread_handle import ThreadHandle
from chainpump.plan.placement import Capabilities
from chainpump.worker.outcome import Outcome
from chainpump.worker.worker import Worker


class Handle(WorkerHandle):
    """All that the supervisor cannot do without."""

    def __init__(self, worker: Worker) -> None:
        self._thread = ThreadHandle(worker)

    @property
    def pid(self) -> int:
        return self._thread.pid

    @property
    def waitables(self) -> Sequence[int]:
        return self._thread.waitables

    def poll(self) -> Outcome | Lost | None:
        return self._thread.poll()

    def interrupt(self) -> None:
        self._thread.interrupt()

    def kill(self) -> None:
        self._thread.kill()

    def close(self) -> None:
        self._thread.close()


@dataclass(frozen=True)
class Elsewhere:
    workers: int = 1

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities()

    def start(self, worker: Worker) -> Handle:
        return Handle(worker)


def test_an_executor_of_three_members_runs_stages() -> None:
    pipeline = Pipeline(range(100)).map(str, on=Elsewhere(3)).map(int, on=Elsewhere())
    assert list(pipeline) == list(range(100))
    assert "Elsewhere(workers=3)" in str(pipeline.plan())


def test_plain_threads_cannot_be_stopped_in_a_call_so_they_take_no_timeout() -> None:
    with pytest.raises(StageOptionError, match=r"timeout= cannot work on Elsewhere\(workers=1\): a thread cannot be"):
        Pipeline(range(3)).map(str, on=Elsewhere(), timeout=1)


def test_a_run_that_is_left_ends_workers_of_an_executor_of_three_members() -> None:
    with Pipeline(range(10_000)).map(str, on=Elsewhere(2)).open() as run:
        assert next(iter(run)) == "0"

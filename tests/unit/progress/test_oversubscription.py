"""Advice about workers that compute on more threads than there are processors."""

from __future__ import annotations

from chainpump.lazy_dataclass import replace
from chainpump.messages.names import Role
from chainpump.progress.oversubscription import thread_advice
from chainpump.progress.reading import StageFacts, WorkerReading

SECOND = 1_000_000_000
INFER = StageFacts("infer", Role.STAGE, "Processes(4)", 4, group=0, on_processes=True)


def worker(threads: int, waited: float = 4) -> WorkerReading:
    return WorkerReading(lived=10 * SECOND, delayed=int(waited * SECOND), threads=threads)


def advice(*workers: WorkerReading, processors: int = 8) -> str:
    return thread_advice([INFER], [workers], processors)


def test_advice_has_its_arithmetic() -> None:
    assert advice(*[worker(8)] * 4) == (
        "4 workers of 'infer' x 8 threads = 32 threads on 8 processors; in 40.0 s of work they waited 16.0 s for one. "
        "Try Processes(4, env={'OMP_NUM_THREADS': '2'})."
    )


def test_each_worker_keeps_one_thread() -> None:
    assert advice(*[worker(2)] * 4, processors=1).endswith("env={'OMP_NUM_THREADS': '1'}).")


def test_one_worker_may_have_too_many_threads_for_a_quota() -> None:
    assert advice(worker(64), processors=2).startswith("1 worker of 'infer' x 64 threads = 64 threads on 2 processors;")


def test_only_workers_that_have_such_threads_count() -> None:
    assert advice(worker(6), worker(8), worker(0), worker(0)).startswith(
        "2 workers of 'infer' x 6 threads = 12 threads"
    )


def test_there_is_no_advice_without_need() -> None:
    # 1. No library has started threads.
    assert not advice(*[worker(0)] * 4)
    # 2. There are enough processors.
    assert not advice(*[worker(2)] * 4)
    # 3. The threads did not wait for a processor.
    assert not advice(*[worker(8, waited=0.5)] * 4)


def test_each_stage_has_a_line() -> None:
    lines = thread_advice([INFER, replace(INFER, group=1)], [[worker(8)] * 4] * 2, 8).splitlines()
    assert len(lines) == 2

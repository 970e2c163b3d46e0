"""Objects of `multiprocessing` among the arguments of functions: every worker has the same ones, however it starts."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from chainpump import Pipeline, Processes, sink, source, stage, warm
from chainpump.plan.placement import StartMethod
from support.gate import LIMIT

# The first shared value of a process creates memory that `multiprocessing` keeps for the next ones.
KEPT = multiprocessing.RawValue("i")


def add_each(limit: int, total: Any, raw: Any, array: Any) -> Iterator[int]:
    for number in range(limit):
        with total.get_lock():
            total.value += number
        raw.value += 1
        array[1] += 1
        yield number


def send_each(items: Iterable[int], connection: Any, condition: Any) -> Iterator[int]:
    for item in items:
        connection.send(item)
        with condition:
            condition.notify_all()
        yield item


def report(items: Iterable[int], queue: Any, done: Any) -> int:
    found = sum(items)
    queue.put(found)
    done.set()
    return found


class Numbered:
    """Counts calls in all processes."""

    def __init__(self, count: Any) -> None:
        self.count = count

    def __call__(self, item: int) -> int:
        with self.count.get_lock():
            self.count.value += 1
        return item


@pytest.mark.parametrize("method", ["forkserver", "spawn", "fork"])
def test_workers_share_the_objects_of_multiprocessing_among_their_arguments(method: StartMethod) -> None:
    context = multiprocessing.get_context("fork" if method == "fork" else "spawn")
    total, raw, array, count = context.Value("i"), context.RawValue("i"), context.Array("d", 3), context.Value("i")
    queue, done, condition = context.SimpleQueue(), context.Event(), context.Condition()
    receiving, sending = context.Pipe(duplex=False)
    on = Processes(start_method=method)
    runnable = (
        Pipeline(source(add_each, 5, total, raw=raw, array=array), on=on)
        .map(Numbered(count), on=Processes(2, start_method=method))
        .then(stage(send_each, sending, condition), on=on)
        .into(sink(report, queue, done), on=on)
    )
    assert runnable.run().value == 10
    assert (total.value, raw.value, array[:], count.value) == (10, 5, [0, 5, 0], 5)
    assert done.wait(LIMIT)
    assert [receiving.recv() for _ in range(5)] == [0, 1, 2, 3, 4]
    assert queue.get() == 10
    for each in (receiving, sending, queue):
        each.close()


def test_two_arguments_that_share_a_lock_share_it_in_the_worker() -> None:
    context = multiprocessing.get_context("spawn")
    lock = context.RLock()
    first, second = context.Value("i", lock=lock), context.Value("i", lock=lock)
    same = Pipeline([0]).map(lambda _: first.get_lock() is second.get_lock(), on=Processes())
    assert list(same) == [True]


def test_a_kept_process_that_has_received_objects_is_not_used_again() -> None:
    """It could not receive those of a later run."""
    count = multiprocessing.get_context("spawn").Value("i")
    pipeline = Pipeline(range(3)).map(Numbered(count), on=Processes())
    with warm() as pool:
        for runs in (1, 2):
            assert list(pipeline) == [0, 1, 2]
            assert count.value == 3 * runs
        assert not pool.idle_pids

"""The facade of pypeln on processes: start methods, dead workers, results that cannot be pickled, shared namespaces."""

from __future__ import annotations

import gc
import multiprocessing
import os
import threading
from functools import partial
from typing import Any

import pytest

from chainpump import UnpicklableItemError, WorkerLostError
from chainpump.compat import pypeln as pl
from compat import steps
from support.gate import Journal


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_the_start_method_is_that_of_multiprocessing(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiprocessing, "get_start_method", lambda **_: method)
    stage = pl.process.map(steps.scaled, range(6), workers=2, on_start=steps.started, on_done=steps.counted)
    assert sorted(value for value, _ in stage) == [0, 10, 20, 30, 40, 50]
    indexed = pl.process.flat_map(steps.scaled, range(2), on_start=steps.started)
    assert [element.index for element in pl.process.to_iterable(indexed, return_index=True)] == [
        (0, 0),
        (0, 1),
        (1, 0),
        (1, 1),
    ]


def test_lambdas_and_closures_and_what_they_hold_are_taken(journal: Journal) -> None:
    lock = multiprocessing.Lock()

    def locked(value: int) -> int:
        with lock:
            return value + 1

    assert list(pl.process.map(locked, pl.process.map(lambda value: value * 2, [1, 2]))) == [3, 5]


def test_use_thread_decides_where_an_iterable_is_read() -> None:
    def readers() -> Any:
        yield os.getpid(), threading.current_thread() is threading.main_thread()

    assert list(pl.process.from_iterable(readers())) == [(os.getpid(), True)]
    ((here, _),) = pl.process.map(lambda item: item, pl.process.from_iterable(readers(), use_thread=True))
    assert here == os.getpid()
    ((elsewhere, _),) = pl.process.from_iterable(readers(), use_thread=False)
    assert elsewhere != os.getpid()


def test_a_dead_worker_is_an_error_and_no_hang() -> None:
    with pytest.raises(WorkerLostError, match="killed by SIGKILL"):
        list(pl.process.map(steps.killed, range(10), workers=2))


def test_a_result_that_cannot_be_pickled_is_an_error_and_no_loss() -> None:
    with pytest.raises(UnpicklableItemError):
        list(pl.process.map(lambda value: threading.Lock() if value == 2 else value, range(5)))


def test_a_worker_that_takes_too_long_is_replaced_and_the_others_go_on() -> None:
    assert sorted(pl.process.map(steps.slow_at_two, range(6), workers=2, timeout=0.5)) == [0, 1, 3, 4, 5]


def _add(namespace: Any, value: int) -> None:
    with namespace, namespace:
        namespace.total += value


def test_a_namespace_is_shared_by_processes() -> None:
    namespace = pl.process.Namespace(total=0)

    pl.process.each(partial(_add, namespace), range(20), workers=3, run=True)
    assert namespace.total == sum(range(20))
    namespace.other = "new"
    assert namespace.other == "new"
    assert not hasattr(namespace, "missing")
    folder = namespace._path
    assert folder.is_dir()
    del namespace
    gc.collect()
    assert not folder.exists()

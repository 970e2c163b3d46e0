"""A run that several pipelines read: each gets every item, and one that stops early holds up no other."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable
from functools import partial
from typing import Any

import pytest

from chainpump import Executor, Inline, Pipeline, Processes, RunError, StageError, Threads, source
from chainpump.engine.shared_run import SharedRun
from chainpump.start import RunOptions, start
from support.gate import Gate
from support.threads import meanwhile

EXECUTORS = [
    pytest.param(Inline(), id="inline"),
    pytest.param(Threads(2), id="threads"),
    pytest.param(Processes(2), id="processes"),
]
# Bounds of the items of a reader; None is a bound in bytes.
BOUNDS = pytest.mark.parametrize("in_flight", [None, 1], ids=["bytes", "items"])
on_every = pytest.mark.parametrize("on", EXECUTORS)
# More items than wait anywhere.
MANY = 5_000


def passed(item: int) -> int:
    return item


def failing(item: int) -> int:
    raise LookupError(item)


def shared(items: Iterable[int], on: Executor) -> SharedRun:
    pipeline = Pipeline(items).map(passed, on=on)
    return SharedRun(partial(start, pipeline.plan(), RunOptions(), iterated=True, apart=True))


def readers(run: SharedRun, in_flight: int | None, number: int = 2) -> list[Pipeline[Any]]:
    return [Pipeline(source(run.reader(in_flight)), on=Inline()) for _ in range(number)]


@on_every
@BOUNDS
def test_each_reader_gets_every_item(on: Executor, in_flight: int | None) -> None:
    one, other = readers(shared(range(300), on), in_flight)
    assert sorted(Pipeline.merge(one, other)) == sorted([*range(300)] * 2)


@on_every
@BOUNDS
def test_a_reader_that_stops_early_leaves_the_other_all_items(on: Executor, in_flight: int | None) -> None:
    one, other = readers(shared(range(MANY), on), in_flight)
    assert sorted(Pipeline.merge(one.take(1).map(str), other.map(str))) == sorted(map(str, [0, *range(MANY)]))


@on_every
@BOUNDS
def test_all_readers_may_stop_early_and_the_run_ends(on: Executor, in_flight: int | None) -> None:
    parts = [reader.take(number) for number, reader in enumerate(readers(shared(range(10**9), on), in_flight, 3), 1)]
    assert sorted(Pipeline.merge(*parts)) == [0, 0, 0, 1, 1, 2]


@on_every
def test_a_reader_whose_run_is_closed_leaves_the_other_all_items(on: Executor) -> None:
    one, other = readers(shared(range(MANY), on), None)
    with meanwhile(lambda: list(other)) as found:
        with one.open() as run:
            assert next(iter(run)) == 0
        assert found.result() == list(range(MANY))


@on_every
def test_a_reader_whose_items_are_dropped_leaves_the_other_all_items(on: Executor) -> None:
    one, other = readers(shared(range(MANY), on), None)
    with meanwhile(lambda: list(other)) as found:
        items = iter(one)
        assert next(items) == 0
        del items
        assert found.result() == list(range(MANY))


@on_every
def test_a_reader_that_fails_alone_leaves_the_other_all_items(on: Executor) -> None:
    one, other = readers(shared(range(MANY), on), None)
    with meanwhile(lambda: list(other)) as found:
        with pytest.raises(StageError, match="raised LookupError"):
            list(one.map(failing, on=Threads()))
        assert found.result() == list(range(MANY))


@on_every
def test_a_reader_that_waits_for_an_item_is_cancelled_alone(on: Executor, gate: Gate) -> None:
    one, other = readers(shared(gate.hold_each(range(2)), on), None)

    def cancelled(pipeline: Pipeline[Any]) -> None:
        with pipeline.into(list, on=Threads()).open() as run:
            gate.wait_held()
            run.cancel()
            assert run.wait()
        gate.release(2)

    with meanwhile(lambda: list(other)) as found:
        cancelled(one)
        assert found.result() == [0, 1]


@on_every
def test_all_readers_raise_the_error_of_the_run(on: Executor) -> None:
    pipeline = Pipeline(range(10)).map(failing, on=on)
    run = SharedRun(partial(start, pipeline.plan(), RunOptions(), iterated=True, apart=True))
    one, other = readers(run, None)

    def failure(reader: Pipeline[Any]) -> str:
        with pytest.raises(StageError) as caught:
            list(reader)
        return caught.value.failures[0].stage

    with meanwhile(partial(failure, one)) as found:
        assert failure(other) == "failing"
    assert found.result() == "failing"


def test_a_reader_waits_for_one_that_never_comes_until_it_is_cancelled() -> None:
    begun = threading.Event()

    def begin() -> Any:
        begun.set()

    one, _ = readers(SharedRun(begin), None)
    with one.into(list, on=Threads()).open() as run:
        pass
    assert run.status == "cancelled"
    assert not begun.is_set()


@on_every
def test_a_failure_behind_one_reader_is_the_failure_of_the_pipeline_that_merges_them(on: Executor) -> None:
    one, other = readers(shared(itertools.count(), on), None)
    with pytest.raises(RunError) as caught:
        list(Pipeline.merge(one.map(failing, on=Threads()), other.map(passed)))
    assert [failure.stage for failure in caught.value.failures] == ["failing"]

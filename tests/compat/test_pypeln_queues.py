"""Queues as live sources of stages of the facade of pypeln."""

from __future__ import annotations

import asyncio
import multiprocessing
import queue
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from chainpump import StageOptionError
from chainpump.compat import pypeln as pl

MODULES = [pl.process, pl.thread]
both = pytest.mark.parametrize("module", MODULES, ids=["process", "thread"])


@pytest.fixture(autouse=True)
def closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close the queues of a test, as a program may; their threads end a little later."""
    made: list[Any] = []
    begin = pl.process.IterableQueue.__init__

    def noting(self: Any, *args: Any, **options: Any) -> None:
        begin(self, *args, **options)
        made.append(self)

    monkeypatch.setattr(pl.process.IterableQueue, "__init__", noting)
    yield
    for each in made:
        each.close()
    for thread in threading.enumerate():
        if thread.name == "QueueFeederThread":
            thread.join()


@both
def test_items_arrive_while_the_stage_runs(module: Any) -> None:
    source = module.IterableQueue(maxsize=2, total_sources=2)

    def fill(first: int) -> None:
        for value in range(first, first + 5):
            source.put(value)
        source.worker_done()

    threads = [threading.Thread(target=fill, args=(first,)) for first in (0, 5)]
    for each in threads:
        each.start()
    assert sorted(module.map(lambda value: value * 2, source, workers=2)) == list(range(0, 20, 2))
    for each in threads:
        each.join()
    assert source.is_done()
    assert list(source) == []


@both
def test_a_stage_that_is_left_does_not_wait_for_its_queue(module: Any) -> None:
    source = module.IterableQueue()
    source.put(1)
    for value in module.map(lambda value: value, source):
        assert value == 1
        break
    # The next reader gets what comes now.
    source.put(2)
    source.worker_done()
    assert list(source) == [2]


@both
def test_a_queue_can_be_stopped_cleared_and_can_raise(module: Any) -> None:
    source = module.IterableQueue()
    source.put(1)
    source.stop()
    assert source.is_done()
    assert list(source) == []
    source = module.IterableQueue()
    source.put(1)
    source.raise_exception(KeyError("text", 2))
    reading = iter(source)
    assert next(reading) == 1
    with pytest.raises(KeyError) as caught:
        next(reading)
    assert caught.value.args == ("text", 2)


@both
def test_a_queue_can_be_read_item_by_item(module: Any) -> None:
    source = module.IterableQueue()
    source.put("a")
    source.worker_done()
    assert source.get(timeout=60) == "a"
    with pytest.raises(queue.Empty):
        source.get(timeout=60)
    for options in ({"maxsize": -1}, {"total_sources": 0}):
        with pytest.raises(StageOptionError):
            module.IterableQueue(**options)


def test_another_process_fills_a_queue() -> None:
    source: Any = pl.process.IterableQueue()

    def fill() -> None:
        for value in range(5):
            source.put(value)
        source.worker_done()

    child = multiprocessing.get_context("fork").Process(target=fill)
    child.start()
    assert sorted(pl.thread.map(lambda value: value + 1, source)) == [1, 2, 3, 4, 5]
    child.join()


def test_an_item_that_cannot_be_pickled_is_refused_by_put() -> None:
    source: Any = pl.process.IterableQueue()
    with pytest.raises(TypeError, match="cannot pickle"):
        source.put(threading.Lock())


def test_a_queue_of_an_event_loop_is_a_source() -> None:
    async def main() -> list[int]:
        source: Any = pl.task.IterableQueue(maxsize=1)

        async def fill() -> None:
            for value in range(5):
                await source.put(value)
            await source.worker_done()

        filling = asyncio.create_task(fill())
        found = await pl.task.map(lambda value: value + 1, source)
        await filling
        again: Any = pl.task.IterableQueue()
        await again.raise_exception(KeyError("text"))
        with pytest.raises(KeyError, match="text"):
            await again.get()
        await again.put(1)
        await again.stop()
        assert [item async for item in again] == []
        return found

    assert sorted(asyncio.run(main())) == [1, 2, 3, 4, 5]

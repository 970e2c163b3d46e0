"""Queues as live sources of stages of the facade of pypeln."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import queue
import struct
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from chainpump import StageOptionError
from chainpump.compat import pypeln as pl
from chainpump.compat.pypeln.queue_server import connected
from compat import steps
from support.gate import LIMIT, Gate
from support.processes import wait_asleep

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
        each.join_thread()


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


FORK: Any = multiprocessing.get_context("fork")


def _filled(source: Any, gate: Gate, end: int) -> None:
    source.put(0)
    gate.announce()
    source.put(1, timeout=LIMIT)
    source.put(end)


def test_a_producer_that_dies_holds_up_no_other_one(gate: Gate) -> None:
    """It is killed while it waits for room. What it has put stays."""
    source: Any = pl.process.IterableQueue(maxsize=1)
    dying = FORK.Process(target=_filled, args=(source, gate, 9))
    dying.start()
    gate.wait_held()
    wait_asleep(dying.pid)
    dying.kill()
    dying.join()
    others = [FORK.Process(target=_done, args=(source,))]
    others[0].start()
    assert list(pl.thread.map(lambda value: value + 1, source)) == [1, 8]
    others[0].join()


def _done(source: Any) -> None:
    source.put(7)
    source.worker_done()


def test_a_producer_that_dies_in_the_middle_of_an_item_is_dropped(gate: Gate) -> None:
    source: Any = pl.process.IterableQueue()

    def half() -> None:
        connection = connected(source._address)
        # The length of a message, and less than that.
        os.write(connection.fileno(), struct.pack("!i", 1000) + b"half")
        gate.hold(None)

    dying = FORK.Process(target=half)
    dying.start()
    gate.wait_held()
    dying.kill()
    dying.join()
    source.put(1)
    source.worker_done()
    assert list(source) == [1]


def test_a_reader_in_another_process_that_dies_takes_no_item(gate: Gate) -> None:
    source: Any = pl.process.IterableQueue()

    def read() -> None:
        gate.announce()
        source.get()

    dying = FORK.Process(target=read)
    dying.start()
    gate.wait_held()
    wait_asleep(dying.pid)
    dying.kill()
    dying.join()
    # The server has seen the end of the connection once it answers this.
    asking = FORK.Process(target=source.empty)
    asking.start()
    asking.join()
    source.put(1)
    source.worker_done()
    assert list(source) == [1]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_another_process_can_use_all_methods_of_a_queue(method: str) -> None:
    source: Any = pl.process.IterableQueue(maxsize=3)
    context: Any = multiprocessing.get_context(method)
    child = context.Process(target=steps.use_queue, args=(source,))
    child.start()
    child.join()
    assert child.exitcode == 0
    with pytest.raises(KeyError, match="from elsewhere"):
        list(source)


def test_a_queue_is_read_in_a_process() -> None:
    source: Any = pl.process.IterableQueue()
    for value in range(3):
        source.put(value)
    source.worker_done()
    assert list(pl.process.from_iterable(source, use_thread=False)) == [0, 1, 2]


def test_a_queue_that_is_closed_is_an_error_for_other_processes(gate: Gate) -> None:
    source: Any = pl.process.IterableQueue()
    ours, theirs = FORK.Pipe()

    def use() -> None:
        source.put(1)
        gate.hold(None)
        for _ in range(2):
            try:
                source.put(2)
            except OSError as error:
                theirs.send(type(error).__name__)

    child = FORK.Process(target=use)
    child.start()
    gate.wait_held()
    source.close()
    source.join_thread()
    gate.release()
    # The open connection has ended, and there is no new one.
    assert {ours.recv(), ours.recv()} <= {"ConnectionResetError", "BrokenPipeError", "FileNotFoundError"}
    child.join()
    # Its owner still has what was put.
    assert source.get() == 1
    ours.close()
    theirs.close()


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
        again.raise_exception_nowait(KeyError("text"))
        with pytest.raises(KeyError, match="text"):
            await again.get()
        short: Any = pl.task.IterableQueue(total_sources=2)
        for value in (1, 2):
            short.put_nowait(value)
            short.worker_done_nowait()
        assert await pl.task.map(lambda value: value, short) == [1, 2]
        await again.put(1)
        await again.stop()
        assert [item async for item in again] == []
        return found

    assert sorted(asyncio.run(main())) == [1, 2, 3, 4, 5]

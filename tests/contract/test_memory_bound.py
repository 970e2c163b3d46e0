"""One slow item, or a slow consumer, never fills the memory: whatever the items are, and wherever they are made."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from chainpump import Executor, Inline, Pipeline, Processes, Tasks, Threads, sink, source, stage
from chainpump.transport import flow
from chainpump.transport.flow import FRAME_BYTES
from chainpump.transport.thread_channel import FRAMES_EACH
from support.cases import pairwise
from support.gate import LIMIT, Gate

# Bytes of an item.
SIZE = 100_000
# What may wait in one place in these tests.
HELD = 20 * SIZE
WORKERS = 3
# They inherit what is patched.
FORKED = Processes(WORKERS, start_method="fork")


@pytest.fixture(autouse=True)
def small_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow, "HELD_BYTES", HELD)


@dataclass
class Page:
    number: int
    content: bytearray


SHAPES: dict[str, Callable[[int], object]] = {
    "bytes": lambda _: bytes(SIZE),
    "dataclass of a bytearray": lambda number: Page(number, bytearray(SIZE)),
    "tuple of a view": lambda number: (number, np.zeros(SIZE, np.uint8)[:]),
    "list of small bytes": lambda _: [bytes(1_000 - 41) for _ in range(100)],
}
if find_spec("PIL") is not None:
    images = import_module("PIL.Image")
    SHAPES["image"] = lambda _: images.new("RGB", (158, 158))


def settled(count: Callable[[], int], least: int) -> int:
    """What a count comes to, from so much on: once 0.2 s pass without a move, everybody waits."""
    value, until = -1, time.monotonic() + LIMIT
    while value != count() or (value < least and time.monotonic() < until):
        value = count()
        threading.Event().wait(0.2)
    return value


class Maker:
    """Makes items of a shape; the one of number `slow` waits until it may go on. The first ones are small."""

    def __init__(self, shape: str, slow: int, small: int) -> None:
        self._shape = shape
        self._slow = slow
        self._small = small
        self._lock = threading.Lock()
        self.may_go_on = threading.Event()
        # Items made.
        self.large = 0

    def __call__(self, number: int) -> object:
        if number == self._slow:
            self.may_go_on.wait(LIMIT)
        if number < self._small:
            # So that a frame holds few of them: else the slow item may share one with all that come behind it.
            threading.Event().wait(0.0001)
            return bytes(128)
        with self._lock:
            self.large += 1
        return SHAPES[self._shape](number)

    async def awaited(self, number: int) -> object:
        import asyncio

        while number == self._slow and not self.may_go_on.is_set():  # noqa: ASYNC110  # a test's thread sets it
            await asyncio.sleep(0.01)
        return self(number)


@pairwise
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("small", [0, 1_000], ids=["large", "first small"])
@pytest.mark.parametrize("on", [Threads(WORKERS), Tasks(WORKERS)], ids=repr)
def test_few_items_are_made_ahead_of_a_slow_one(on: Executor, shape: str, small: int) -> None:
    maker = Maker(shape, slow=max(small - 100, 5), small=small)
    pipeline = Pipeline(range(small + 400)).map(maker.awaited if isinstance(on, Tasks) else maker, on=on)
    with ThreadPoolExecutor() as pool:
        report = pool.submit(pipeline.into(sink(counted), on=Threads()).run)
        # Where they wait for their turn; in a channel; and in the hands of each worker, once, when sizes jump.
        most = 20 + 20 + FRAMES_EACH + WORKERS * (FRAME_BYTES // SIZE + 64)
        made = settled(lambda: maker.large, least=1)
        maker.may_go_on.set()
        assert 1 <= made <= most
        assert report.result(LIMIT).value == small + 400


def counted(items: Iterable[Any]) -> int:
    return sum(1 for _ in items)


@pytest.mark.parametrize("shape", SHAPES)
def test_few_items_wait_for_a_slow_consumer_on_a_thread(shape: str) -> None:
    maker = Maker(shape, slow=-1, small=0)

    def items() -> Iterator[Any]:
        yield from map(maker, range(10_000))

    with Pipeline(source(items), on=Threads()).then(stage(same), on=Threads()).open() as run:
        next(iter(run))
        assert settled(lambda: maker.large, least=10) <= 2 * (20 + FRAMES_EACH + 2 * FRAME_BYTES // SIZE)


def same(items: Iterable[Any]) -> Iterator[Any]:
    yield from items


class Held:
    """Holds one item at a gate. Results behind it are large."""

    def __init__(self, gate: Gate, slow: int) -> None:
        self._gate = gate
        self._slow = slow

    def __call__(self, number: int) -> tuple[int, bytes]:
        if number == self._slow:
            self._gate.hold(number)
        return number, bytes(SIZE if number > self._slow else 10)


@pytest.mark.parametrize(
    "places",
    [
        [Threads(WORKERS)],
        [FORKED],
        [FORKED, Threads(2)],
        [Threads(WORKERS), FORKED],
        [FORKED, FORKED],
        [Inline(), FORKED],
    ],
    ids=repr,
)
def test_all_items_come_in_order_when_those_behind_a_slow_one_had_to_wait(places: list[Executor], gate: Gate) -> None:
    slow = 700
    pipeline = Pipeline(range(2_000)).map(Held(gate, slow), on=places[0])
    for on in places[1:]:
        pipeline = pipeline.map(itself, on=on)

    def release() -> None:
        gate.wait_held()
        # Others may overtake it meanwhile; that they do is no part of the test.
        threading.Event().wait(0.1)
        gate.release()

    with ThreadPoolExecutor() as pool:
        released = pool.submit(release)
        assert [number for number, _ in pipeline] == list(range(2_000))
        released.result(LIMIT)


def itself(item: tuple[int, bytes]) -> tuple[int, bytes]:
    return item


def parts(number: int) -> Iterator[bytes]:
    """A few items are made of one; of every third, very many."""
    for part in range(200 if number % 3 == 0 else 1):
        if number == 4 and not part:
            time.sleep(0.2)
        yield b"%d" % number + bytes(SIZE // 2)


@pytest.mark.parametrize("on", [Threads(WORKERS), FORKED], ids=repr)
def test_items_made_in_many_parts_come_in_order(on: Executor) -> None:
    numbers = [int(part.rstrip(b"\0")) for part in Pipeline(range(20)).flat_map(parts, on=on)]
    assert numbers == [number for number in range(20) for _ in range(200 if number % 3 == 0 else 1)]

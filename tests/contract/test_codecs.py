"""Items of a type with a codec, on every executor: whole, in parts of other items, and in frames of many."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from chainpump import Pipeline, RunError, Threads, UnpicklableItemError, register_codec, source
from chainpump.pickling import registry
from contract.placings import EVERYWHERE, MOST, Placing

# Bytes; above what leaves the pickle.
LARGE = 200_000


class Grid:
    """Cells beside a lock, which plain pickle refuses. came: what kind of buffer it was decoded from."""

    def __init__(self, cells: Any, width: int, came: str = "") -> None:
        self.cells = cells
        self.width = width
        self.came = came
        self.lock = threading.Lock()


def encode(grid: Grid) -> tuple[Sequence[Any], tuple[int, str]]:
    return [grid.cells], (grid.width, "")


def decode(buffers: Sequence[Any], metadata: tuple[int, str]) -> Grid:
    return Grid(buffers[0], metadata[0], type(buffers[0]).__name__)


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only in the main process: workers that import this file find no codec in it."""
    monkeypatch.setattr(registry, "_REGISTERED", {})
    # Of a closure, which no worker could import.
    prefix = "decoded from "
    register_codec(Grid, encode, lambda buffers, metadata: _named(decode(buffers, metadata), prefix))


def _named(grid: Grid, prefix: str) -> Grid:
    grid.came = prefix + grid.came
    return grid


def grids(sizes: Sequence[int]) -> Iterator[Grid]:
    for number, size in enumerate(sizes):
        yield Grid(bytearray([number]) * size, number)


def nested(sizes: Sequence[int]) -> Iterator[dict[str, list[Any]]]:
    for grid in grids(sizes):
        yield {"grids": [grid, (grid, "text")]}


def doubled(grid: Grid) -> Grid:
    assert type(grid) is Grid
    view = memoryview(grid.cells)
    # Buffers are writable, as they were.
    view[0] = (2 * view[0]) % 256
    return grid


def facts(grid: Grid) -> tuple[int, int, int]:
    return grid.width, len(grid.cells), grid.cells[0]


@pytest.mark.parametrize("placing", EVERYWHERE)
def test_items_with_a_codec_cross_wherever_stages_run(placing: Placing) -> None:
    sizes = [LARGE, 10] * 5
    pipeline = Pipeline(source(grids, sizes), on=placing.source).map(doubled, on=placing.stage)
    assert list(pipeline.map(facts, on=placing.sink)) == [(n, size, 2 * n) for n, size in enumerate(sizes)]


@pytest.mark.parametrize("placing", MOST)
def test_a_codec_applies_at_any_depth_and_keeps_what_is_one_object(placing: Placing) -> None:
    sizes = [LARGE, 10]
    for item, size in zip(Pipeline(source(nested, sizes), on=placing.source), sizes, strict=True):
        first, (second, _) = item["grids"]
        assert first is second
        assert len(first.cells) == size


def test_a_large_buffer_is_a_view_of_shared_memory_and_a_small_one_is_not() -> None:
    found = [grid.came for grid in Pipeline(source(grids, [LARGE, 10]))]
    assert found == ["decoded from memoryview", "decoded from bytearray"]


def buffers_again_and_again(n: int) -> Iterator[dict[str, Any]]:
    """One buffer, which grows as soon as it was yielded."""
    data = bytearray(2 * LARGE)
    for number in range(n):
        yield {"data": data, "number": number}
        data.append(number)


@pytest.mark.parametrize("placing", [each for each in MOST if each.values[0].source != Threads()])
def test_large_bytearrays_arrive_as_they_were_when_they_were_yielded(placing: Placing) -> None:
    for item in Pipeline(source(buffers_again_and_again, 8), on=placing.source):
        assert type(item["data"]) is bytearray
        assert item["data"][2 * LARGE :] == bytes(range(item["number"]))


def test_an_item_whose_codec_raises_is_named_with_what_it_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(grid: Grid) -> tuple[Sequence[Any], None]:
        raise ValueError("no cells here")

    register_codec(Grid, refuse, lambda buffers, _: Grid(buffers[0], 0))
    with pytest.raises(
        UnpicklableItemError, match=r"item 0.*\n  dict\['grids'\]\[0\]: its codec raised ValueError: no"
    ):
        list(Pipeline(source(nested, [10])))


def test_a_codec_that_cannot_travel_is_named_as_a_worker_starts() -> None:
    lock = threading.Lock()
    register_codec(Grid, encode, lambda buffers, _: Grid(buffers[0], int(lock.locked())))
    message = (
        r"could not start worker 1 of 1: TypeError: the codec of <class '.*Grid'> cannot be sent to a worker: cannot"
    )
    with pytest.raises(RunError, match=message):
        list(Pipeline(source(grids, [10])))

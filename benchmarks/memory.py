"""The most memory that all processes of a run take where one item is slow, or the consumer: by types of items."""

import asyncio
import itertools
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

# Items are opaque.
from typing import Any, Self

from benchmarks import table
from benchmarks.experiment import Result, Settings

MB = 1_000_000
# For which an item is slow, or a slow consumer takes items.
SECONDS = 3.0
# Sleep of a slow consumer for each item.
CONSUMER_SECONDS = 0.02
SLOW_ITEM = 20
# Before sizes jump.
SMALL_ITEMS = 3_000
# Two places where items wait, 64 MB each, and what 4 workers and the consumer have in hand.
BOUND = 192 * MB
# A case ends beyond that.
CAP = 1_000 * MB
# kB; shared memory is counted by its files.
PRIVATE = ("Pss_Anon:", "Pss_File:")
# Between two looks at the memory.
LOOK_SECONDS = 0.03
COLUMNS = ("items", "slow", "order", "Processes(4)", "Threads(4)", "Tasks(4)", "Tasks(4), Processes(2)")
PLACES = COLUMNS[3:]


# Run in the process of a case.


@dataclass
class Page:
    """An item that holds its bytes in an attribute."""

    number: int
    content: bytearray


def make_bytes(_: int) -> bytes:
    """1 MB, all of it written to: memory that nobody touches takes no room."""
    return b"x" * MB


def make_page(number: int) -> Page:
    """1 MB in a dataclass."""
    return Page(number, bytearray(b"x") * MB)


def make_view(number: int) -> tuple[int, Any]:
    """A view of 1 MB in a tuple."""
    import numpy as np

    return number, np.ones(MB, np.uint8)[:]


def make_list(_: int) -> list[bytes]:
    """1 MB in 1,000 objects."""
    return [b"%d" % part + b"x" * 960 for part in range(1_000)]


def make_image(number: int) -> Any:
    """1 MB of pixels."""
    from PIL import Image

    return Image.new("RGB", (500, 500), (number % 256, 1, 2))


def make_jump(number: int) -> bytes:
    """128 bytes for a while, then 1 MB."""
    return b"x" * (128 if number < SMALL_ITEMS else MB)


SHAPES: dict[str, Callable[[int], Any]] = {
    "bytes": make_bytes,
    "dataclass of bytearray": make_page,
    "tuple of an array": make_view,
    "list of small bytes": make_list,
    "image": make_image,
    "bytes, first small": make_jump,
}


def work(number: int, shape: str, slow_item: int | None) -> Any:
    """An item; one of them takes long."""
    if number == slow_item:
        time.sleep(SECONDS)
    return SHAPES[shape](number)


async def work_async(number: int, shape: str, slow_item: int | None) -> Any:
    """The same in a task."""
    await asyncio.sleep(SECONDS if number == slow_item else 0)
    return SHAPES[shape](number)


def same(item: Any) -> Any:
    """The item."""
    return item


def results(place: str, shape: str, ordered: bool, slow_item: int | None) -> Any:
    """The pipeline of a cell."""
    from chainpump import Pipeline, Processes, Tasks, Threads

    numbers = Pipeline(itertools.count())
    made = partial(work, shape=shape, slow_item=slow_item)
    awaited = partial(work_async, shape=shape, slow_item=slow_item)
    return {
        "Processes(4)": lambda: numbers.map(made, on=Processes(4), ordered=ordered),
        "Threads(4)": lambda: numbers.map(made, on=Threads(4), ordered=ordered),
        "Tasks(4)": lambda: numbers.map(awaited, on=Tasks(4), ordered=ordered),
        "Tasks(4), Processes(2)": lambda: numbers.map(awaited, on=Tasks(4), ordered=ordered).map(
            same, on=Processes(2), ordered=ordered
        ),
    }[place]()


def grow(place: str, shape: str, ordered: bool, slow_item: int | None) -> Mapping[str, float]:
    """Bytes by which the memory of all processes grows at most, beyond what a run of a few items takes."""
    with Watch() as before:
        consume(results(place, "bytes, first small", ordered, None), 100, 0.0)
    with Watch(before.peak + CAP) as during:
        slow = 0.0 if slow_item is not None else CONSUMER_SECONDS
        consume(results(place, shape, ordered, slow_item), 100 + SMALL_ITEMS * (shape == "bytes, first small"), slow)
    return {"growth": max(0, during.peak - before.peak)}


def consume(pipeline: Any, items: int, seconds: float) -> None:
    """Take so many items, or for so long; a slow consumer takes small ones at once."""
    until = time.monotonic() + 2 * SECONDS
    with pipeline.open() as run:
        for item in itertools.islice(run, items):
            time.sleep(seconds if not isinstance(item, bytes) or len(item) == MB else 0)
            if time.monotonic() > until:
                break


class Watch:
    """Looks at the memory of all processes in a thread. Beyond `most` it ends the case, with what it saw."""

    def __init__(self, most: float = float("inf")) -> None:
        self.peak = 0
        self._most = most
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._is_over.wait(LOOK_SECONDS):
            self.peak = max(self.peak, _memory(os.getpid()))
            if self.peak > self._most:
                print(json.dumps({"growth": CAP}), flush=True)
                # Whatever the run is in.
                os._exit(0)


def _memory(root: int) -> int:
    """Bytes that a process and its descendants have for themselves, and their shared memory, mapped or not."""
    own, shared = 0, {}
    for process in _descendants(root):
        # It has just ended.
        with suppress(OSError):
            own += sum(int(line.split()[1]) for line in _lines(process / "smaps_rollup") if line.startswith(PRIVATE))
            for descriptor in (process / "fd").iterdir():
                with suppress(OSError):
                    found = descriptor.stat()
                    if str(descriptor.readlink()).startswith("/memfd:"):
                        shared[found.st_ino] = found.st_blocks * 512
    return own * 1024 + sum(shared.values())


def _descendants(root: int) -> Iterator[Path]:
    processes = [Path(f"/proc/{root}")]
    for process in processes:
        yield process
        with suppress(OSError):
            for task in (process / "task").iterdir():
                processes += [Path(f"/proc/{pid}") for pid in (task / "children").read_text().split()]


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


# Run in the main process.


def run(settings: Settings) -> Result:
    """One case for each cell, one after the other."""
    rows, records = [], []
    for shape, slow, ordered in itertools.product(SHAPES, ("item", "consumer"), (True, False)):
        slow_item = (SLOW_ITEM if shape != "bytes, first small" else SMALL_ITEMS - 100) if slow == "item" else None
        cells = []
        for place in PLACES:
            arguments = {"place": place, "shape": shape, "ordered": ordered, "slow_item": slow_item}
            growth = settings.case("memory:grow", **arguments).value["growth"]
            records.append({**arguments, "growth": growth})
            cells.append(_cell(growth))
        rows.append((shape, slow, "kept" if ordered else "any", *cells))
    notes = [
        f"Growth of all processes together, what they share counted once; a case ends beyond {table.size(CAP)}.",
        f"wanted: <= {table.size(BOUND)} everywhere, else marked (!). Items of 1 MB from an endless source.",
        f"slow item: takes {SECONDS:g} s. slow consumer: {CONSUMER_SECONDS * 1e3:g} ms an item.",
        f"first small: {SMALL_ITEMS:,} items of 128 bytes, then 1 MB.",
    ]
    return Result(table.Table("memory", COLUMNS, rows, notes, labels=3), records)


def _cell(growth: float) -> str:
    return f"{'> ' if growth >= CAP else ''}{table.size(growth)}{'' if growth <= BOUND else ' (!)'}"

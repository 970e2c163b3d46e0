"""A program with a durable run, which a test kills while a stage is at a gate: `python -m ... FOLDER PLACING KIND`."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from pathlib import Path
from typing import Any

from chainpump import DeadLetter, Executor, Inline, Pipeline, Processes, Runnable, Tasks, Threads, source

__all__ = ["ITEMS", "PLACINGS", "STOP", "runnable", "wanted"]

ITEMS = 60
# The item at which the first program is held.
STOP = 40
PLACINGS: Mapping[str, Executor] = {
    "inline": Inline(),
    "threads": Threads(2),
    "tasks": Tasks(),
    "forkserver": Processes(2),
    "fork": Processes(2, start_method="fork"),
    "spawn": Processes(2, start_method="spawn"),
    "restarts": Processes(2, restarts=3),
}


def numbers() -> Iterator[int]:
    """The items."""
    yield from range(ITEMS)


def add_one(number: int) -> int:
    """A stage."""
    return number + 1


def no_seventh(number: int) -> bool:
    """A stage that drops some items."""
    return number % 7 != 0


def twice(number: int) -> list[int]:
    """A stage that makes several items of one; one item fails in it."""
    if number == STOP // 2:
        raise ValueError(number)
    return [number, -number]


class Store:
    """Writes each item to a file, and waits at one item while a gate exists."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, number: int) -> None:
        """Write the item."""
        if number == STOP and (self.folder / "held").exists():
            held = os.open(self.folder / "held", os.O_WRONLY)
            os.write(held, f"{os.getpid()}\n".encode())
            os.read(os.open(self.folder / "released", os.O_RDONLY), 1)
        file = os.open(self.folder / "stored", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, f"{number}\n".encode())
        os.close(file)


def _awaited(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    @wraps(function)
    async def call(item: Any) -> Any:
        return await asyncio.to_thread(function, item)

    return call


def runnable(folder: Path, placing: str) -> Runnable[None]:
    """The pipeline of the program."""
    on = PLACINGS[placing]
    wrap: Callable[[Any], Any] = _awaited if placing == "tasks" else lambda function: function
    # A worker that can be replaced must hold no credit.
    few: Mapping[str, Any] = {} if placing == "restarts" else {"in_flight": 4}
    items = Pipeline(source(numbers), on=Inline() if placing == "inline" else Threads(1))
    mapped = items.map(wrap(add_one), on=on, returns=int, **few).filter(wrap(no_seventh), on=on, **few)
    # The results of one item, as they leave the stage.
    made = mapped.flat_map(wrap(twice), on=on, on_error=DeadLetter(), returns=list[int], **few)
    return made.each(wrap(Store(folder)), on=on, **few)


def wanted() -> list[int]:
    """What is stored in the end."""
    kept = [number + 1 for number in range(ITEMS) if (number + 1) % 7 and number + 1 != STOP // 2]
    return sorted([*kept, *(-number for number in kept)])


def main() -> None:
    """Run it with a journal in the folder."""
    # The same functions as those of the test, by name.
    from support import durable_program

    folder = Path(sys.argv[1])
    durable_program.runnable(folder, sys.argv[2]).run(journal=folder / "journal", journal_every=0.01)


if __name__ == "__main__":
    main()

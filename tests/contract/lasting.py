"""Functions for processes that are kept between runs: what they tell about their process and its past."""

from __future__ import annotations

import atexit
import logging
import os
import random
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from chainpump import current_worker
from support.gate import Gate, Journal

CALLS: list[object] = []
HELD: list[object] = []


def calls(item: object) -> tuple[int, int]:
    """This process, and how many items it has processed in all runs."""
    CALLS.append(item)
    return os.getpid(), len(CALLS)


def pid(_: object) -> int:
    return os.getpid()


def pids(items: Iterable[object]) -> Iterator[int]:
    """As a stage."""
    for _ in items:
        yield os.getpid()


def number(_: object) -> tuple[int, int]:
    return current_worker().number, os.getpid()


@contextmanager
def model(journal: Journal) -> Iterator[Callable[[object], int]]:
    """A factory that tells when it is entered and left."""
    journal.write("entered")
    yield pid
    journal.write("left")


@contextmanager
def failing_model(journal: Journal) -> Iterator[Callable[[int], int]]:
    journal.write("entered")
    try:
        yield raise_at_two
    finally:
        journal.write("left")


@contextmanager
def model_that_cannot_be_left() -> Iterator[Callable[[object], int]]:
    yield pid
    raise OSError("cannot be left")


def raise_at_two(item: int) -> int:
    if item == 2:
        raise ValueError(item)
    return os.getpid()


def speak(item: str) -> int:
    logging.getLogger("lasting").warning(item)
    print(item)
    return os.getpid()


def around(name: str) -> tuple[int, str | None, str]:
    return os.getpid(), os.environ.get(name), str(Path.cwd())


def files(_: object) -> tuple[int, list[str]]:
    """This process, and the files that it has open or mapped, sockets and pipes included."""
    found = []
    for end in Path("/proc/self/fd").iterdir():
        try:
            found.append(str(end.readlink()))
        except FileNotFoundError:
            # The one that lists them.
            continue
    mapped = {
        line.split(maxsplit=5)[5] for line in Path("/proc/self/maps").read_text().splitlines() if "chainpump" in line
    }
    return os.getpid(), sorted([*found, *mapped])


def keep(data: bytearray) -> int:
    """Keep a large item for ever."""
    HELD.append(data)
    return os.getpid()


def write_at_exit(journal: Journal) -> int:
    if not CALLS:
        CALLS.append(atexit.register(journal.write, "left"))
    return os.getpid()


def start_child(_: object) -> int:
    """A process that this one leaves behind."""
    return subprocess.Popen(["sleep", "1000"]).pid


def end_never(gate: Gate) -> int:
    """Exit handlers of this process wait for ever."""
    atexit.register(gate.hold, None)
    return os.getpid()


def busy(seconds: float) -> int:
    """Use the processor."""
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass
    return os.getpid()


def random_number(_: object) -> float:
    return random.random()

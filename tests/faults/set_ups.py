"""Factories for `per_worker`, well behaved and not. Workers import them from here."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from support.gate import Gate, Journal

# Tests say `set_ups.noted`.
__all__: list[str] = []


@contextmanager
def noted(journal: Journal, function: Callable[[int], int]) -> Iterator[Callable[[int], int]]:
    """Makes a function that is there; notes which process enters and leaves, and why."""
    try:
        journal.write(f"entered {os.getpid()}")
        yield function
    except BaseException as error:
        journal.write(f"left {os.getpid()}: {type(error).__name__}")
        raise
    else:
        journal.write(f"left {os.getpid()}: well")


@contextmanager
def waits(journal: Journal, gate: Gate) -> Iterator[Callable[[int], int]]:
    """Waits at the gate before it is set up."""
    with noted(journal, gate.hold) as function:
        gate.hold(None)
        yield function


@contextmanager
def dies_in_first(journal: Journal) -> Iterator[Callable[[int], int]]:
    """Is killed as it is set up for the first time."""
    with noted(journal, abs) as function:
        if len(journal.lines) == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        yield function


@contextmanager
def refuses_to_leave(journal: Journal, function: Callable[[int], int]) -> Iterator[Callable[[int], int]]:
    """Raises when it is left."""
    try:
        yield function
    finally:
        raise OSError("disk full")


@contextmanager
def stuck_in_tear_down(gate: Gate) -> Iterator[Callable[[int], int]]:
    """Is never done with its tear-down, but can be interrupted."""
    try:
        yield abs
    finally:
        gate.announce()
        while True:
            pass


@asynccontextmanager
async def stuck_in_async_tear_down(gate: Gate) -> AsyncIterator[Callable[[int], Coroutine[Any, Any, int]]]:
    """Is never done with its tear-down, but can be cancelled."""
    try:
        yield abs_async
    finally:
        gate.announce()
        await asyncio.Event().wait()


@contextmanager
def announced(gate: Gate) -> Iterator[Callable[[int], int]]:
    """Comes to the gate when it is set up, and prints when it is left."""
    try:
        gate.announce()
        yield abs
    finally:
        # `print` writes the end of the line by itself, and another thread may come between.
        os.write(1, b"left\n")


def fail_at_three(number: int) -> int:
    """Fails."""
    if number == 3:
        raise ValueError("three")
    return number


async def abs_async(number: int) -> int:
    """The absolute value."""
    return abs(number)


@asynccontextmanager
async def announced_async(gate: Gate) -> AsyncIterator[Callable[[int], Coroutine[Any, Any, int]]]:
    """The same in an event loop."""
    with announced(gate):
        yield abs_async

"""Sources, stages and sinks that log, warn and print. Workers import them from here."""

from __future__ import annotations

import logging
import os
import signal
import threading
import warnings
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from chainpump import Pipeline
from faults.executors import on
from support.gate import Gate, Journal

T = TypeVar("T")

# Tests say `speaking.counted`.
__all__: list[str] = []

LOG = logging.getLogger("spoken")


def counted(n: int) -> Iterator[int]:
    """Logs each item, then yields it."""
    for number in range(n):
        LOG.info("made %d", number)
        yield number


def counted_and_cleaned_up(n: int) -> Iterator[int]:
    """The same; logs also as it is closed."""
    try:
        yield from counted(n)
    finally:
        LOG.info("cleaned up")


def counted_and_announced(n: int, gate: Gate) -> Iterator[int]:
    """The same; comes to the gate at the end, and does not wait there."""
    yield from counted(n)
    gate.announce()


def said(numbers: Iterable[int]) -> Iterator[int]:
    """Logs each item that comes."""
    for number in numbers:
        LOG.info("%d", number)
        yield number


def said_until(numbers: Iterable[int], last: int, gate: Gate) -> Iterator[int]:
    """Logs each item; at the last one it comes to the gate, and then dies without a word."""
    for number in said(numbers):
        if number == last:
            gate.hold(number)
            os.kill(os.getpid(), signal.SIGKILL)
        yield number


def raised_at(numbers: Iterable[int], last: int) -> Iterator[int]:
    """Logs each item, and raises at the last."""
    for number in said(numbers):
        if number == last:
            raise ValueError("the last one")
        yield number


def said_for_ever(gate: Gate, journal: Journal) -> Iterator[int]:
    """Logs until it is cancelled, and then once more; yields nothing."""
    gate.announce()
    try:
        while True:
            LOG.info("still here")
        yield 0
    finally:
        journal.write("woken")
        LOG.info("cleaned up")


def said_by_threads(n: int) -> Iterator[int]:
    """Four threads log records, longer than the kernel writes at once, at the same time."""

    def say(letter: str) -> None:
        for number in range(n):
            LOG.info("%s", f"{letter}{number} " + letter * 10_000)

    threads = [threading.Thread(target=say, args=letter) for letter in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    yield n


class OnlyHere:
    """Loads in no process but the one that made it."""

    def __reduce__(self) -> Any:
        return _load_at, (os.getpid(),)

    def __repr__(self) -> str:
        return "<only here>"


def _load_at(pid: int) -> OnlyHere:
    if os.getpid() != pid:
        raise ValueError("not here")
    return OnlyHere()


def of_all_kinds() -> Iterator[int]:
    """Records that could get lost or changed on their way."""
    LOG.info("%s of %r", "argument", threading.Lock)
    LOG.info("extra", extra={"stage": "my own", "path": [1, 2], "lock": threading.Lock(), "only": OnlyHere()})
    try:
        raise KeyError("key")
    except KeyError:
        LOG.exception("failed")
    LOG.info("with a stack", stack_info=True)
    LOG.debug("below the level")
    logging.getLogger("spoken.loud").debug("above the level of its logger")
    logging.getLogger("spoken.quiet").error("below the level of its logger")
    logging.getLogger("spoken.apart").info("not for the root logger")
    logging.getLogger().warning("of the root logger")
    yield 0


def misfit() -> Iterator[int]:
    """A message whose arguments do not fit, and one that comes after it."""
    LOG.info("%d", "no number")
    LOG.info("afterwards")
    yield 0


class CustomWarning(UserWarning):
    """What the standard library does not know."""


def warned(text: str) -> Iterator[int]:
    """Warns twice."""
    warnings.warn(text, RuntimeWarning, stacklevel=1)
    warnings.warn(CustomWarning(text), stacklevel=1)
    yield 0


def with_a_handler_of_its_own(path: str) -> Iterator[int]:
    """Logs into a file, too, and tries to configure what is configured."""
    logging.basicConfig(level=logging.CRITICAL)
    handler = logging.FileHandler(path)
    LOG.addHandler(handler)
    LOG.info("for both")
    LOG.removeHandler(handler)
    handler.close()
    yield 0


def from_a_fork() -> Iterator[int]:
    """A process that a worker forks logs: it is not the worker."""
    pid = os.fork()
    if not pid:
        LOG.info("from a fork")
        os._exit(0)
    os.waitpid(pid, 0)
    LOG.info("from the worker")
    yield 0


def said_once(number: int, gate: Gate) -> int:
    """Logs; the first worker that comes to item 3 dies there, once the gate lets it."""
    LOG.info("%d", number)
    if number == 3:
        gate.hold(number)
    return number


def inner(place: str) -> Iterator[int]:
    """A run inside a worker."""
    yield from Pipeline(range(3)).then(said, on=on(place))

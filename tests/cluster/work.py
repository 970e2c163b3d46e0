"""Functions that run on other machines in these tests. Workers import them from here."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from support.gate import Gate, Journal
from support.stored_rows import append

# Tests say `work.doubled`.
__all__: list[str] = []


def doubled(item: int) -> int:
    return 2 * item


def held(gate: Gate, at: int, item: int) -> int:
    """Hold at one item."""
    return gate.hold(item) if item == at else item


def failing(at: int, item: int) -> int:
    if item == at:
        raise ValueError(f"cannot take {item}")
    return item


def dying_once(at: int, journal: Journal, item: int) -> int:
    """Die at one item, the first time."""
    if item == at and not journal.lines:
        journal.write("died")
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def hanging(at: int, item: int) -> int:
    """Take one item for ever."""
    while item == at:
        time.sleep(60)
    return item


def logging_each(item: int) -> int:
    logging.getLogger("work").warning("item %d", item)
    return item


def logging_much(item: int) -> int:
    logging.getLogger("work").warning("x" * 200_000)
    return item


def surroundings(_item: int) -> tuple[str | None, str | None, str]:
    return os.environ.get("CHAINPUMP_STAGE"), os.environ.get("COLOUR"), os.path.realpath(os.curdir)


def held_with_surroundings(gate: Gate, journal: Journal, item: int) -> int:
    """Say where it is, and hold at each item."""
    journal.write(surroundings(item))
    return gate.hold(item)


def pid_of(_item: int) -> int:
    return os.getpid()


def tidy(items: Iterable[int], journal: Journal, gate: Gate) -> Iterator[int]:
    """A stage that cleans up, however it ends."""
    try:
        for item in items:
            yield gate.hold(item) if item == 5 else item
        journal.write("end of the input")
    except BaseException as error:
        journal.write(type(error).__name__)
        raise
    finally:
        journal.write("clean")


def first_ones(items: Iterable[int], n: int) -> Iterator[int]:
    for item, _ in zip(items, range(n), strict=False):
        yield item


def spread(item: int) -> Iterator[int]:
    """No result, one, or two."""
    yield from [item] * (item % 3)


def paired(item: int) -> list[tuple[int, int]]:
    return [(item, 0), (item, 1)]


def refusing_first_of_5(result: tuple[int, int]) -> Any:
    """The first result of item 5 is refused by this function, the second one by pickle."""
    if result == (5, 0):
        raise ValueError("cannot take it")
    return threading.Lock() if result == (5, 1) else result


async def awaiting_first_of_5(result: tuple[int, int]) -> Any:
    return refusing_first_of_5(result)


def same(item: Any) -> Any:
    return item


def is_no_fifth(item: int) -> bool:
    return item % 5 != 0


def announced_at(gate: Gate, at: int, array: Any) -> Any:
    """Say that this item has come."""
    if array[0] == at:
        gate.announce()
    return array


def held_array(gate: Gate, at: int, array: Any) -> Any:
    """Hold at one item."""
    return gate.hold(array) if array[0] == at else array


def _end_machine_once(journal: Journal) -> None:
    """Kill the machine of this worker, the first time."""
    if not journal.lines:
        # Not needed by the others: it imports pytest.
        from cluster.programs import agent_of, kill_machine

        journal.write("died")
        kill_machine(agent_of(os.getpid()))


def refusing_tens(journal: Journal, at: int, item: int) -> int:
    """Some are dead letters; in the middle, the machine dies."""
    if item == at:
        _end_machine_once(journal)
    if item % 10 == 0:
        raise ValueError(f"cannot take {item}")
    return item


def hanging_after_a_death(at: int, journal: Journal, item: int) -> int:
    """At one item the machine dies; the next one takes too long with it."""
    if item == at:
        _end_machine_once(journal)
        time.sleep(60)
    return item


def ending_its_machine(at: int, journal: Journal, item: int) -> None:
    """At one item the machine dies."""
    if item == at:
        _end_machine_once(journal)


def stored_below(path: Path, at: int, item: int) -> None:
    """Store an item, or fail at one."""
    failing(at, item)
    append(path, [item])

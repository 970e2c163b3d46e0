"""Functions of one item in which workers die, or take too long, on purpose. Workers import them from here.

What has happened already, a `Journal` tells: it outlives the worker.
"""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from chainpump.executors import process_run
from chainpump.ipc.checkpoint import Checkpoint
from chainpump.ipc.system import is_portable
from chainpump.transport.pipe_wire import RecordOut
from chainpump.transport.process_channel import PacketReceiver
from chainpump.transport.socket_wire import PacketOut
from chainpump.worker.output import Output
from faults import stages
from support.gate import Gate, Journal

# Tests say `deaths.doubled`.
__all__: list[str] = []

Die = Callable[[], Any]


def die_at(places: Iterable[int], die: Die, journal: Journal, times: int, item: int) -> None:
    """Die at some items, so many times at each."""
    if item in places and journal.lines.count(f"died at {item}") < times:
        journal.write(f"died at {item}")
        die()


# ------------------------------------------------------------------------------------------- each operator


def doubled(places: Iterable[int], die: Die, journal: Journal, times: int, item: int) -> int:
    """For `map`."""
    die_at(places, die, journal, times, item)
    return 2 * item


def is_odd(places: Iterable[int], die: Die, journal: Journal, times: int, item: int) -> bool:
    """For `filter`."""
    die_at(places, die, journal, times, item)
    return bool(item % 2)


def repeated(places: Iterable[int], die: Die, journal: Journal, times: int, item: int) -> Iterator[int]:
    """For `flat_map`: 0 to 4 copies; dies behind the first."""
    copies = item % 5
    yield from [item] * min(copies, 1)
    die_at(places, die, journal, times, item)
    yield from [item] * (copies - 1)


def noted(places: Iterable[int], die: Die, journal: Journal, times: int, item: int) -> None:
    """For `each`."""
    die_at(places, die, journal, times, item)
    journal.write(f"did {item}")


def refusing_fours(places: Iterable[int], die: Die, journal: Journal, times: int, item: int) -> int:
    """For `map`: raises for every fourth item."""
    die_at(places, die, journal, times, item)
    if item % 4 == 0:
        raise ValueError(f"no {item}")
    return item


def raising_once(places: Iterable[int], die: Die, journal: Journal, times: int, item: int) -> int:
    """For `map`: raises the first time that it is called for every fourth item."""
    die_at(places, die, journal, times, item)
    if item % 4 == 0 and f"raised at {item}" not in journal.lines:
        journal.write(f"raised at {item}")
        raise ValueError(f"no {item}")
    return item


# ------------------------------------------------------------------------------------------- what items are


def same(item: Any) -> Any:
    """The item as it is."""
    return item


def raising_at(place: int, item: int) -> int:
    """Raises at one item."""
    if item == place:
        stages.raise_value_error()
    return item


def many(item: int) -> list[int]:
    """5,000 results."""
    return list(range(5_000 * item, 5_000 * (item + 1)))


def changed_array(places: Iterable[int], die: Die, journal: Journal, times: int, array: Any) -> int:
    """Changes the array in place, then dies; gives the sum of its first and last element."""
    number = int(array[0])
    array += 1
    die_at(places, die, journal, times, number)
    return int(array[0]) + int(array[-1])


def changed_dict(places: Iterable[int], die: Die, journal: Journal, times: int, item: dict[str, Any]) -> list[int]:
    """Changes the dict in place, then dies."""
    item["list"].append(-1)
    die_at(places, die, journal, times, item["number"])
    result: list[int] = item["list"]
    return result


def made_array(places: Iterable[int], die: Die, journal: Journal, times: int, item: int) -> Any:
    """An array of 1 MB."""
    # See stages.arrays.
    import numpy as np

    die_at(places, die, journal, times, item)
    return np.full(1 << 20, item % 251, np.uint8)


def number_of_array(array: Any) -> int:
    """What all its elements are."""
    assert (array == array[0]).all()
    return int(array[0])


class DiesAsItIsPickled:
    """A result of which a worker dies once it has returned it, before it has left."""

    def __init__(self, number: int, die: Die, journal: Journal) -> None:
        self.number = number
        self._die, self._journal = die, journal

    def __reduce__(self) -> tuple[Callable[[int], int], tuple[int]]:
        die_at((self.number,), self._die, self._journal, 1, self.number)
        return int, (self.number,)


def dying_result(places: Iterable[int], die: Die, journal: Journal, item: int) -> Any:
    """Some of its results kill the worker as they are sent."""
    return DiesAsItIsPickled(item, die, journal) if item in places else item


class HeldAsItIsLoaded:
    """Holds a worker that starts, as it loads its function."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def __reduce__(self) -> tuple[Callable[[bytes], Any], tuple[bytes]]:
        return _load_held, (pickle.dumps(self._gate),)


def _load_held(gate: bytes) -> str:
    pickle.loads(gate).hold(None)
    return "loaded"


def same_with(_: object, item: Any) -> Any:
    """The item as it is."""
    return item


def held_at(gate: Gate, places: Iterable[int], item: int) -> int:
    """Holds at some items."""
    return gate.hold(item) if item in places else item


def held_deaf_at(gate: Gate, places: Iterable[int], item: int) -> int:
    """Holds at some items, without hearing of a cancellation."""
    stages.ignore_sigterm()
    return held_at(gate, places, item)


# ------------------------------------------------------------------------------------------ moments between

Moment = tuple[type, str, bool]

# Class, method, and whether it is before it or after it: where a worker can die between two calls of its function.
MOMENTS: tuple[Moment, ...] = tuple(
    (owner, method, before)
    for owner, method in (
        (PacketReceiver, "receive"),
        (PacketReceiver, "settle"),
        (RecordOut if is_portable() else PacketOut, "send"),
        (Checkpoint, "put_position"),
        (Checkpoint, "clear"),
        (Output, "open_span"),
        (Output, "flush_below"),
        (Output, "finish"),
    )
    for before in (True, False)
)


def dying_at(moment: Moment, call: int, journal: Journal) -> Any:
    """What takes the place of the method: it kills the worker that comes to it first, at its so-manieth call.

    For workers that are forked: they inherit it. A worker of the source must not meet it: it is no such worker.
    """
    owner, name, before = moment
    method = getattr(owner, name)
    main = os.getpid()
    calls: list[int] = []
    lock = threading.Lock()

    def count() -> None:
        with lock:
            calls.append(os.getpid())
            is_due = calls.count(os.getpid()) == call
        if is_due and os.getpid() != main and not journal.lines:
            journal.write("died")
            stages.sigkill()

    def dying(*arguments: Any, **options: Any) -> Any:
        if before:
            count()
        try:
            return method(*arguments, **options)
        finally:
            if not before:
                count()

    return dying


# --------------------------------------------------------------------------------------------- slow functions


def slow_at(places: Iterable[int], gate: Gate, item: int) -> int:
    """Waits for ever at some items."""
    if item in places:
        wait_for_ever(gate)
    return item


def wait_for_ever(gate: Gate) -> None:
    """The line that the stack is to name."""
    gate.hold(None)


def slow_once_at(places: Iterable[int], gate: Gate, journal: Journal, item: int) -> int:
    """Waits for ever at some items, the first time."""
    if item in places and f"slow at {item}" not in journal.lines:
        journal.write(f"slow at {item}")
        gate.hold(None)
    return item


def stuck_at(places: Iterable[int], gate: Gate, item: int) -> int:
    """Waits for ever at some items, in a call that no signal reaches."""
    if item in places:
        stages.block_signals()
        gate.hold(None)
    return item


def slow_for_each(places: Iterable[int], gate: Gate, journal: Journal, item: int) -> None:
    """For `each`: waits for ever at some items."""
    if item in places:
        gate.hold(None)
    journal.write(f"did {item}")


def slow_several(places: Iterable[int], gate: Gate, item: int) -> Iterator[int]:
    """For `flat_map`: waits for ever behind the first result."""
    yield item
    if item in places:
        gate.hold(None)
    yield item


def slow_and_dying(
    slow: Iterable[int], gate: Gate, places: Iterable[int], die: Die, journal: Journal, item: int
) -> int:
    """Waits for ever at some items, and dies once at others."""
    if item in slow:
        gate.hold(None)
    die_at(places, die, journal, 1, item)
    return item


def twice(item: int) -> list[int]:
    """For `flat_map`."""
    return [item, item]


def refusing_at_gate(gate: Gate, item: int) -> int:
    """Holds at the first item, then raises."""
    gate.hold(item)
    raise ValueError("bad value")


def dying_tell(journal: Journal) -> Callable[[Any, Any], None]:
    """In place of `process_run.send_report`: the first worker that has something to say dies."""
    send_report = process_run.send_report

    def dying(report_pipe: Any, message: Any) -> None:
        if not journal.lines:
            journal.write("died")
            stages.sigkill()
        send_report(report_pipe, message)

    return dying

"""The functions of tasks that the tests of the facade of pipeline_lib run."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from support.gate import Gate, Journal

Array = npt.NDArray[np.float64]


def count(limit: int) -> Iterable[int]:
    yield from range(limit)


def forever(gate: Gate) -> Iterable[int]:
    number = 0
    while True:
        yield number
        number += 1
        if number == 3:
            gate.announce()


def doubled(items: Iterable[int]) -> Iterable[int]:
    for item in items:
        yield 2 * item


def listed(items: Iterable[int]) -> Iterable[int]:
    return list(items)


def write(items: Iterable[int], journal: Journal) -> None:
    for item in items:
        journal.write(item)


def write_sum(items: Iterable[int], journal: Journal) -> int:
    total = sum(items)
    journal.write(total)
    return total


def write_made(limit: int, journal: Journal) -> Iterable[int]:
    for number in range(limit):
        journal.write(f"made {number}")
        yield number


def write_taken(items: Iterable[int], journal: Journal) -> None:
    for item in items:
        journal.write(f"taken {item}")


def keep_thread(threads: list[threading.Thread]) -> None:
    threads.append(threading.current_thread())


def hold_first(items: Iterable[int], gate: Gate) -> None:
    for _ in gate.hold_at(items, 0):
        pass


def wait_in_vain(items: Iterable[int], gate: Gate) -> Iterable[int]:
    for item in items:
        gate.hold(item)
        yield item


def drain(items: Iterable[Any]) -> None:
    for _ in items:
        pass


# ------------------------------------------------------------------------------------------------ constants


def add_each(limit: int, total: Any) -> Iterable[int]:
    for number in range(limit):
        with total.get_lock():
            total.value += 1
        yield number


def set_event(items: Iterable[int], done: Any) -> None:
    drain(items)
    done.set()


# ---------------------------------------------------------------------------------------------------- items


def arrays(number: int) -> Iterable[Array]:
    for each in range(number):
        yield np.full(50_000, each, np.float64)


def texts(lengths: list[int]) -> Iterable[str]:
    for length in lengths:
        yield "x" * length


def dicts_of_texts(lengths: list[int]) -> Iterable[dict[str, str]]:
    for text in texts(lengths):
        yield {"text": text}


def write_to_arrays(items: Iterable[Array], journal: Journal) -> None:
    for item in items:
        np.add(item, 1, out=item)
        journal.write(int(item.sum()) // 50_000)


def pairs_of_one_array() -> Iterable[list[Array]]:
    array = np.zeros(50_000)
    yield [array, array]


def check_pairs(items: Iterable[list[Array]], journal: Journal) -> None:
    for first, second in items:
        first[0] = 7
        journal.write(first is second and second[0] == 7)


def functions() -> Iterable[Callable[[int], int]]:
    factor = 3
    yield lambda number: factor * number


def call_each(items: Iterable[Callable[[int], int]], journal: Journal) -> None:
    for item in items:
        journal.write(item(14))


def unpicklable() -> Iterable[Any]:
    yield threading.Lock()


# --------------------------------------------------------------------------------------------------- faults


class AppError(Exception):
    """An exception of the program."""


def raise_alone() -> None:
    raise AppError("alone")


def raising_source() -> Iterable[int]:
    yield 1
    raise AppError("source", 1)


def raising_stage(items: Iterable[int]) -> Iterable[int]:
    for item in items:
        if item == 3:
            raise AppError("stage", item)
        yield item


def raising_sink(items: Iterable[int]) -> None:
    for item in items:
        raise AppError("sink", item)


def raise_huge(items: Iterable[int]) -> Iterable[int]:
    for item in items:
        raise AppError("x" * 3_000_000)
        yield item


def end_early(items: Iterable[int]) -> Iterable[int]:
    for item in items:
        yield item
        return


def stop_early(items: Iterable[int]) -> None:
    for _ in items:
        return


def raise_in_sink(items: Iterable[int], error: BaseException) -> None:
    for _ in items:
        raise error


def raise_from(items: Iterable[int]) -> None:
    for item in items:
        try:
            raise KeyError(item)
        except KeyError as error:
            raise AppError("chained") from error


def exit_0(items: Iterable[int]) -> Iterable[int]:
    for item in items:
        sys.exit(0)
        yield item


def exit_at_once(items: Iterable[int]) -> Iterable[int]:
    for item in items:
        os._exit(0)
        yield item


def kill_itself(items: Iterable[int]) -> Iterable[int]:
    for item in items:
        os.kill(os.getpid(), signal.SIGKILL)
        yield item

"""Tasks that process several items one after the other: each item finds what it would find in a task of its own."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from itertools import count
from typing import Any

import pytest

from chainpump import Executor, Pipeline, Processes, Tasks, Threads
from support.gate import LIMIT

N = 500
ORDERS = pytest.mark.parametrize("ordered", [True, False])
AT_ONCE = pytest.mark.parametrize("at_once", [1, 3, 100])
seen: ContextVar[int] = ContextVar("seen", default=-1)


async def same(value: int) -> int:
    return value


def identity(value: Any) -> Any:
    return value


@AT_ONCE
@ORDERS
def test_an_item_does_not_see_the_context_variables_of_another(at_once: int, ordered: bool) -> None:
    async def setting(value: int) -> int:
        before = seen.get()
        seen.set(value)
        if value % 7 == 0:
            await asyncio.sleep(0)
        return before

    assert set(Pipeline(range(N)).map(setting, on=Tasks(at_once), ordered=ordered)) == {-1}


@AT_ONCE
@ORDERS
def test_an_item_that_cancels_its_task_and_returns_cancels_no_other_item(at_once: int, ordered: bool) -> None:
    async def cancelling(value: int) -> int:
        if value % 5 == 0:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
        elif value % 3 == 0:
            await asyncio.sleep(0)
        return value

    assert Counter(Pipeline(range(N)).map(cancelling, on=Tasks(at_once), ordered=ordered)) == Counter(range(N))


def test_items_that_never_wait_do_not_keep_another_from_going_on() -> None:
    async def waiting_at_zero(value: int) -> int:
        if value == 0:
            # Both the timers and the sockets of the event loop have their turn.
            await asyncio.sleep(0.001)
            await asyncio.to_thread(threading.Event().wait, 0.001)
        return value

    for value in Pipeline(count()).map(waiting_at_zero, on=Tasks(2), ordered=False):
        if value == 0:
            break


@ORDERS
def test_all_tasks_start_behind_items_that_do_not_wait(ordered: bool) -> None:
    """The first items need one task. The last ones need all of them at the same time."""
    at_once = 20
    there: list[int] = []
    all_there = threading.Event()

    async def meeting(value: int) -> int:
        if value < N:
            return value
        there.append(value)
        if len(there) == at_once:
            all_there.set()
        while not all_there.is_set():  # noqa: ASYNC110  # one event loop, no other thread
            await asyncio.sleep(0)
        return value

    pipeline = Pipeline(range(N + at_once)).map(meeting, on=Tasks(at_once), ordered=ordered)
    assert sorted(pipeline) == list(range(N + at_once))


def odd(value: int) -> bool:
    return value % 2 == 1


def twice(value: int) -> list[tuple[int, int]]:
    return [(value, 0), (value, 1)]


async def later_if_second(pair: tuple[int, int]) -> tuple[int, int]:
    for _ in range(5 * pair[1]):
        await asyncio.sleep(0)
    return pair


BEFORE: dict[str, Callable[[Pipeline[int]], Pipeline[Any]]] = {
    "filter": lambda pipeline: pipeline.filter(odd, on=Threads()).map(same, on=Tasks(5), ordered=False),
    "flat_map": lambda pipeline: pipeline.flat_map(twice, on=Threads()).map(later_if_second, on=Tasks(5)),
    "flat_map without order": lambda pipeline: pipeline.flat_map(twice, on=Threads()).map(
        later_if_second, on=Tasks(5), ordered=False
    ),
}


@pytest.mark.parametrize("behind", [Processes(2), Processes(2, restarts=1)], ids=repr)
@pytest.mark.parametrize("before", BEFORE)
def test_no_result_is_lost_if_the_order_is_restored_behind_tasks(before: str, behind: Executor) -> None:
    pipeline = BEFORE[before](Pipeline(range(200))).map(identity, on=behind)
    assert Counter(pipeline) == Counter(pipeline.inline())


@ORDERS
def test_an_item_is_sent_while_another_one_is_held_and_no_more_come(ordered: bool) -> None:
    """Its result waits for no other: neither for further results, nor for time to pass."""
    door = threading.Event()

    def two_then_wait() -> Iterator[int]:
        yield from (0, 1)
        assert door.wait(LIMIT)

    async def hold_last(value: int) -> int:
        if value == 1:
            await asyncio.to_thread(door.wait, LIMIT)
        return value

    with Pipeline(two_then_wait()).map(hold_last, on=Tasks(2), ordered=ordered).open() as run:
        items = iter(run)
        assert next(items) == 0
        door.set()
        assert list(items) == [1]


@ORDERS
def test_a_result_is_sent_although_the_next_item_keeps_the_event_loop(ordered: bool) -> None:
    door = threading.Event()

    async def keep_loop(value: int) -> int:
        if value == 1:
            assert door.wait(LIMIT)
        return value

    with Pipeline(range(2)).map(keep_loop, on=Tasks(2), ordered=ordered).open() as run:
        items = iter(run)
        assert next(items) == 0
        door.set()
        assert list(items) == [1]

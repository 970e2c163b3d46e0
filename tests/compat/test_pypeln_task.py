"""The facade of pypeln in an event loop: stages that are awaited, async functions and iterables, and their loop."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from chainpump.compat import pypeln as pl
from chainpump.compat.pypeln.loops import background_loop
from support.gate import LIMIT, Journal


async def numbers(count: int) -> AsyncIterator[int]:
    for value in range(count):
        yield value


async def doubled(value: int) -> int:
    return 2 * value


def test_a_stage_is_awaited_and_iterated_in_a_loop() -> None:
    async def main() -> None:
        stage = pl.task.map(doubled, numbers(3), workers=1)
        assert await stage == [0, 2, 4]
        again = pl.task.map(doubled, range(3))
        assert [value async for value in again] == await again == [0, 2, 4]
        items = pl.task.to_async_iterable(again, maxsize=1, return_index=True)
        assert [item async for item in items] == [((0,), 0), ((1,), 2), ((2,), 4)]
        assert [item async for item in range(2) | pl.task.to_async_iterable()] == [0, 1]

    asyncio.run(main())


def test_what_belongs_to_the_program_runs_in_the_loop_of_the_caller(journal: Journal) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()

        async def is_here(*_: Any) -> bool:
            return asyncio.get_running_loop() is loop

        async def started(worker_info: Any) -> dict[str, Any]:
            return {"here": await is_here(), "index": worker_info.index}

        async def done(stage_status: Any, here: bool) -> None:
            journal.write((await is_here(), here, stage_status.done))

        async def source() -> AsyncIterator[bool]:
            yield await is_here()

        async def injected(value: bool, here: bool, index: int) -> tuple[Any, ...]:
            return value, here, index, await is_here()

        stage = pl.task.map(injected, source(), on_start=started, on_done=done)
        assert await stage == [(True, True, 0, True)]

    asyncio.run(main())
    assert journal.lines == ["(True, True, True)"]


def test_a_call_in_the_loop_of_the_caller_is_cancelled_after_its_time(journal: Journal) -> None:
    async def slow_at_one(value: int) -> int:
        if value == 1:
            try:
                await asyncio.sleep(600)
            finally:
                journal.write("ended")
        return value

    async def main() -> None:
        assert sorted(await pl.task.map(slow_at_one, range(4), workers=2, timeout=0.2)) == [0, 2, 3]

    asyncio.run(main())
    assert journal.lines == ["ended"]


def test_flat_map_takes_every_kind_of_results() -> None:
    async def generated(value: int) -> AsyncIterator[int]:
        yield value
        yield value

    async def listed(value: int) -> list[int]:
        return [value, value]

    def yielded(value: int) -> Iterator[int]:
        yield from (value, value)

    for function in (generated, listed, yielded):
        assert list(pl.task.flat_map(function, [1, 2])) == [1, 1, 2, 2]  # type: ignore[arg-type,call-overload]

    async def main() -> None:
        stage = pl.task.flat_map(generated, [1, 2])
        found = [item.index async for item in pl.task.to_async_iterable(stage, return_index=True)]
        assert found == [(0, 0), (0, 1), (1, 0), (1, 1)]

    asyncio.run(main())


def test_awaiting_concat_gives_every_item_once() -> None:
    async def main() -> None:
        shared = pl.task.map(doubled, numbers(50))
        joined = await pl.task.concat([shared, range(100, 110), numbers(5)])
        assert sorted(joined) == sorted([*range(0, 100, 2), *range(100, 110), *range(5)])

    asyncio.run(main())


def test_tasks_run_at_the_same_time_up_to_workers() -> None:
    inside, most, workers = 0, 0, 10
    whole = asyncio.Event()

    async def counted(value: int) -> int:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        if inside == workers:
            whole.set()
        await whole.wait()
        # Others, if there could be more, would begin now.
        await asyncio.sleep(0)
        inside -= 1
        return value

    assert sorted(pl.task.map(counted, range(40), workers=workers)) == list(range(40))
    assert most == workers


def test_an_exception_reaches_whoever_awaits_and_leaving_stops_the_run() -> None:
    async def failing(value: int) -> int:
        raise KeyError("text", value)

    async def main() -> None:
        with pytest.raises(KeyError) as caught:
            await pl.task.each(failing, [7])
        assert caught.value.args == ("text", 7)
        async for value in pl.task.map(doubled, itertools.count()):
            if value > 10:
                break
        # The loop closes this one at its end.
        global left  # noqa: PLW0603
        left = aiter(pl.task.map(doubled, itertools.count()))
        await anext(left)

    asyncio.run(main())


left: Any = None


def test_a_coroutine_runs_in_the_loop_of_a_thread_where_there_is_none() -> None:
    called = threading.Event()
    loop = pl.task.utils.get_running_loop()

    @pl.task.utils.run_test_async
    async def total(count: int) -> int:
        assert asyncio.get_running_loop() is pl.task.utils.get_running_loop() is loop
        return sum(await pl.task.map(doubled, numbers(count)))

    assert total(4) == 12
    assert pl.task.run_coroutine_in_loop(lambda: doubled(2)).result() == 4
    assert pl.task.run_coroutine_in_loop(lambda: doubled(2), loop=loop).result() == 4
    pl.task.run_function_in_loop(called.set, loop=loop)
    assert called.wait(LIMIT)
    # It would run until the end of the program.
    loop.call_soon_threadsafe(loop.stop)
    background_loop.cache_clear()


def test_a_namespace_of_tasks_has_a_lock() -> None:
    async def main() -> int:
        namespace = pl.task.Namespace(total=0)

        async def add(value: int) -> None:
            async with namespace:
                total = namespace.total
                await asyncio.sleep(0)
                namespace.total = total + value

        await pl.task.each(add, range(10), workers=5)
        total: int = namespace.total
        return total

    assert asyncio.run(main()) == 45

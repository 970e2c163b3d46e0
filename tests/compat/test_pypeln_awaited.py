"""Stages of tasks that are awaited: functions run in the event loop of the caller, which may be busy or end early."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
import threading
import time
from contextvars import ContextVar
from typing import Any

import pytest

from chainpump.compat import pypeln as pl
from chainpump.executors import task_timeouts
from support.gate import WHOLE, Journal

NAME: ContextVar[str] = ContextVar("NAME")


def test_functions_use_objects_of_the_loop_and_the_context_of_the_caller() -> None:
    async def main() -> None:
        lock, inside = asyncio.Lock(), 0
        NAME.set("caller")

        async def guarded(value: int) -> tuple[int, str]:
            nonlocal inside
            async with lock:
                inside += 1
                # Another one that may enter would do so now.
                await asyncio.sleep(0)
                assert inside == 1
                inside -= 1
            return value, NAME.get()

        def plain(pair: tuple[int, str]) -> tuple[int, str, str, int]:
            return *pair, NAME.get(), threading.get_ident()

        stage = pl.task.map(plain, pl.task.map(guarded, range(50), workers=10), workers=2)
        expected = [(value, "caller", "caller", threading.get_ident()) for value in range(50)]
        assert sorted(await stage) == expected

    asyncio.run(main())


@pytest.mark.parametrize("maxsize", [0, 3])
def test_as_many_calls_as_workers_are_in_progress_in_the_loop_of_the_caller(maxsize: int) -> None:
    async def main() -> None:
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

        assert sorted(await pl.task.map(counted, range(40), workers=workers, maxsize=maxsize)) == list(range(40))
        assert most == workers

    asyncio.run(main())


def test_a_function_that_blocks_the_loop_of_the_caller_beyond_its_time_loses_its_item_and_not_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(task_timeouts, "ENDS_WITHIN", 0.0)
    monkeypatch.setattr(task_timeouts, "COMES_BACK_WITHIN", 0.0)

    def blocking_at_one(value: int) -> int:
        if value == 1:
            time.sleep(0.3)
        return value

    async def main() -> None:
        found = await pl.task.map(blocking_at_one, range(4), workers=2, timeout=0.05)
        # Others may have waited for the loop.
        assert 1 not in found

    asyncio.run(main())


def test_leaving_waits_for_the_clean_up_of_calls(journal: Journal) -> None:
    async def main() -> None:
        begun = asyncio.Event()

        async def cleaned(value: int) -> int:
            if value:
                try:
                    begun.set()
                    await asyncio.Event().wait()
                finally:
                    await asyncio.sleep(0)
                    journal.write("call")
            return value

        items: Any = aiter(pl.task.map(cleaned, itertools.count(), workers=2, on_done=lambda: journal.write("done")))
        assert await anext(items) == 0
        await begun.wait()
        await items.aclose()
        assert set(journal.lines) == {"call"}
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def test_a_call_that_is_left_behind_because_it_ignores_its_cancellation_ends_without_an_error_of_the_loop() -> None:
    async def main() -> None:
        released, problems = asyncio.Event(), []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))

        async def stubborn(value: int) -> int:
            while value and not released.is_set():
                try:
                    await released.wait()
                except asyncio.CancelledError:
                    continue
            return value

        items: Any = aiter(pl.task.map(stubborn, range(3), workers=3))
        assert await anext(items) == 0
        await items.aclose()
        released.set()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*others, return_exceptions=True)
        # Their callbacks have run.
        await asyncio.sleep(0)
        assert not problems

    asyncio.run(main())


def test_a_cancellation_that_the_function_raises_itself_reaches_whoever_awaits() -> None:
    async def cancelled(_: int) -> None:
        raise asyncio.CancelledError("text")

    async def main() -> None:
        with pytest.raises(asyncio.CancelledError, match="text"):
            await pl.task.each(cancelled, [1])

    asyncio.run(main())


ENDING = """
import asyncio, itertools
from chainpump.compat import pypeln as pl

async def slow(value):
    await asyncio.sleep(0.01)
    return value

async def main():
    global items
    items = aiter(pl.task.map(slow, itertools.count(), workers=3))
    await anext(items)

loop = asyncio.new_event_loop()
loop.run_until_complete(main())
{ending}
print("ended")
"""


@pytest.mark.parametrize("ending", ["loop.close()", "", "loop.run_until_complete(loop.shutdown_asyncgens())"])
def test_a_program_ends_although_its_loop_has_ended_before_the_run(ending: str) -> None:
    program = [sys.executable, "-c", ENDING.format(ending=ending)]
    ended = subprocess.run(program, capture_output=True, text=True, timeout=WHOLE, check=True)
    assert ended.stdout == "ended\n"

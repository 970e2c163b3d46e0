"""An event loop of the program, for the thread of a worker: who cancels its coroutines, and who wakes the thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from chainpump.errors import Cancelled
from chainpump.executors.program_loop import ProgramLoop
from support.gate import LIMIT

Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    with asyncio.Runner() as runner:
        yield runner.get_loop()


def in_worker(run: Run, work: Coroutine[Any, Any, Any]) -> Future[Any]:
    """Run a coroutine from another thread."""
    result: Future[Any] = Future()

    def called() -> None:
        try:
            result.set_result(run(work))
        except BaseException as error:
            result.set_exception(error)

    threading.Thread(target=called, daemon=True).start()
    return result


async def outcome(result: Future[Any]) -> Any:
    """Return a result, or the exception in its place."""
    try:
        return await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(result)), LIMIT)
    except (Cancelled, ValueError) as error:
        return type(error)


def test_a_coroutine_runs_in_the_loop_and_its_result_or_exception_reaches_the_thread(
    loop: asyncio.AbstractEventLoop,
) -> None:
    inside = ProgramLoop(loop, lambda: None)

    async def work(value: int) -> Any:
        if not value:
            raise ValueError
        return asyncio.get_running_loop()

    async def main() -> list[Any]:
        return [await outcome(in_worker(inside.run, work(value))) for value in (1, 0)]

    assert loop.run_until_complete(main()) == [loop, ValueError]


def test_cancel_ends_a_coroutine_once_and_no_clean_up(loop: asyncio.AbstractEventLoop) -> None:
    ends: list[str] = []
    inside = ProgramLoop(loop, lambda: ends.append("program"))

    async def main() -> None:
        begun, released = asyncio.Event(), asyncio.Event()

        async def work() -> None:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                await released.wait()
                ends.append("clean")

        async def last() -> str:
            begun.set()
            await released.wait()
            return "last"

        working = in_worker(inside.run, work())
        await begun.wait()
        inside.cancel()
        # A second one would interrupt the clean-up.
        inside.cancel()
        await asyncio.sleep(0)
        released.set()
        assert await outcome(working) is Cancelled
        begun.clear()
        released.clear()
        cleaning = in_worker(inside.run_last, last())
        await begun.wait()
        inside.cancel()
        released.set()
        assert await outcome(cleaning) == "last"
        # The next coroutine is cancelled, too.
        assert await outcome(in_worker(inside.run, work())) is Cancelled

    loop.run_until_complete(main())
    assert ends == ["clean"]


def test_cancellation_by_the_program_ends_the_run(loop: asyncio.AbstractEventLoop) -> None:
    ends: list[str] = []
    inside = ProgramLoop(loop, lambda: ends.append("program"))

    async def main() -> None:
        tasks: list[Any] = []
        begun = asyncio.Event()

        async def work() -> None:
            tasks.append(asyncio.current_task())
            begun.set()
            await asyncio.Event().wait()

        working = in_worker(inside.run, work())
        await begun.wait()
        tasks[0].cancel()
        assert await outcome(working) is Cancelled

    loop.run_until_complete(main())
    assert ends == ["program"]


@pytest.mark.parametrize("waker", ["wake", "cancel"])
@pytest.mark.parametrize("has_begun", [True, False])
def test_the_thread_wakes_although_the_loop_no_longer_runs(waker: str, has_begun: bool) -> None:
    loop = asyncio.new_event_loop()
    asked = threading.Event()
    begun = asyncio.Event()
    soon = loop.call_soon_threadsafe

    def recorded(*call: Any, **options: Any) -> asyncio.Handle:
        handle = soon(*call, **options)
        asked.set()
        return handle

    loop.call_soon_threadsafe = recorded  # type: ignore[method-assign,assignment]
    inside = ProgramLoop(loop, lambda: None)

    async def work() -> None:
        begun.set()
        await asyncio.Event().wait()

    working = in_worker(inside.run_last, work())
    assert asked.wait(LIMIT)
    if has_begun:
        loop.run_until_complete(begun.wait())
    task = inside._call.task if inside._call is not None else None
    if waker == "cancel":
        # A stopped loop may go on, a closed one does not.
        loop.close()
    getattr(inside, waker)()
    with pytest.raises(Cancelled):
        working.result(LIMIT)
    if task is not None:
        # It would print that it is pending.
        task._log_destroy_pending = False  # type: ignore[attr-defined]
    loop.close()


def test_a_closed_loop_and_a_killed_worker_refuse_a_coroutine() -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    inside = ProgramLoop(loop, lambda: None)

    async def work() -> None: ...

    with pytest.raises(RuntimeError, match="closed"):
        inside.run(work())
    inside.wake()
    with pytest.raises(Cancelled):
        inside.run(work())


def test_the_task_factory_of_the_program_may_run_a_coroutine_at_once(loop: asyncio.AbstractEventLoop) -> None:
    inside = ProgramLoop(loop, lambda: None)

    async def work() -> str:
        # It takes the lock that a call of `cancel` takes.
        inside.cancel()
        return "done"

    async def main() -> Any:
        def eager(loop: Any, work: Any, **options: Any) -> Any:
            if getattr(work, "__name__", "") != "work":
                return asyncio.Task(work, loop=loop, **options)
            future = loop.create_future()
            try:
                work.send(None)
            except StopIteration as end:
                future.set_result(end.value)
            return future

        asyncio.get_running_loop().set_task_factory(eager)
        return await outcome(in_worker(inside.run, work()))

    assert loop.run_until_complete(main()) == "done"

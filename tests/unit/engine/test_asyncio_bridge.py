"""A run inside the event loop of a program, whose task is cancelled while the run starts or ends."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from chainpump.engine.asyncio_bridge import running
from support.gate import LIMIT


def test_a_run_whose_task_was_cancelled_while_it_started_is_closed_outside_the_thread_of_the_loop() -> None:
    """Otherwise it could not end: its workers may need the loop for that."""
    steps: list[tuple[str, bool]] = []
    loop_thread = threading.get_ident()

    class Started:
        def cancel(self) -> None:
            steps.append(("cancel", True))

        def close(self) -> None:
            steps.append(("close", threading.get_ident() != loop_thread))

    async def main() -> None:
        loop, starting, released = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

        def start() -> Any:
            loop.call_soon_threadsafe(starting.set)
            assert released.wait(LIMIT)
            return Started()

        async def use() -> None:
            async with running(start):
                pass

        task = asyncio.create_task(use())
        await starting.wait()
        task.cancel()
        await asyncio.sleep(0)
        released.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert steps == [("cancel", True), ("close", True)]


def test_one_more_cancellation_while_a_run_ends_does_not_block_the_loop() -> None:
    async def main() -> None:
        loop, closing, released = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

        class Started:
            def cancel(self) -> None: ...

            def close(self) -> None:
                loop.call_soon_threadsafe(closing.set)
                assert released.wait(LIMIT)

        async def use() -> None:
            start: Any = Started
            async with running(start):
                pass

        task = asyncio.create_task(use())
        await closing.wait()
        task.cancel()
        # The task handles its cancellation.
        await asyncio.sleep(0)
        assert not task.done()
        released.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())

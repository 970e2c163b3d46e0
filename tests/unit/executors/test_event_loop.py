"""The event loop of a worker of tasks, and who cancels it."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from chainpump.errors import Cancelled
from chainpump.executors.own_loop import OwnLoop
from support.gate import LIMIT


class Asked:
    """A lock that tells when a second thread waits for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.by_another = threading.Event()

    def __enter__(self) -> None:
        if self._lock.locked():
            self.by_another.set()
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def test_cancellation_that_has_ended_the_loop_before_the_call_of_it_returns_is_none_of_the_functions_own() -> None:
    own: Any = OwnLoop()
    own._lock = lock = Asked()
    told: list[BaseException] = []
    is_at_work = threading.Event()

    async def work() -> None:
        is_at_work.set()
        await asyncio.sleep(LIMIT)

    def run() -> None:
        with asyncio.Runner() as runner:
            loop: Any = runner.get_loop()
            soon = loop.call_soon_threadsafe

            def at_once(*call: Any) -> None:
                soon(*call)
                # The loop has ended: its thread is about to say so.
                assert lock.by_another.wait(LIMIT)

            loop.call_soon_threadsafe = at_once
            try:
                own._runner = runner
                own.run(work())
            except BaseException as error:
                told.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert is_at_work.wait(LIMIT)
    own.cancel()
    thread.join()
    assert [type(error) for error in told] == [Cancelled]

"""A run that waits for other machines before it is open: there is no run yet, and its end does not wait for them."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import NoReturn

import pytest

from chainpump import Hosts, Pipeline, Threads
from chainpump.engine.groups import Group
from chainpump.engine.opening import wait_to_open
from support.gate import LIMIT
from support.processes import press_ctrl_c


class Silence:
    """A launcher that never answers. waits: set when a run waits for it."""

    def __init__(self) -> None:
        self.waits = threading.Event()
        self.lasted = False

    def wait(self) -> NoReturn:
        self.lasted |= not wait_to_open(self._promise, LIMIT)
        raise AssertionError("the wait was not ended")

    def _promise(self, happen: Callable[[], object]) -> None:
        self.waits.set()


@pytest.fixture
def silence() -> Silence:
    return Silence()


def numbers(silence: Silence) -> Pipeline[int]:
    class Silent(Hosts):
        def elsewhere(self, groups: Sequence[Group], undo: ExitStack) -> NoReturn:
            silence.wait()

    return Pipeline(range(3)).map(abs, on=Silent(["a machine"]))


def test_a_task_that_is_cancelled_while_its_run_opens_ends(silence: Silence) -> None:
    async def run() -> None:
        task = asyncio.create_task(numbers(silence).into(list, on=Threads()).run_async())
        await asyncio.to_thread(silence.waits.wait, LIMIT)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert not silence.lasted


@pytest.mark.parametrize("join", [Pipeline.merge, Pipeline.interleave, Pipeline.concat])
def test_a_run_that_is_cancelled_while_a_part_of_it_opens_ends(
    join: Callable[..., Pipeline[int]], silence: Silence
) -> None:
    with join(numbers(silence), Pipeline(range(3))).into(list, on=Threads()).open() as run:
        assert silence.waits.wait(LIMIT)
        run.cancel()
    assert run.status == "cancelled"
    assert not silence.lasted


def test_ctrl_c_ends_a_run_that_opens(silence: Silence) -> None:
    def press() -> None:
        assert silence.waits.wait(LIMIT)
        press_ctrl_c(os.getpid())

    thread = threading.Thread(target=press)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        numbers(silence).into(list, on=Threads()).run()
    thread.join()
    assert not silence.lasted


def test_what_a_run_waits_for_may_have_happened_already() -> None:
    assert wait_to_open(lambda happen: happen(), LIMIT)

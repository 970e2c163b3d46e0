"""Async generators as sources: each runs in one task, in a loop of its own or in one of the program."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from typing import Any

import pytest

from chainpump import Cancelled, Executor, Pipeline, Processes, StageError, Tasks, Threads, source
from chainpump.executors.loop_source import LoopSource
from chainpump.executors.program_loop import ProgramLoop
from chainpump.executors.tasks import LoopTasks
from contract.stages import Bad
from support.gate import LIMIT

N = 2_000
seen: ContextVar[int] = ContextVar("seen", default=-1)
LOOPS = pytest.mark.parametrize("in_program", [False, True], ids=["own loop", "loop of the program"])


def items_of(make: Callable[[Executor], Pipeline[Any]], in_program: bool) -> list[Any]:
    """The items of a pipeline whose source runs in a loop of its own, or in that of the program."""
    if not in_program:
        return list(make(Tasks()))

    async def main() -> list[Any]:
        async with asyncio.timeout(LIMIT):
            return [item async for item in make(LoopTasks(1, asyncio.get_running_loop()))]

    return asyncio.run(main())


async def numbers(n: int) -> AsyncIterator[int]:
    for value in range(n):
        if value % 100 == 0:
            await asyncio.sleep(0)
        yield value


def add_one(pair: list[int]) -> int:
    return pair[0] + 1


@LOOPS
def test_a_source_runs_in_one_task_with_one_context(in_program: bool) -> None:
    async def tasks(n: int) -> AsyncIterator[tuple[int, int]]:
        for value in range(n):
            before = seen.get()
            seen.set(value)
            await asyncio.sleep(0)
            yield id(asyncio.current_task()), before

    found = items_of(lambda on: Pipeline(source(tasks, 50), on=on), in_program)
    assert len({task for task, _ in found}) == 1
    assert [before for _, before in found] == [-1, *range(49)]


@LOOPS
def test_a_time_limit_around_several_items_holds(in_program: bool) -> None:
    async def limited() -> AsyncIterator[int]:
        try:
            async with asyncio.timeout(0.01):
                yield 0
                yield 1
                await asyncio.Event().wait()
        except TimeoutError:
            yield 2

    # The limit may pass at either `yield`.
    assert items_of(lambda on: Pipeline(source(limited), on=on), in_program) in ([0, 1, 2], [0, 2])


def test_a_time_limit_that_passes_at_a_yield_reaches_the_generator_in_the_loop_of_the_program() -> None:
    passed = threading.Event()

    async def limited() -> AsyncIterator[int]:
        try:
            async with asyncio.timeout(0.01):
                yield 0
                raise AssertionError("the consumer waits for the time limit")
        except TimeoutError:
            passed.set()
        yield 1

    def wait(value: int) -> int:
        assert passed.wait(LIMIT)
        return value

    def pipeline(on: Executor) -> Pipeline[int]:
        return Pipeline(source(limited), on=on).map(wait, on=Threads(), in_flight=1)

    assert items_of(pipeline, in_program=True) == [0, 1]


@LOOPS
@pytest.mark.parametrize("in_flight", [None, 1, 7])
@pytest.mark.parametrize("behind", [Threads(), Threads(2), Processes(2), Tasks(5)], ids=repr)
def test_every_item_arrives_in_order_behind_every_executor(
    behind: Executor, in_flight: int | None, in_program: bool
) -> None:
    async def absolute(value: int) -> int:
        return value

    function: Any = absolute if isinstance(behind, Tasks) else abs
    n = N if in_flight is None else 200
    found = items_of(
        lambda on: Pipeline(source(numbers, n), on=on).map(function, on=behind, in_flight=in_flight), in_program
    )
    assert found == list(range(n))


@LOOPS
@pytest.mark.parametrize("in_flight", [1, 3])
def test_a_source_makes_no_item_ahead_of_the_bound(in_flight: int, in_program: bool) -> None:
    made = done = most = 0

    async def counted(n: int) -> AsyncIterator[int]:
        nonlocal made, most
        for value in range(n):
            made += 1
            most = max(most, made - done)
            yield value

    def finish(value: int) -> int:
        nonlocal done
        done += 1
        return value

    def pipeline(on: Executor) -> Pipeline[int]:
        return Pipeline(source(counted, 200), on=on).map(finish, on=Threads(), in_flight=in_flight)

    assert items_of(pipeline, in_program) == list(range(200))
    # The consumer asks for its next item, and so returns the credit of the one that it has just finished.
    assert most <= in_flight


@LOOPS
@pytest.mark.parametrize("in_flight", [None, 4])
def test_an_item_that_changes_later_reaches_a_process_as_it_was(in_flight: int | None, in_program: bool) -> None:
    async def changing(n: int) -> AsyncIterator[list[int]]:
        same = [0]
        for value in range(n):
            same[0] = value
            yield same

    def pipeline(on: Executor) -> Pipeline[int]:
        return Pipeline(source(changing, 300), on=on).map(add_one, on=Processes(), in_flight=in_flight)

    assert items_of(pipeline, in_program) == list(range(1, 301))


@LOOPS
def test_a_lone_item_does_not_wait_for_the_next_one(in_program: bool) -> None:
    arrived = threading.Event()

    async def two() -> AsyncIterator[int]:
        yield 0
        assert await asyncio.to_thread(arrived.wait, LIMIT)
        yield 1

    def note(value: int) -> int:
        arrived.set()
        return value

    assert items_of(lambda on: Pipeline(source(two), on=on).map(note, on=Threads()), in_program) == [0, 1]


@LOOPS
def test_items_before_a_failure_arrive_and_the_failure_is_the_source_s(in_program: bool) -> None:
    got: list[int] = []

    async def failing() -> AsyncIterator[int]:
        for value in range(5):
            yield value
        # The items above are sent first.
        while len(got) < 5:  # noqa: ASYNC110  # another thread appends to the list
            await asyncio.sleep(0.001)
        raise Bad("no more")

    def keep(value: int) -> int:
        got.append(value)
        return value

    with pytest.raises(StageError, match=r"source 'failing'|stage 'failing'") as caught:
        items_of(lambda on: Pipeline(source(failing), on=on).map(keep, on=Threads()), in_program)
    assert got == list(range(5))
    assert repr(caught.value.__cause__) == "Bad('no more')"


@LOOPS
@pytest.mark.parametrize("in_flight", [None, 2])
def test_a_source_that_is_left_early_cleans_up_in_its_loop(in_flight: int | None, in_program: bool) -> None:
    cleaned: list[object] = []

    async def endless() -> AsyncIterator[int]:
        try:
            value = 0
            while True:
                yield value
                value += 1
        finally:
            await asyncio.sleep(0)
            cleaned.append(asyncio.current_task())

    found = items_of(
        lambda on: Pipeline(source(endless), on=on).map(abs, on=Threads(), in_flight=in_flight).take(500), in_program
    )
    assert found == list(range(500))
    assert len(cleaned) == 1
    assert cleaned[0] is not None


def test_items_that_cannot_be_sent_fail_the_source_and_end_its_generator_in_the_loop_of_the_program() -> None:
    cleaned: list[int] = []

    async def locks() -> AsyncIterator[Any]:
        try:
            while True:
                yield threading.Lock()
        finally:
            await asyncio.sleep(0)
            cleaned.append(1)

    with pytest.raises(Exception, match="cannot pickle"):
        items_of(lambda on: Pipeline(source(locks), on=on).map(str, on=Processes()), in_program=True)
    assert cleaned == [1]


@pytest.mark.parametrize("first", ["run", "channel"])
def test_the_end_of_a_run_and_of_its_channel_cancel_a_generator_once(first: str) -> None:
    """Both come at the end of a run. A second cancellation would interrupt the clean-up of the generator."""
    cleaning = threading.Event()
    cleaned: list[int] = []

    async def endless() -> AsyncIterator[int]:
        try:
            while True:
                yield 0
                await asyncio.sleep(0)
        finally:
            cleaning.set()
            await asyncio.sleep(0.05)
            cleaned.append(1)

    class Output:
        """Fails as an output does whose channel is hung up."""

        shares_items = True

        def pump_ahead(self, made: LoopSource) -> None:
            made.allow(1)
            made.take()
            if first == "run":
                program.cancel()
                assert cleaning.wait(LIMIT)
            raise Cancelled("the channel was closed")

    async def main() -> None:
        nonlocal program
        program = ProgramLoop(asyncio.get_running_loop(), lambda: None)
        output: Any = Output()
        sending = asyncio.create_task(asyncio.to_thread(program.send, endless(), output))
        await asyncio.to_thread(cleaning.wait, LIMIT)
        program.cancel()
        with pytest.raises(Cancelled):
            await sending

    program: ProgramLoop
    asyncio.run(main())
    assert cleaned == [1]


# ------------------------------------------------------------------------------------------------ made ahead in a loop


class Making:
    """A LoopSource whose coroutine runs in a loop of this thread, step by step."""

    def __init__(self, items: list[Any], *, shares_items: bool) -> None:
        self.began = 0
        self.loop = asyncio.new_event_loop()
        self.source = LoopSource(self._items(items), self.loop, shares_items=shares_items)
        self._task = self.loop.create_task(self.source.make())
        self._task.add_done_callback(lambda _: self.source.end())

    async def _items(self, items: list[Any]) -> AsyncIterator[Any]:
        for item in items:
            self.began += 1
            yield item

    def go(self) -> None:
        """Run the loop until the coroutine waits or has ended."""
        for _ in range(5):
            self.loop.run_until_complete(asyncio.sleep(0))


def test_a_loop_makes_what_it_may_and_no_more() -> None:
    making = Making(list(range(10)), shares_items=True)
    making.go()
    assert (making.began, making.source.is_ready) == (0, False)
    making.source.allow(3)
    making.go()
    assert (making.began, making.source.allowed, making.source.take()) == (3, 0, [0, 1, 2])
    making.source.allow(100)
    making.go()
    assert making.source.take() == list(range(3, 10))
    assert making.source.take() == []
    making.loop.close()


def test_a_loop_waits_until_an_item_is_copied_that_may_change() -> None:
    making = Making([[1], 2, [3]], shares_items=False)
    making.source.allow(100)
    making.go()
    assert making.source.take() == [[1]]
    making.go()
    assert making.began == 1
    making.source.allow(0)
    making.go()
    assert making.source.take() == [2, [3]]
    making.source.allow(0)
    making.go()
    assert making.source.take() == []
    making.loop.close()


def test_a_loop_holds_no_more_bytes_than_fit_into_a_frame() -> None:
    making = Making([bytes(200_000) for _ in range(10)], shares_items=True)
    making.source.allow(100)
    making.go()
    assert len(making.source.take()) == 3
    making.source.allow(0)
    making.go()
    assert len(making.source.take()) == 3
    making.source.end()
    making.loop.run_until_complete(asyncio.sleep(0))
    making._task.cancel()
    making.go()
    making.loop.close()

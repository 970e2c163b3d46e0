"""Async functions on `Tasks` give what they give inline, so many at once; and pipelines live in an event loop."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from chainpump import (
    Cancelled,
    DeadLetter,
    Executor,
    Inline,
    ItemTimeoutError,
    Pipeline,
    Processes,
    Retry,
    RunError,
    Runnable,
    Skip,
    StageError,
    StageOptionError,
    StageTypeError,
    Tasks,
    Threads,
    TooManyFailuresError,
    source,
    stage,
)
from chainpump.transport import flow
from chainpump.transport.flow import FRAME_BYTES
from contract import stages
from contract.stages import Bad
from contract.test_operators import anywhere
from support.cases import in_turns, pairwise
from support.gate import LIMIT, WHOLE, Gate

N = 300
# Bytes.
PAGE = 100_000
# Seconds; nobody waits so long.
FOR_EVER = 3_600.0
NEIGHBOURS: dict[str, Executor] = {"inline": Inline(), "threads": Threads(2), "processes": Processes(2)}
ORDERS = pytest.mark.parametrize("ordered", [True, False])


def numbers(n: int = N) -> Pipeline[int]:
    return Pipeline(source(stages.numbers, n), on=Threads())


@dataclass
class Page:
    number: int
    content: bytearray


class Door:
    """Holds tasks of any event loop until any thread opens it; afterwards all pass."""

    def __init__(self) -> None:
        self._opened: Future[None] = Future()
        self._came = threading.Semaphore(0)

    async def wait(self) -> None:
        self._came.release()
        await asyncio.shield(asyncio.wrap_future(self._opened))

    def open(self) -> None:
        self._opened.set_result(None)

    def wait_held(self, tasks: int = 1) -> None:
        """Wait until so many have come."""
        for _ in range(tasks):
            assert self._came.acquire(timeout=LIMIT), "no task came to the door"


class Cleaning:
    """Holds each item, and takes down what becomes of it. One event loop uses it."""

    def __init__(self) -> None:
        self.began: list[int] = []
        self.cancelled: list[int] = []
        self.cleaned: list[int] = []
        self.door = Door()

    async def hold(self, value: int) -> int:
        self.began.append(value)
        try:
            await self.door.wait()
        except asyncio.CancelledError:
            self.cancelled.append(value)
            raise
        finally:
            await asyncio.sleep(0.001)
            self.cleaned.append(value)
        return value

    async def hold_behind(self, value: int) -> int:
        """Let the first item pass, once there are others."""
        if value:
            return await self.hold(value)
        while len(self.began) < 3:  # noqa: ASYNC110  # one event loop, no other thread
            await asyncio.sleep(0)
        return value

    def check(self, least: int = 1) -> None:
        assert len(self.began) >= least
        assert sorted(self.cancelled) == sorted(self.cleaned) == sorted(self.began)


# ----------------------------------------------------------------------------------------------- same results


async def awaited(value: int) -> int:
    """Later items are over first."""
    for _ in range(7 - value % 8):
        await asyncio.sleep(0)
    return value + 1


async def is_even(value: int) -> bool:
    await asyncio.sleep(0)
    return value % 2 == 0


async def some_listed(value: int) -> list[int]:
    await asyncio.sleep(0)
    return [value] * (value % 4)


async def some_yielded(value: int) -> AsyncIterator[tuple[int, int]]:
    for place in range(value % 3):
        await asyncio.sleep(0)
        yield value, place


async def sometimes_many(value: int) -> list[int]:
    await asyncio.sleep(0)
    return [value] * (5_000 if value % 10 == 3 else value % 2)


class Awaiting:
    """A method, and a callable object."""

    async def method(self, value: int) -> int:
        return await awaited(value)

    async def __call__(self, value: int) -> int:
        return await awaited(value)


OPERATORS: dict[str, Callable[..., Pipeline[Any]]] = {
    "map": lambda pipeline, **how: pipeline.map(awaited, **how),
    "map of a method": lambda pipeline, **how: pipeline.map(Awaiting().method, **how),
    "map of a callable": lambda pipeline, **how: pipeline.map(Awaiting(), **how),
    "map of a lambda": lambda pipeline, **how: pipeline.map(lambda value: awaited(value), **how),  # noqa: PLW0108
    "filter": lambda pipeline, **how: pipeline.filter(is_even, **how),
    "flat_map of lists": lambda pipeline, **how: pipeline.flat_map(some_listed, **how),
    "flat_map of an async generator": lambda pipeline, **how: pipeline.flat_map(some_yielded, **how),
    "flat_map of very many": lambda pipeline, **how: pipeline.flat_map(sometimes_many, **how),
}


@in_turns
@pytest.mark.parametrize("at_once", [1, 7, 1_000])
@pytest.mark.parametrize("operator", OPERATORS)
def test_an_operator_gives_what_it_gives_inline_in_the_same_order(operator: str, at_once: int) -> None:
    pipeline = OPERATORS[operator](numbers(), on=Tasks(at_once))
    assert list(pipeline) == list(pipeline.inline())


@in_turns
@pytest.mark.parametrize("neighbour", NEIGHBOURS)
@pytest.mark.parametrize("operator", OPERATORS)
def test_the_order_is_kept_among_neighbours_of_every_sort(operator: str, neighbour: str) -> None:
    on = NEIGHBOURS[neighbour]
    pipeline = numbers().map(abs, on=on).filter(lambda value: value % 7, on=on)
    pipeline = OPERATORS[operator](pipeline, on=Tasks(20)).map(str, on=on)
    assert pipeline.into(stages.listed, on=Inline()).run().value == list(pipeline.inline())


@pytest.mark.parametrize("places", [(Processes(), Processes()), (Threads(), Processes()), (Processes(), Inline())])
def test_many_items_pass_in_many_frames(places: tuple[Executor, Executor]) -> None:
    pipeline = Pipeline(source(stages.numbers, 5_000), on=places[0]).map(awaited, on=Tasks(50))
    assert pipeline.into(stages.listed, on=places[1]).run().value == list(range(1, 5_001))


def test_operators_in_a_row_keep_the_order() -> None:
    pipeline = numbers().map(awaited, on=Tasks(5)).filter(is_even, on=Tasks(50)).flat_map(some_listed, on=Tasks(3))
    pipeline = pipeline.then(stages.summed, on=Processes()).map(awaited, on=Tasks(10))
    assert list(pipeline) == list(pipeline.inline())


@in_turns
@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("neighbour", NEIGHBOURS)
def test_without_order_the_same_items_come(operator: str, neighbour: str) -> None:
    pipeline = OPERATORS[operator](numbers(), on=Tasks(20), ordered=False).map(str, on=NEIGHBOURS[neighbour])
    assert Counter(pipeline) == Counter(pipeline.inline())


@pairwise
@ORDERS
@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("n", [0, 1])
def test_of_no_items_or_one_come_as_many(operator: str, n: int, ordered: bool) -> None:
    pipeline = OPERATORS[operator](numbers(n), on=Tasks(10), ordered=ordered)
    assert list(pipeline) == list(pipeline.inline())


def test_each_is_called_once_for_each_item() -> None:
    seen: list[int] = []

    async def keep(value: int) -> None:
        await asyncio.sleep(0)
        seen.append(value)

    report = numbers().each(keep, on=Tasks(10)).run()
    assert report.value is None
    assert sorted(seen) == list(range(N))
    assert [(each.received, each.finished) for each in report.stages[1:]] == [(N, N)]
    numbers().each(keep, on=Tasks(10)).inline().run()
    assert len(seen) == 2 * N


# -------------------------------------------------------------------------------------------------- how many at once


@ORDERS
@pytest.mark.parametrize("at_once", [1, 3, 40])
def test_so_many_items_are_under_way_at_once_and_never_more(at_once: int, ordered: bool) -> None:
    under_way: set[int] = set()
    most: list[int] = []
    all_there = Door()

    async def counted(value: int) -> int:
        under_way.add(value)
        most.append(len(under_way))
        if len(under_way) == at_once and value < at_once:
            all_there.open()
        if value < at_once:
            await all_there.wait()
        await asyncio.sleep(0)
        under_way.remove(value)
        return value

    assert sorted(numbers().map(counted, on=Tasks(at_once), ordered=ordered)) == list(range(N))
    assert max(most) == at_once


def test_without_order_a_fast_item_overtakes_one_that_is_held() -> None:
    door = Door()

    async def hold_first(value: int) -> int:
        if value == 0:
            await door.wait()
        return value

    with numbers(50).map(hold_first, on=Tasks(2), ordered=False).open() as run:
        items = iter(run)
        early = [next(items) for _ in range(49)]
        door.open()
        assert [*early, *items] == [*range(1, 50), 0]


def test_in_order_the_others_go_on_while_one_is_held() -> None:
    over: list[int] = []
    door = Door()
    many_over = threading.Event()

    async def hold_first(value: int) -> int:
        if value == 0:
            await door.wait()
        over.append(value)
        if len(over) == 6:
            many_over.set()
        return value

    with numbers(50).map(hold_first, on=Tasks(3)).open() as run:
        assert many_over.wait(LIMIT)
        assert 0 not in over[:6]
        door.open()
        assert list(run) == list(range(50))


class Counting:
    """How many items a source has made that the function is not done with, at most."""

    def __init__(self) -> None:
        self.made = self.done = self.most = 0

    def source(self, n: int) -> Iterator[int]:
        for value in range(n):
            self.made += 1
            yield value

    async def work(self, value: int) -> int:
        self.most = max(self.most, self.made - self.done)
        await asyncio.sleep(0)
        self.done += 1
        return value


@pairwise
@ORDERS
@pytest.mark.parametrize("at_once,in_flight", [(1, 1), (1, 3), (8, 1), (8, 4)])
@pytest.mark.parametrize("before", [Inline(), Threads(), Threads(2)])
def test_no_more_are_in_flight_before_tasks_than_it_says(
    at_once: int, in_flight: int, before: Executor, ordered: bool
) -> None:
    counting = Counting()
    pipeline = Pipeline(source(counting.source, 200), on=Threads())
    if before.workers != 1:
        pipeline = pipeline.map(abs, on=before)
    elif before == Inline():
        pipeline = Pipeline(counting.source(200))
    assert sorted(pipeline.map(counting.work, on=Tasks(at_once), ordered=ordered, in_flight=in_flight)) == [*range(200)]
    if before.workers == 1:
        # In the one hand or behind it; n hands ask.
        assert counting.most <= at_once + in_flight - (at_once == 1)


@ORDERS
@pytest.mark.parametrize("behind", [Inline(), Threads(), Threads(2), Processes(2)])
def test_items_in_flight_behind_tasks_are_bounded(behind: Executor, ordered: bool) -> None:
    pipeline = numbers().map(awaited, on=Tasks(8), ordered=ordered, in_flight=2).map(str, on=behind, in_flight=3)
    assert Counter(pipeline) == Counter(pipeline.inline())


class Turnpike:
    """Lets items pass while it is open."""

    def __init__(self) -> None:
        self.is_open = threading.Event()
        self.is_open.set()
        self.taken = 0

    def passing(self, item: object) -> int:
        self.is_open.wait(LIMIT)
        self.taken += 1
        return self.taken


@ORDERS
@pytest.mark.parametrize("in_flight", [1, 4])
def test_a_slow_consumer_holds_up_tasks_at_twice_their_number(ordered: bool, in_flight: int) -> None:
    counting, turnpike = Counting(), Turnpike()
    pipeline = Pipeline(source(counting.source, 100_000), on=Threads()).map(counting.work, on=Tasks(4), ordered=ordered)
    with pipeline.map(turnpike.passing, on=Threads(), in_flight=in_flight).open() as run:
        deque(islice(run, 500), maxlen=0)
        turnpike.is_open.clear()
        assert settled(lambda: counting.done) <= turnpike.taken + 8 + in_flight
        turnpike.is_open.set()


@ORDERS
def test_large_results_of_tasks_wait_for_a_slow_consumer_in_bounded_memory(
    ordered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow, "HELD_BYTES", 20 * PAGE)
    turnpike, made = Turnpike(), 0

    async def fetch(number: int) -> Page:
        nonlocal made
        await asyncio.sleep(0)
        made += 1
        return Page(number, bytearray(PAGE))

    pipeline = Pipeline(range(10_000)).map(fetch, on=Tasks(4), ordered=ordered)
    with pipeline.map(turnpike.passing, on=Threads()).open() as run:
        deque(islice(run, 500), maxlen=0)
        turnpike.is_open.clear()
        # For room, in the channel, in hands.
        waiting = 20 + 4 + 20 + 2 * (FRAME_BYTES // PAGE + 1)
        assert turnpike.taken + 8 <= settled(lambda: made) <= turnpike.taken + waiting
        turnpike.is_open.set()


def settled(count: Callable[[], int]) -> int:
    """What a count comes to: once 0.2 s pass without a move, everybody waits."""
    value = -1
    while value != count():
        value = count()
        threading.Event().wait(0.2)
    return value


# ------------------------------------------------------------------------------------------------------- same blame


async def unlucky(value: int) -> int:
    await asyncio.sleep(0)
    if value == 41:
        raise Bad(f"cannot take {value}")
    return value


async def half_way(value: int) -> AsyncIterator[int]:
    yield value
    yield await unlucky(value)


async def cancelling(value: int) -> int:
    """What comes of awaiting something that was cancelled."""
    if value == 41:
        other = asyncio.ensure_future(asyncio.sleep(FOR_EVER))
        other.cancel()
        await other
    return value


async def raising_cancelled(value: int) -> int:
    if value == 41:
        raise Cancelled
    return value


async def exiting(value: int) -> int:
    if value == 41:
        sys.exit(3)
    return value


async def grouping(value: int) -> int:
    """As with a TaskGroup of its own."""
    async with asyncio.TaskGroup() as group:
        group.create_task(unlucky(value))
    return value


async def exhausted(value: int) -> int:
    return next(iter([value] * (value != 41)))


FAULTS: dict[str, Callable[..., Pipeline[Any] | Runnable[Any]]] = {
    "map": lambda pipeline, **how: pipeline.map(unlucky, **how),
    "map without order": lambda pipeline, **how: pipeline.map(unlucky, ordered=False, **how),
    "filter": lambda pipeline, **how: pipeline.filter(unlucky, **how),
    "flat_map": lambda pipeline, **how: pipeline.flat_map(half_way, **how),
    "flat_map of no iterable": lambda pipeline, **how: pipeline.flat_map(lambda value: awaited(value), **how),  # noqa: PLW0108
    "map behind a filter": lambda pipeline, **how: pipeline.filter(lambda v: v % 3 == 2, on=Threads()).map(
        unlucky, **how
    ),
    "map behind a flat_map": lambda pipeline, **how: pipeline.flat_map(some_listed, **how).map(unlucky, **how),
    "stage behind": lambda pipeline, **how: pipeline.filter(is_even, **how).then(
        stage(stages.raising_stage, 40), on=Threads()
    ),
    "map of a plain lambda": lambda pipeline, **how: pipeline.map(lambda value: value, **how),
    "ExceptionGroup": lambda pipeline, **how: pipeline.map(grouping, **how),
    "ExceptionGroup without order": lambda pipeline, **how: pipeline.map(grouping, ordered=False, **how),
    "StopIteration": lambda pipeline, **how: pipeline.map(exhausted, **how),
    "CancelledError": lambda pipeline, **how: pipeline.map(cancelling, **how),
    "CancelledError without order": lambda pipeline, **how: pipeline.map(cancelling, ordered=False, **how),
    "Cancelled": lambda pipeline, **how: pipeline.map(raising_cancelled, **how),
    "SystemExit": lambda pipeline, **how: pipeline.map(exiting, **how),
    "each": lambda pipeline, **how: pipeline.each(unlucky, **how),
    "each, CancelledError": lambda pipeline, **how: pipeline.each(cancelling, **how),
}


def blame(pipeline: Pipeline[Any] | Runnable[Any]) -> tuple[object, ...]:
    with pytest.raises((RunError, Bad, asyncio.CancelledError)) as caught:
        list(pipeline) if isinstance(pipeline, Pipeline) else pipeline.run()
    error = caught.value
    # Of a sink: the exception itself, and the message as a note.
    if not isinstance(error, RunError):
        return type(error), repr(error), anywhere(error.__notes__[-1])
    first = error.failures[0]
    return type(error), error.stage, first.index, first.item, repr(error.__cause__), anywhere(str(first))


@in_turns
@pytest.mark.parametrize("at_once", [1, 10])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_function_that_raises_is_blamed_as_it_is_inline(fault: str, at_once: int) -> None:
    pipeline = FAULTS[fault](numbers(), on=Tasks(at_once))
    assert blame(pipeline) == blame(pipeline.inline())


@ORDERS
def test_of_items_that_fail_together_one_is_blamed_for_what_it_raised(ordered: bool) -> None:
    barrier: list[int] = []
    door = Door()

    async def fail_together(value: int) -> int:
        barrier.append(value)
        if len(barrier) == 10:
            door.open()
        await door.wait()
        raise Bad(value)

    with pytest.raises(StageError) as caught:
        list(numbers(10).map(fail_together, on=Tasks(10), ordered=ordered))
    assert repr(caught.value.__cause__) == f"Bad({caught.value.failures[0].index})"
    assert len(caught.value.failures) == 1


def test_an_exception_keeps_the_traceback_of_where_it_was_raised() -> None:
    with pytest.raises(StageError) as caught:
        list(numbers().map(unlucky, on=Tasks(10)))
    assert caught.value.__cause__ is not None
    assert caught.traceback[-1].name != "unlucky"
    traceback = caught.value.__cause__.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    assert traceback is not None
    assert traceback.tb_frame.f_code.co_name == "unlucky"


# --------------------------------------------------------------------------------------------------------- policies


async def doubtful(value: int) -> int:
    await asyncio.sleep(0)
    if value % 10 == 3:
        raise ValueError(f"bad value {value}")
    if value % 10 == 7:
        raise KeyError(value)
    return value


class Stubborn:
    """Raises so many times for every fifth value. Each pipeline has its own."""

    def __init__(self, times: int) -> None:
        self._times = times
        self.tries: Counter[int] = Counter()

    async def __call__(self, value: int) -> int:
        self.tries[value] += 1
        await asyncio.sleep(0)
        if value % 5 == 0 and self.tries[value] <= self._times:
            raise Bad(f"try {self.tries[value]} of {value}")
        return value


def counts(runnable: Runnable[Any]) -> tuple[object, ...]:
    report = runnable.run()
    ledger = [(each.stage, each.received, each.finished, each.skipped, each.dead) for each in report.stages]
    letters = sorted((each.index, each.stage, each.item, repr(each.error)) for each in report.dead_letters)
    return report.value, ledger, letters


@pytest.mark.parametrize(
    "policy",
    [
        Skip(),
        Skip(ValueError, KeyError),
        DeadLetter(),
        DeadLetter(limit=60),
        Retry(2, otherwise=Skip()),
        Retry(1, on=ValueError, backoff=0.001, otherwise=DeadLetter()),
    ],
    ids=repr,
)
def test_a_policy_leaves_the_same_items_counts_and_letters_as_inline(policy: Any) -> None:
    pipeline = numbers().map(doubtful, on=Tasks(20), on_error=policy, name="doubtful")
    runnable = pipeline.map(str, on=Threads()).into(stages.listed, on=Threads())
    assert counts(runnable) == counts(runnable.inline())


@pytest.mark.parametrize("policy", [Skip(ValueError), DeadLetter(ValueError), Retry(2, on=ValueError)], ids=repr)
def test_what_a_policy_does_not_cover_ends_the_run(policy: Any) -> None:
    pipeline = numbers().map(doubtful, on=Tasks(1), on_error=policy)
    assert blame(pipeline) == blame(pipeline.inline())


def test_too_many_failures_end_the_run() -> None:
    with pytest.raises(TooManyFailuresError, match=r"item 3: ValueError: bad value 3"):
        list(numbers().map(doubtful, on=Tasks(20), on_error=Skip(limit=2)))


@ORDERS
@pytest.mark.parametrize("backoff", [0.0, 0.001])
def test_an_item_is_tried_again_while_others_go_on(backoff: float, ordered: bool) -> None:
    stubborn = Stubborn(2)
    pipeline = numbers().map(stubborn, on=Tasks(10), ordered=ordered, on_error=Retry(2, on=Bad, backoff=backoff))
    assert Counter(pipeline) == Counter(range(N))
    assert stubborn.tries == {value: 1 if value % 5 else 3 for value in range(N)}


def test_a_cancelled_run_does_not_wait_for_a_backoff() -> None:
    stubborn = Stubborn(1)
    pipeline = Pipeline(range(1, 6)).map(stubborn, on=Tasks(10), on_error=Retry(1, backoff=FOR_EVER))
    assert list(pipeline.take(4)) == [1, 2, 3, 4]


def test_dead_letters_of_tasks_come_as_they_fail() -> None:
    letters: list[int] = []
    pipeline = numbers().map(doubtful, on=Tasks(20), on_error=DeadLetter(to=lambda letter: letters.append(letter.item)))
    assert len(list(pipeline)) == N - len(letters)
    assert sorted(letters) == [value for value in range(N) if value % 10 in (3, 7)]


# --------------------------------------------------------------------------------------------------------- timeouts


# Seconds that an item may take; those that are not stuck take none, however busy the machine is.
SOON = 0.5


async def stuck_at_some(value: int) -> int:
    if value % 100 == 41:
        await asyncio.sleep(FOR_EVER)
    return value


@ORDERS
def test_an_item_that_takes_too_long_ends_the_run_and_tells_where_it_was(ordered: bool) -> None:
    pipeline = numbers().map(stuck_at_some, on=Tasks(1), timeout=SOON, ordered=ordered, name="fetch")
    with pytest.raises(
        ItemTimeoutError, match=r"^stage 'fetch' \(worker 1 of 1, pid \d+\) took longer than 0.5 s over"
    ) as caught:
        list(pipeline)
    failure = caught.value.failures[0]
    assert (caught.value.stage, failure.index, failure.item) == ("fetch", 41, "41")
    assert "in stuck_at_some" in failure.traceback
    assert " in stuck_at_some" in caught.value.__notes__[0]


@ORDERS
def test_of_items_that_take_too_long_together_one_is_told(ordered: bool) -> None:
    async def stuck(value: int) -> int:
        return await asyncio.sleep(FOR_EVER, value)

    with pytest.raises(ItemTimeoutError, match=r"took longer than 0.02 s over item 0\.") as caught:
        list(numbers(10).map(stuck, on=Tasks(10), ordered=ordered, timeout=0.02))
    assert caught.value.failures[0].index == 0
    assert " in sleep\n" in caught.value.failures[0].traceback


@ORDERS
def test_items_that_take_too_long_can_be_skipped(ordered: bool) -> None:
    how: dict[str, Any] = {"timeout": SOON, "ordered": ordered}
    pipeline = numbers().map(stuck_at_some, on=Tasks(20), on_error=Skip(ItemTimeoutError), **how)
    report = pipeline.into(stages.listed, on=Threads()).run()
    assert sorted(report.value) == [value for value in range(N) if value % 100 != 41]
    assert report.stages[1].skipped == 3


def test_an_item_that_takes_too_long_is_a_dead_letter_with_its_error() -> None:
    pipeline = numbers().map(stuck_at_some, on=Tasks(20), timeout=SOON, on_error=DeadLetter())
    letters = pipeline.into(stages.exhausted, on=Threads()).run().dead_letters
    assert sorted(letter.index for letter in letters) == [41, 141, 241]
    assert {type(letter.error) for letter in letters} == {ItemTimeoutError}


def test_an_item_that_takes_too_long_is_tried_again() -> None:
    tries: Counter[int] = Counter()

    async def stuck_once(value: int) -> int:
        tries[value] += 1
        return value if tries[value] > 1 or value % 100 != 41 else await stuck_at_some(value)

    pipeline = numbers().map(stuck_once, on=Tasks(20), timeout=SOON, on_error=Retry(1, on=ItemTimeoutError))
    assert list(pipeline) == list(range(N))
    assert {value for value, count in tries.items() if count == 2} == {41, 141, 241}


def test_a_timeout_error_of_the_function_itself_is_its_own() -> None:
    async def raising(value: int) -> int:
        raise TimeoutError(value)

    with pytest.raises(StageError, match=r"raised TimeoutError on item 0") as caught:
        list(numbers().map(raising, on=Tasks(1), timeout=LIMIT))
    assert type(caught.value) is StageError


# ------------------------------------------------------------------------------------------------------ cancellation


@ORDERS
def test_take_cancels_what_is_under_way_and_awaits_its_clean_up(ordered: bool) -> None:
    cleaning = Cleaning()
    pipeline = numbers().map(cleaning.hold_behind, on=Tasks(10), ordered=ordered)
    assert list(pipeline.take(1, on=Threads())) == [0]
    cleaning.check(3)


@ORDERS
def test_break_cancels_what_is_under_way_and_awaits_its_clean_up(ordered: bool) -> None:
    cleaning = Cleaning()
    for value in numbers().map(cleaning.hold_behind, on=Tasks(10), ordered=ordered):
        assert value == 0
        break
    cleaning.check(3)


@pytest.mark.parametrize("on", [Threads(), Processes()])
def test_a_failure_elsewhere_cancels_what_is_under_way_and_awaits_its_clean_up(on: Executor) -> None:
    cleaning = Cleaning()
    pipeline = numbers().map(cleaning.hold_behind, on=Tasks(10)).then(stage(stages.raising_stage, 0), on=on)
    with pytest.raises(StageError, match="cannot take 0"):
        list(pipeline)
    cleaning.check(3)


def test_a_failure_of_one_item_cancels_the_others_and_awaits_their_clean_up() -> None:
    cleaning = Cleaning()

    async def fail_first(value: int) -> int:
        if await cleaning.hold_behind(value) == 0:
            raise Bad("the first")
        return value

    with pytest.raises(StageError, match="the first"):
        list(numbers().map(fail_first, on=Tasks(10)))
    cleaning.check(3)


@pytest.mark.parametrize("on", [Threads(), Processes()])
def test_closing_a_run_cancels_what_is_under_way_and_awaits_its_clean_up(on: Executor) -> None:
    cleaning = Cleaning()
    run = Pipeline(source(stages.endless), on=on).map(cleaning.hold, on=Tasks(10)).open()
    cleaning.door.wait_held(10)
    run.close()
    cleaning.check(10)


def test_what_clean_up_raises_in_a_cancelled_run_fails_nobody() -> None:
    async def dirty(value: int) -> int:
        if value < 3:
            return value
        try:
            return await asyncio.sleep(FOR_EVER, value)
        finally:
            raise Bad("cannot clean up")

    assert list(numbers().map(dirty, on=Tasks(10), on_error=Skip()).take(3)) == [0, 1, 2]


def test_a_clean_up_that_does_not_end_is_cancelled_after_the_grace() -> None:
    ended: list[int] = []

    all_begun = asyncio.Barrier(3)

    async def slow_to_end(value: int) -> int:
        await all_begun.wait()
        try:
            return await asyncio.sleep(FOR_EVER if value else 0, value)
        finally:
            try:
                await asyncio.sleep(FOR_EVER if value else 0)
            finally:
                ended.append(value)

    with numbers(3).map(slow_to_end, on=Tasks(3)).open(grace=0.05) as run:
        assert next(iter(run)) == 0
    _threads_ended()
    assert sorted(ended) == [0, 1, 2]


def _threads_ended() -> None:
    for thread in threading.enumerate():
        if thread.name.startswith("chainpump"):
            thread.join(LIMIT)


def test_a_run_does_not_wait_for_a_task_that_blocks_in_synchronous_code(gate: Gate) -> None:
    async def blocking(value: int) -> int:
        # It blocks the loop on purpose.
        return gate.hold(value) if value == 5 else value

    with numbers().map(blocking, on=Tasks(10)).open(grace=0.05) as run:
        gate.wait_held()
        run.close()
    # Its thread was left behind; the fixture sees that it ends now.
    gate.release()


def test_a_task_that_blocks_does_not_keep_a_failure_from_being_told(gate: Gate) -> None:
    async def blocking(value: int) -> int:
        # It blocks the loop on purpose.
        return gate.hold(value) if value == 5 else value

    pipeline = numbers().map(blocking, on=Tasks(1)).then(stage(stages.raising_stage, 0), on=Threads())
    with pytest.raises(StageError, match="cannot take 0"):
        for _ in pipeline:
            pass
    gate.release()


EXITING = """
import asyncio, threading
from collections.abc import Iterator
from chainpump import Pipeline, Tasks, Threads, source

def one_and_no_end() -> Iterator[int]:
    yield 1
    threading.Event().wait()

async def same(value: int) -> int:
    await asyncio.sleep(0)
    return value

run = Pipeline(source(one_and_no_end), on=Threads()).map(same, on=Tasks(3)).open()
print(next(iter(run)))
"""


def test_a_program_ends_that_has_left_a_run_with_tasks_open(tmp_path: Path) -> None:
    path = tmp_path / "program.py"
    path.write_text(EXITING)
    done = subprocess.run([sys.executable, path], check=False, capture_output=True, text=True, timeout=WHOLE)
    assert (done.returncode, done.stdout) == (0, "1\n")
    # Its thread waits for ever; of the tasks, nothing is told.
    left_behind, at, *calls = done.stderr.splitlines()
    assert left_behind.startswith("source 'one_and_no_end' (worker 1 of 1, pid ")
    assert at == "It was at (most recent call first):"
    assert all(line.startswith("  File ") for line in calls)


# ------------------------------------------------------------------------------------ async generators as sources


async def made(n: int) -> AsyncIterator[int]:
    for value in range(n):
        await asyncio.sleep(0)
        yield value


class Source:
    """An async generator that takes down that its `finally` ran to the end."""

    def __init__(self) -> None:
        self.ended = 0

    async def endless(self, door: Door | None = None, at: int = -1) -> AsyncIterator[int]:
        value = 0
        try:
            while True:
                if door is not None and value == at:
                    await door.wait()
                yield value
                value += 1
        finally:
            await asyncio.sleep(0.001)
            self.ended += 1


async def failing_source(n: int, kind: type[BaseException]) -> AsyncIterator[int]:
    async for value in made(n):
        yield value
    raise kind("the source has failed")


@pytest.mark.parametrize("neighbour", NEIGHBOURS)
@pytest.mark.parametrize("n", [0, 1, 3_000])
def test_an_async_generator_is_a_source(n: int, neighbour: str) -> None:
    pipeline = Pipeline(source(made, n), on=Tasks()).map(abs, on=NEIGHBOURS[neighbour])
    assert list(pipeline) == list(range(n)) == list(pipeline.inline())


def test_an_async_generator_runs_with_async_functions_behind_it() -> None:
    pipeline = Pipeline(source(made, N), on=Tasks()).map(awaited, on=Tasks(30)).filter(is_even, on=Tasks(3))
    assert list(pipeline) == [value for value in range(N + 1) if value and value % 2 == 0]


@pytest.mark.parametrize("kind", [Bad, Cancelled, asyncio.CancelledError])
def test_an_async_generator_that_raises_is_blamed_as_it_is_inline(kind: type[BaseException]) -> None:
    pipeline = Pipeline(source(failing_source, 20, kind), on=Tasks())
    assert blame(pipeline) == blame(pipeline.inline())


@pytest.mark.parametrize("in_flight", [None, 1])
@pytest.mark.parametrize("on", [Inline(), Threads(), Processes()])
def test_an_async_generator_that_is_stopped_early_runs_its_clean_up(on: Executor, in_flight: int | None) -> None:
    kept = Source()
    pipeline = Pipeline(source(kept.endless), on=Tasks()).take(3, on=on, in_flight=in_flight)
    assert list(pipeline) == [0, 1, 2]
    assert kept.ended == 1


def test_an_async_generator_that_waits_is_cancelled_and_runs_its_clean_up() -> None:
    kept, door = Source(), Door()
    with Pipeline(source(kept.endless, door, 3), on=Tasks()).open() as run:
        items = iter(run)
        assert [next(items) for _ in range(3)] == [0, 1, 2]
        door.wait_held()
    assert kept.ended == 1


def test_an_async_generator_runs_its_clean_up_when_a_stage_fails() -> None:
    kept = Source()
    with pytest.raises(StageError, match="cannot take 7"):
        list(Pipeline(source(kept.endless), on=Tasks()).then(stage(stages.raising_stage, 7), on=Threads()))
    assert kept.ended == 1


def test_an_async_generator_makes_no_more_than_are_in_flight() -> None:
    counting = Counting()

    async def counted(n: int) -> AsyncIterator[int]:
        for value in counting.source(n):
            yield value

    list(Pipeline(source(counted, 100), on=Tasks()).map(counting.work, on=Tasks(1), in_flight=1))
    assert counting.most == 1


# ------------------------------------------------------------------------------------------------------------ inline


def test_inline_async_functions_run_in_the_callers_thread() -> None:
    async def where(value: int) -> tuple[int, int]:
        await asyncio.sleep(0)
        return value, threading.get_ident()

    assert list(numbers(3).map(where, on=Tasks(9)).inline()) == [(value, threading.get_ident()) for value in range(3)]


def test_inline_an_async_generator_that_is_stopped_early_runs_its_clean_up() -> None:
    kept = Source()
    assert list(Pipeline(source(kept.endless), on=Tasks()).take(3, on=Inline()).inline()) == [0, 1, 2]
    assert kept.ended == 1


# ----------------------------------------------------------------------------------------------- what is refused


REFUSED: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
    "sync function": (
        lambda: numbers().map(stages.increased, on=Tasks(3)),  # type: ignore[call-overload]
        StageTypeError,
        "is not async, and Tasks runs async functions",
    ),
    "async function on Threads": (lambda: numbers().map(awaited, on=Threads(3)), StageTypeError, "is async"),
    "async function on Processes": (lambda: numbers().filter(is_even), StageTypeError, "is async"),
    "async function inline": (lambda: numbers().each(awaited, on=Inline()), StageTypeError, "is async"),
    "stage of all items": (lambda: numbers().then(stages.same, on=Tasks(3)), StageOptionError, "it takes all items"),
    "sink of all items": (lambda: numbers().into(stages.listed, on=Tasks()), StageOptionError, "it takes all items"),
    "batch": (lambda: numbers().batch(3, on=Tasks()), StageOptionError, "it takes all items"),
    "no tasks": (lambda: Tasks(0), StageOptionError, "at least 1"),
    "source on two": (lambda: Pipeline(source(made, 3), on=Tasks(2)), StageOptionError, "one worker"),
    "sync source": (lambda: Pipeline(source(stages.numbers, 3), on=Tasks()), StageTypeError, "is not async"),
    "async source on Processes": (lambda: Pipeline(source(made, 3)), StageTypeError, "is async"),
    "default of a run": (lambda: list(numbers().map(abs).open(on=Tasks(3))), StageOptionError, "Only stages that name"),
}


@pytest.mark.parametrize("refused", REFUSED)
def test_what_cannot_run_on_tasks_is_refused_when_the_pipeline_is_built(refused: str) -> None:
    build, error, message = REFUSED[refused]
    with pytest.raises(error, match=message):
        build()


# ------------------------------------------------------------------------------------ pipelines in an event loop


def run_in_loop(main: Callable[[], Awaitable[Any]]) -> Any:
    async def limited() -> Any:
        async with asyncio.timeout(LIMIT):
            return await main()

    return asyncio.run(limited())


PIPELINES: dict[str, Callable[[], Pipeline[Any]]] = {
    "inline": lambda: Pipeline(range(N)),
    "threads": lambda: numbers().map(abs, on=Threads(3)),
    "processes": lambda: Pipeline(source(stages.numbers, N)).map(abs, on=Processes(2)),
    "tasks": lambda: Pipeline(source(made, N), on=Tasks()).map(awaited, on=Tasks(20)),
    "in flight": lambda: numbers().map(awaited, on=Tasks(20), in_flight=2).map(abs, on=Threads(), in_flight=1),
    "none": lambda: numbers(0).map(abs, on=Threads()),
    "many": lambda: Pipeline(source(stages.numbers, 30_000), on=Threads()),
}


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_async_for_gives_what_a_loop_gives(pipeline: str) -> None:
    made = PIPELINES[pipeline]()

    async def main() -> list[Any]:
        return [item async for item in made]

    assert run_in_loop(main) == list(made)


def test_leaving_an_async_for_closes_the_run() -> None:
    cleaning = Cleaning()

    async def main() -> None:
        async for value in numbers().map(cleaning.hold_behind, on=Tasks(10)):
            assert value == 0
            break

    run_in_loop(main)
    cleaning.check(3)


def test_closing_an_async_iterator_closes_the_run_before_it_returns() -> None:
    cleaning = Cleaning()

    async def main() -> None:
        items = aiter(numbers().map(cleaning.hold_behind, on=Tasks(10)))
        assert await anext(items) == 0
        await items.aclose()  # type: ignore[attr-defined]  # it is an async generator
        cleaning.check(3)

    run_in_loop(main)


def test_an_async_for_raises_what_failed() -> None:
    seen: list[int] = []

    async def main() -> None:
        async for value in numbers().then(stage(stages.raising_stage, 41), on=Threads()):
            seen.append(value)  # noqa: PERF401  # what came before the failure is to be seen

    with pytest.raises(StageError, match="cannot take 41"):
        run_in_loop(main)
    assert seen == list(range(len(seen)))


def test_what_the_body_of_an_async_for_raises_closes_the_run() -> None:
    cleaning = Cleaning()

    async def main() -> None:
        async for _ in numbers().map(cleaning.hold_behind, on=Tasks(10)):
            raise Bad("the body")

    with pytest.raises(Bad, match="the body"):
        run_in_loop(main)
    cleaning.check(3)


@pytest.mark.parametrize("way", ["async for", "run_async"])
@pytest.mark.parametrize("on", [Threads(), Processes()])
def test_cancelling_the_task_that_awaits_a_run_ends_it(way: str, on: Executor, gate: Gate) -> None:
    cleaning = Cleaning()
    pipeline = Pipeline(source(stages.endless), on=on).map(cleaning.hold, on=Tasks(10))

    async def items() -> None:
        async for _ in pipeline:
            pass

    async def main() -> None:
        task = asyncio.ensure_future(items() if way == "async for" else pipeline.into(len_of, on=Threads()).run_async())
        await asyncio.to_thread(cleaning.door.wait_held, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        cleaning.check(10)

    run_in_loop(main)


def len_of(items: Iterable[int]) -> int:
    return sum(1 for _ in items)


@pytest.mark.parametrize("ordered", [True, False])
def test_a_function_that_cancels_its_own_task_is_to_blame(ordered: bool) -> None:
    async def cancelling_at_3(value: int) -> int:
        if value == 3:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
        await asyncio.sleep(0)
        return value

    with pytest.raises(StageError, match=r"raised CancelledError on item 3:"):
        list(numbers(20).map(cancelling_at_3, on=Tasks(4), ordered=ordered))


def test_cancelling_a_task_as_its_run_starts_leaves_nothing() -> None:
    async def main() -> None:
        task = asyncio.create_task(Pipeline(source(stages.endless)).into(len_of).run_async())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run_in_loop(main)


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_run_async_gives_what_run_gives(pipeline: str) -> None:
    runnable = PIPELINES[pipeline]().into(stages.listed, on=Threads())
    report = run_in_loop(runnable.run_async)
    assert report.value == runnable.run().value
    assert [each.received for each in report.stages] == [each.received for each in runnable.run().stages]


def test_run_async_raises_what_failed_as_run_does() -> None:
    failing = numbers().map(unlucky, on=Tasks(10)).into(stages.listed, on=Threads())
    with pytest.raises(StageError, match="cannot take 41"):
        run_in_loop(failing.run_async)
    with pytest.raises(Bad, match="cannot keep 41"):
        run_in_loop(numbers().each(unlucky_to_keep, on=Tasks(3)).run_async)


async def unlucky_to_keep(value: int) -> None:
    if value == 41:
        raise Bad(f"cannot keep {value}")


def test_a_run_that_cannot_start_says_so_in_the_loop() -> None:
    used_up = Pipeline(iter(range(3)))
    assert list(used_up) == [0, 1, 2]

    async def main() -> None:
        async for _ in used_up:
            pass

    with pytest.raises(StageOptionError, match="an earlier run has used up"):
        run_in_loop(main)


def test_two_pipelines_run_at_the_same_time_in_one_loop() -> None:
    first, second = Door(), Door()

    async def meet(mine: Door, other: Door) -> list[int]:
        async def met(value: int) -> int:
            if value == 0:
                mine.open()
            await other.wait()
            return value

        return [value async for value in numbers(20).map(met, on=Tasks(5))]

    async def main() -> list[list[int]]:
        return list(await asyncio.gather(meet(first, second), meet(second, first)))

    assert run_in_loop(main) == [list(range(20))] * 2


@pytest.mark.parametrize("way", ["async for", "run_async"])
def test_the_loop_goes_on_while_a_run_waits(way: str, gate: Gate) -> None:
    pipeline = numbers(3).map(gate.hold, on=Threads())

    async def ticking() -> None:
        for _ in range(100):
            await asyncio.sleep(0)
        # Nobody else would.
        gate.release(3)

    async def main() -> Any:
        ticks = asyncio.create_task(ticking())
        if way == "async for":
            values = [value async for value in pipeline]
        else:
            values = (await pipeline.into(stages.listed, on=Threads()).run_async()).value
        await ticks
        return values

    assert run_in_loop(main) == [0, 1, 2]

"""Context variables in threads of the main process are a copy of what they are for the caller as the run starts."""

import asyncio
import decimal
from collections.abc import AsyncIterator, Iterable, Iterator
from contextvars import ContextVar

import pytest

from chainpump import Inline, Pipeline, Tasks, Threads, source, stage
from faults.places import on

USER: ContextVar[str] = ContextVar("USER", default="nobody")
PLACES = ("threads", "inline")


def seen() -> str:
    return f"{USER.get()} {decimal.Decimal(1) / 3}"


def from_source() -> Iterator[str]:
    yield seen()
    USER.set("the source")


def by_stage(items: Iterable[str]) -> Iterator[str]:
    for item in items:
        yield f"{item}, {seen()}"


def by_item(item: str) -> str:
    return f"{item}, {seen()}"


async def by_task(item: str) -> str:
    await asyncio.sleep(0)
    return f"{item}, {seen()}"


async def from_async_source() -> AsyncIterator[str]:
    yield seen()


@pytest.fixture
def caller():
    token = USER.set("caller")
    with decimal.localcontext(prec=3):
        yield "caller 0.333"
    USER.reset(token)


@pytest.mark.parametrize("place", PLACES)
def test_source_and_stages_see_what_the_caller_has_set(place, caller):
    numbers = Pipeline(source(from_source), on=on(place)).then(stage(by_stage), on=Threads(1))
    assert list(numbers.map(by_item, on=on(place, 2))) == [", ".join([caller] * 3)]
    assert USER.get() == "caller" or place == "inline"


def test_tasks_see_what_the_caller_has_set(caller):
    assert list(Pipeline(source(from_source), on=Threads()).map(by_task, on=Tasks(2))) == [f"{caller}, {caller}"]


def test_source_in_front_of_workers_sees_it_although_a_thread_reads_it(caller):
    assert list(Pipeline(source(from_source), on=Inline()).then(stage(by_stage), on=Threads())) == [
        f"{caller}, {caller}"
    ]
    assert USER.get() == "caller"


def test_parts_of_a_joined_pipeline_see_it(caller):
    part = Pipeline(source(from_source), on=Threads())
    assert list(Pipeline.merge(part, part).map(by_item, on=Threads())) == [f"{caller}, {caller}"] * 2
    assert list(Pipeline.concat(part, part)) == [caller] * 2


@pytest.mark.parametrize("place", PLACES)
def test_run_in_an_event_loop_sees_what_its_task_has_set(place, caller):
    async def collected():
        USER.set("task")
        numbers = Pipeline(source(from_source), on=on(place)).map(by_item, on=on(place))
        items = [item async for item in numbers]
        report = await numbers.into(list, on=on(place)).run_async()
        return items, report.value

    assert asyncio.run(collected()) == (["task 0.333, task 0.333"],) * 2
    assert USER.get() == "caller"

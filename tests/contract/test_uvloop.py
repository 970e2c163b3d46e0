"""`Tasks(..., loop="uvloop")`: an event loop of uvloop, with the results and errors of any other."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chainpump import ItemTimeoutError, Pipeline, StageError, StageOptionError, Tasks, Threads, source
from contract.stages import Bad
from support.gate import LIMIT


@pytest.fixture(scope="module")
def uses_uvloop() -> None:
    # The first loop opens a pipe for signals, which belongs to the process.
    pytest.importorskip("uvloop").new_event_loop().close()


@pytest.fixture
def on_uvloop(uses_uvloop: None) -> Tasks:
    return Tasks(10, loop="uvloop")


async def module_of_loop(_: int) -> str:
    await asyncio.sleep(0)
    return type(asyncio.get_running_loop()).__module__


async def numbers(n: int) -> AsyncIterator[int]:
    for value in range(n):
        await asyncio.sleep(0)
        yield value


async def later(value: int) -> int:
    await asyncio.sleep(0.001 * (value % 3))
    return value


def test_functions_run_in_a_loop_of_uvloop_only_where_it_is_asked_for(on_uvloop: Tasks) -> None:
    assert set(Pipeline(range(20)).map(module_of_loop, on=on_uvloop)) == {"uvloop"}
    assert set(Pipeline(range(20)).map(module_of_loop, on=Tasks(10))) == {"asyncio.unix_events"}


@pytest.mark.parametrize("ordered", [True, False])
def test_sources_and_stages_give_the_same_items(on_uvloop: Tasks, ordered: bool) -> None:
    pipeline = Pipeline(source(numbers, 200), on=Tasks(loop="uvloop")).map(later, on=on_uvloop, ordered=ordered)
    found = list(pipeline.map(abs, on=Threads(), in_flight=3))
    assert (found if ordered else sorted(found)) == list(range(200))


def test_failures_and_time_limits_are_those_of_any_other_loop(on_uvloop: Tasks) -> None:
    async def failing(value: int) -> int:
        if value == 41:
            raise Bad(value)
        return await later(value)

    async def hanging(value: int) -> int:
        await asyncio.sleep(LIMIT)
        return value

    with pytest.raises(StageError, match="item 41"):
        list(Pipeline(range(100)).map(failing, on=on_uvloop))
    with pytest.raises(ItemTimeoutError, match="item 0"):
        list(Pipeline([7]).map(hanging, on=on_uvloop, timeout=0.05))


def test_leaving_a_run_early_cancels_its_tasks(on_uvloop: Tasks) -> None:
    cleaned: list[int] = []

    async def holding(value: int) -> int:
        try:
            if value:
                await asyncio.sleep(LIMIT)
        finally:
            cleaned.append(value)
        return value

    with Pipeline(range(5)).map(holding, on=on_uvloop).open() as run:
        assert next(iter(run)) == 0
    assert 0 in cleaned


def test_a_missing_uvloop_and_an_unknown_loop_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    unknown: Any = "trio"
    with pytest.raises(StageOptionError, match="loop must be one of asyncio, uvloop but got: 'trio'"):
        Tasks(loop=unknown)
    monkeypatch.delitem(sys.modules, "uvloop", raising=False)
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(sys, "meta_path", [each for each in sys.meta_path if "editable" not in repr(each).lower()])
    with pytest.raises(StageOptionError, match=r"needs uvloop .*, which is not installed(.|\n)*'chainpump\[uvloop\]'"):
        Tasks(loop="uvloop")


def test_the_loop_is_shown_where_it_is_not_the_usual_one(on_uvloop: Tasks) -> None:
    assert repr(on_uvloop) == "Tasks(workers=10, loop='uvloop')"
    assert repr(Tasks(10)) == "Tasks(workers=10)"

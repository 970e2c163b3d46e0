"""Stages of the library run in the worker of a neighbour where that is cheaper, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from chainpump import Inline, Pipeline, Processes, Runnable, Tasks, Threads, source
from chainpump.plan.sections import sharing_worker


def made(n: int) -> Iterator[int]:
    yield from range(n)


def same(items: Iterable[int]) -> Iterator[int]:
    yield from items


async def slow(item: int) -> int:
    return item


NUMBERS = Pipeline(range(9), name="range")
MADE = Pipeline(source(made, 9))
MAPPED = NUMBERS.map(abs, on=Processes(2))


def shown(chain: Pipeline[Any] | Runnable[Any], apart: bool = False) -> str:
    """The groups of a plan: `range, batch(2) | abs | loop`."""
    loops = isinstance(chain, Pipeline)
    groups = sharing_worker(chain.plan().stages, loops, apart)
    names = [[stage.name for stage in group] for group in groups]
    if loops and (not names[-1] or groups[-1][-1].on.capabilities.shares_thread):
        names[-1].append("loop")
    return " | ".join(", ".join(group) for group in names)


@pytest.mark.parametrize(
    "chain, text",
    [
        # 1. The stage before makes the items.
        (NUMBERS.batch(2).map(len), "range, batch(2) | len | loop"),
        (MADE.skip(1).enumerate().take(3).map(str), "made, skip(1), enumerate, take(3) | str | loop"),
        (NUMBERS.then(same).batch(2).map(len), "range | same, batch(2) | len | loop"),
        # 2. The stage behind takes the results.
        (MAPPED.take(3).into(sum), "range | abs | take(3), sum"),
        (MAPPED.batch(2, on=Processes(2)).unbatch().each(print), "range | abs | batch(2) | unbatch, print"),
        (MAPPED.take(3), "range | abs | take(3), loop"),
        (MAPPED.take(3).tap(print, on=Inline()), "range | abs | take(3), print, loop"),
        # 3. A worker of their own, which they share.
        (MAPPED.take(3).batch(2).map(len, on=Threads(2)), "range | abs | take(3), batch(2) | len | loop"),
        # 4. A batch is gathered while the stage behind it works, and unbatch makes many items of one.
        (MAPPED.batch(2), "range | abs | batch(2) | loop"),
        (Pipeline([[1]], name="lists").unbatch().map(abs), "lists | unbatch | abs | loop"),
        # 5. Neither the source nor the loop loses the thread of its own.
        (NUMBERS.take(3), "range, take(3) | loop"),
        (NUMBERS.take(3).tap(print, on=Inline()), "range, take(3) | print, loop"),
    ],
)
def test_a_cheap_stage_joins_a_neighbour_with_one_worker(chain: Any, text: str) -> None:
    assert shown(chain) == text


@pytest.mark.parametrize(
    "chain, text",
    [
        # 1. Its executor is named.
        (NUMBERS.batch(2, on=Processes()), "range | batch(2) | loop"),
        (MAPPED.take(3, on=Threads()), "range | abs | take(3) | loop"),
        # 2. A bound counts the items between the two.
        (NUMBERS.batch(2, in_flight=1), "range | batch(2) | loop"),
        (MAPPED.take(3).into(sum, in_flight=1), "range | abs | take(3) | sum"),
        # 3. It calls a function of the program, or waits for some time.
        (NUMBERS.take_while(bool), "range | take_while(bool) | loop"),
        (NUMBERS.batch(2, within=1), "range | batch(2, within=1) | loop"),
        (MAPPED.skip(1).batch(2, within=1), "range | abs | skip(1) | batch(2, within=1) | loop"),
        # 4. The neighbour has several workers, is replaced, recycled or an event loop, or works through whole frames.
        (MAPPED.enumerate().map(str, on=Threads(2)), "range | abs | enumerate | str | loop"),
        (MAPPED.take(1).each(print, on=Processes(restarts=1)), "range | abs | take(1) | print"),
        (MAPPED.take(1).each(print, timeout=1), "range | abs | take(1) | print"),
        (MAPPED.take(1).each(print, on=Processes(recycle_after=9)), "range | abs | take(1) | print"),
        (NUMBERS.map(slow, on=Tasks()).batch(2), "range | slow | batch(2) | loop"),
        (NUMBERS.map(abs).batch(2), "range | abs | batch(2) | loop"),
    ],
)
def test_it_has_a_worker_of_its_own_otherwise(chain: Any, text: str) -> None:
    assert shown(chain) == text


def test_a_loop_apart_takes_no_stage_into_its_thread() -> None:
    assert shown(MAPPED.take(3), apart=True) == "range | abs | take(3) | loop"


def test_the_plan_and_its_pictures_say_where_a_stage_runs() -> None:
    plan = NUMBERS.batch(2).map(len).take(3).plan()
    batch, _, take = str(plan).splitlines()[2:]
    assert "with 'range'" in batch
    assert "with the caller's loop" in take
    assert "stage · with the caller#39;s loop" in plan.mermaid()
    assert plan.mermaid().count("one at a time") == 2


def test_the_executor_of_a_run_is_for_what_stays_alone() -> None:
    placed = MAPPED.take(3).batch(2).plan(on=Threads(4))
    assert [repr(group[0].on) for group in sharing_worker(placed.stages, iterated=True)[2:-1]] == [
        "Threads(workers=1)",
        "Threads(workers=4)",
    ]

"""Stages that the plan has put into the worker of a neighbour keep all promises of a worker of their own."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterable, Iterator
from itertools import count

import pytest

from chainpump import (
    Executor,
    Inline,
    Pipeline,
    Processes,
    Skip,
    StageError,
    Threads,
    WorkerLostError,
    current_worker,
    source,
)
from support.gate import Gate, Journal

ON = pytest.mark.parametrize("on", [Processes(), Threads(), Inline()], ids=["processes", "threads", "inline"])


def numbers(n: int) -> Iterator[int]:
    yield from range(n)


def failing(n: int) -> Iterator[int]:
    yield from range(n)
    raise LookupError("no more")


def noting(journal: Journal) -> Iterator[int]:
    for number in count():
        journal.write(number)
        yield number


def doubled(batch: list[int]) -> list[int]:
    return [2 * number for number in batch]


def halves_of_even(number: int) -> int:
    if number % 2:
        raise ValueError(number)
    return number // 2


def total(items: Iterable[int]) -> int:
    return sum(items)


def named(n: int) -> Iterator[str]:
    for _ in range(n):
        worker = current_worker()
        yield f"{worker.stage} in {worker.pid}"


@ON
@pytest.mark.parametrize("n", [0, 1, 7, 5000])
def test_items_and_their_order_are_the_same(on: Executor, n: int) -> None:
    made = Pipeline(source(numbers, n), on=on).skip(2).batch(3).map(doubled, on=Processes(2)).unbatch().take(4000)
    assert list(made) == [2 * number for number in range(2, n)][:4000]


@ON
def test_a_report_counts_what_each_stage_has_received_and_sent(on: Executor) -> None:
    chain = Pipeline(source(numbers, 1000), on=on).batch(10).map(doubled, on=Threads(2)).unbatch().take(55)
    report = chain.into(total, on=on).run()
    assert report.value == sum(2 * number for number in range(55))
    made, batches, _, _, taken, summed = report.stages
    assert made.sent == batches.received
    assert (taken.received, taken.finished, taken.sent) == (55, 55, 55)
    assert (summed.received, summed.finished) == (55, 55)


@ON
def test_nothing_is_requested_that_was_not_asked_for(on: Executor, journal: Journal) -> None:
    assert list(Pipeline(source(noting, journal), on=on).take(3).batch(2).map(len, on=Threads(2))) == [2, 1]
    assert journal.lines == ["0", "1", "2"]


@ON
def test_a_batch_of_a_slow_source_is_not_held_back(on: Executor, gate: Gate) -> None:
    made = Pipeline(source(gate.hold_at, range(9), 4), on=on).batch(2).enumerate().map(str, on=Threads(2))
    with made.open() as run:
        items = iter(run)
        assert [next(items), next(items)] == ["(0, [0, 1])", "(1, [2, 3])"]
        gate.wait_held()
        gate.release()
        assert list(items) == ["(2, [4, 5])", "(3, [6, 7])", "(4, [8])"]


@ON
def test_a_failure_is_blamed_on_the_stage_that_raised(on: Executor) -> None:
    with pytest.raises(StageError, match=r"source 'failing' .*raised LookupError"):
        list(Pipeline(source(failing, 3), on=on).batch(2).map(doubled, on=Threads(2)))
    flat = Pipeline([[1], [2], 3]).map(lambda batch: batch, on=Threads(2), returns=list[int]).unbatch()
    with pytest.raises(StageError, match=r"stage 'unbatch' .*raised TypeError on item 2"):
        flat.into(total, on=on).run()
    odd = Pipeline([[0, 1]]).map(list, on=Threads(2)).unbatch().each(halves_of_even, on=on)
    with pytest.raises(ValueError, match="1") as raised:
        odd.run()
    assert re.search(r"sink 'halves_of_even' .*raised ValueError on item 1", "\n".join(raised.value.__notes__))


@ON
def test_a_policy_skips_items_of_the_stage_that_has_it(on: Executor) -> None:
    flat = Pipeline([list(range(10))] * 3).map(list, on=Threads(2)).unbatch()
    report = flat.each(halves_of_even, on=on, on_error=Skip(ValueError)).run()
    assert (report.stages[-1].received, report.stages[-1].finished, report.stages[-1].skipped) == (30, 15, 15)


def test_a_worker_that_dies_is_named_by_the_stage_of_the_program(gate: Gate) -> None:
    held = Pipeline([[0], [1]]).map(list, on=Threads(2)).unbatch().each(gate.hold, on=Processes(), name="hold")
    with held.open() as run:
        os.kill(gate.wait_held(), signal.SIGKILL)
        with pytest.raises(WorkerLostError, match=r"sink 'hold' lost worker 1 of 1 .*SIGKILL"):
            run.result()


def test_functions_know_the_stage_that_runs_them() -> None:
    made = Pipeline(source(named, 3), on=Processes()).batch(2).map(str, on=Threads(2))
    (first, second) = list(made)
    assert "named in " in first
    assert "named in " in second


def test_the_loop_of_the_caller_starts_no_process_for_a_stage_that_joins_it() -> None:
    with Pipeline(range(9)).map(abs, on=Threads(2)).take(3).open() as run:
        assert list(run) == [0, 1, 2]
        assert [stage.executor for stage in run.report().stages] == ["Inline()", "Threads(2)", "Inline()", "caller"]


def test_an_executor_that_is_named_is_used() -> None:
    report = Pipeline(range(9)).take(3, on=Threads()).into(total, on=Threads()).run()
    assert [stage.executor for stage in report.stages] == ["Inline()", "Threads(1)", "Threads(1)"]
    assert report.value == 3

"""The facade of pypeln: every rule that its modules have in common, in one body for all of them."""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from functools import partial
from typing import Any

import pytest

from chainpump import StageOptionError, StageTypeError
from chainpump.compat import pypeln as pl
from support.gate import LIMIT, Gate, Journal

MODULES = [pl.process, pl.thread, pl.task, pl.sync]
APART = [pl.process, pl.thread, pl.task]


def short(module: Any) -> str:
    return str(module.__name__.rpartition(".")[2])


every = pytest.mark.parametrize("module", MODULES, ids=short)
every_apart = pytest.mark.parametrize("module", APART, ids=short)


def doubled(value: int) -> int:
    return 2 * value


# ------------------------------------------------------------------------------------------------ the functions


@every
def test_map_replaces_each_item(module: Any) -> None:
    assert list(module.map(doubled, range(4))) == [0, 2, 4, 6]


@every
def test_filter_keeps_the_items_with_a_true_result(module: Any) -> None:
    assert list(module.filter(lambda value: value % 2, range(6))) == [1, 3, 5]


@every
def test_flat_map_gives_all_results_of_each_item(module: Any) -> None:
    assert list(module.flat_map(lambda value: [value] * value, range(4))) == [1, 2, 2, 3, 3, 3]


@every
def test_each_calls_the_function_and_has_no_items(module: Any, journal: Journal) -> None:
    assert list(module.each(journal.write, ["a", "b"])) == []
    assert sorted(journal.lines) == ["a", "b"]


@every
def test_each_with_run_runs_at_once(module: Any, journal: Journal) -> None:
    assert module.each(journal.write, ["a"], run=True) is None
    assert ["b"] | module.each(journal.write, run=True) is None
    assert journal.lines == ["a", "b"]


@every
def test_run_runs_all_stages_and_returns_nothing(module: Any, journal: Journal) -> None:
    stages = [module.each(journal.write, [text]) for text in "abc"]
    assert module.run(*stages[:2]) is None
    module.run(stages, maxsize=2)
    module.run()
    assert sorted(journal.lines) == ["a", "a", "b", "b", "c"]


@every
def test_from_iterable_makes_a_stage_of_anything_that_can_be_iterated(module: Any) -> None:
    stage = module.from_iterable(range(3), maxsize=2)
    assert isinstance(stage, pl.BaseStage)
    assert list(stage) == [0, 1, 2]
    assert list(module.from_iterable(iter("ab"), use_thread=False)) == ["a", "b"]
    assert module.from_iterable(stage) is stage


@every
def test_to_iterable_gives_the_items_of_one_run(module: Any) -> None:
    items = module.to_iterable(module.map(doubled, range(3)), maxsize=2)
    assert next(items) == 0
    assert list(items) == [2, 4]
    assert list(items) == []


@every
def test_concat_joins_stages_and_iterables(module: Any) -> None:
    joined = module.concat([module.map(doubled, range(3)), [10, 20], iter("a")], maxsize=1)
    assert sorted(map(str, joined)) == ["0", "10", "2", "20", "4", "a"]
    assert list(module.concat([])) == []


def test_concat_of_sync_takes_one_item_of_each_in_turn() -> None:
    assert list(pl.sync.concat(["abc", "1", pl.thread.map(str, (7, 8))])) == ["a", "1", "7", "b", "8", "c"]


@every
def test_ordered_restores_the_order_of_the_source(module: Any) -> None:
    first_waits = threading.Event()

    def out_of_order(value: int) -> int:
        if value and value < 3:
            first_waits.set()
        elif not value:
            first_waits.wait(LIMIT)
        return value

    # The first item finishes behind the second.
    stage = pl.thread.map(out_of_order, range(4), workers=2)
    assert list(module.ordered(stage)) == [0, 1, 2, 3]
    assert list(module.ordered(module.map(doubled, range(50), workers=3), maxsize=2)) == list(range(0, 100, 2))


@every
@pytest.mark.parametrize("maxsize", [0, 2])
def test_a_stage_behind_ordered_takes_the_items_in_their_order(module: Any, maxsize: int, journal: Journal) -> None:
    second_is_done = threading.Event()

    def out_of_order(value: int) -> int:
        if value:
            second_is_done.set()
        else:
            second_is_done.wait(LIMIT)
        return value

    stage = module.ordered(module.map(doubled, pl.thread.map(out_of_order, range(20), workers=2)))
    # It keeps the order of its own results, too.
    written = module.map(lambda value: journal.write(str(value)) or value, stage, maxsize=maxsize)
    again = module.ordered(module.map(doubled, written, workers=2, maxsize=maxsize))
    assert list(module.filter(lambda value: value, again)) == list(range(4, 80, 4))
    assert journal.lines == [str(value) for value in range(0, 40, 2)]


@every
def test_ordered_behind_concat_sorts_by_the_index(module: Any) -> None:
    joined = module.ordered(module.concat([[0, 1, 2], module.map(doubled, [0, 1])]))
    assert [element.index for element in module.to_iterable(joined, return_index=True)] == [
        (0,),
        (0,),
        (1,),
        (1,),
        (2,),
    ]


# ------------------------------------------------------------------------------------- stages, and how they join


@every
def test_a_stage_runs_nothing_before_it_is_iterated_and_can_be_iterated_again(module: Any, journal: Journal) -> None:
    stage = module.map(lambda text: journal.write(text) or text, ["a", "b"])
    assert journal.lines == []
    assert list(stage) == list(stage) == ["a", "b"]
    assert len(journal.lines) == 4


@every
def test_leaving_the_iterator_stops_the_workers(module: Any) -> None:
    """The fixture of all tests looks for what is left."""
    for value in module.map(doubled, itertools.count(), workers=2):
        if value >= 10:
            break
    items = module.to_iterable(module.map(doubled, itertools.count()))
    next(items)
    items.close()


def test_modules_mix_and_indexes_go_on() -> None:
    stage: Any = pl.sync.map(doubled, range(3))
    stage = pl.thread.flat_map(lambda value: [value, value + 1], stage, workers=2)
    stage = pl.process.filter(lambda value: value != 3, stage, workers=2)
    stage = pl.task.map(str, stage, workers=3)
    found = sorted(pl.process.to_iterable(stage, return_index=True))
    assert found == [((0, 0), "0"), ((0, 1), "1"), ((1, 0), "2"), ((2, 0), "4"), ((2, 1), "5")]


@every_apart
def test_a_stage_with_two_consumers_runs_once(module: Any, journal: Journal) -> None:
    shared = module.map(lambda value: journal.write(value) or value, range(5))
    joined = module.concat([module.map(doubled, shared), module.map(str, shared), shared])
    assert sorted(map(str, joined)) == sorted(map(str, ["0", "1", "2", "3", "4", 0, 2, 4, 6, 8, 0, 1, 2, 3, 4]))
    assert sorted(journal.lines) == ["0", "1", "2", "3", "4"]


def test_a_stage_of_sync_runs_once_for_each_consumer(journal: Journal) -> None:
    shared = pl.sync.map(lambda value: journal.write(value) or value, range(2))
    assert sorted(pl.sync.concat([shared, pl.sync.map(doubled, shared)])) == [0, 0, 1, 2]
    assert sorted(journal.lines) == ["0", "0", "1", "1"]


@every_apart
def test_a_stage_with_two_consumers_that_fails_fails_once(module: Any) -> None:
    def failing(value: int) -> int:
        return 1 // (3 - value)

    shared = module.map(failing, range(10))
    with pytest.raises(ZeroDivisionError):
        list(module.concat([module.map(doubled, shared), module.map(str, shared)]))


@every_apart
def test_two_consumers_of_a_stage_are_left_early(module: Any) -> None:
    shared = module.map(doubled, itertools.count())
    next(module.to_iterable(module.concat([module.map(doubled, shared), shared])))


@every_apart
def test_a_consumer_that_fails_ends_the_others_of_its_run(module: Any) -> None:
    def failing(value: int) -> int:
        return 1 // (3 - value)

    shared = module.map(doubled, itertools.count())
    behind_failure = module.map(failing, module.map(lambda value: value // 2, shared))
    with pytest.raises(ZeroDivisionError):
        for _ in module.concat([behind_failure, module.map(str, shared), shared]):
            pass


def left_in_the_loop(items: Iterator[Any]) -> None:
    for _ in items:
        break
    items.close()  # type: ignore[attr-defined]


def dropped(items: Iterator[Any]) -> None:
    next(items)


def failed(items: Iterator[Any]) -> None:
    def failing(value: int) -> int:
        raise LookupError(value)

    # The traceback refers to the items, so only a garbage collection would drop them.
    with closing(items), pytest.raises(LookupError):  # type: ignore[type-var]
        list(pl.thread.map(failing, items))


@every_apart
@pytest.mark.parametrize("stop", [left_in_the_loop, dropped, failed])
def test_a_consumer_that_stops_early_does_not_touch_a_loop_over_another_one(
    module: Any, stop: Callable[[Iterator[Any]], None]
) -> None:
    shared = module.map(doubled, range(2_000))
    one, other = module.map(str, shared), module.map(doubled, shared)
    goes_on = iter(module.concat([other, shared]))
    found = [next(goes_on)]
    stop(module.to_iterable(module.concat([one, shared])))
    found.extend(goes_on)
    assert sorted(found) == sorted([*range(0, 4_000, 2), *range(0, 8_000, 4)])


@every
def test_the_pipe_operator_gives_a_stage(module: Any) -> None:
    add: Any = module.map(lambda value: value + 1, workers=2, maxsize=4)
    keep: Any = module.filter(lambda value: value > 1)
    # Type checkers take `| list` for a union of types.
    to_list: Any = list
    assert sorted(range(3) | add | keep | to_list) == [2, 3]
    assert sorted(module.from_iterable(range(3)) | add) == [1, 2, 3]
    assert sorted(add | range(3)) == [1, 2, 3]
    assert sorted(range(3) | (add | keep)) == [2, 3]
    keys: Any = module.flat_map(list)
    assert sorted({"a": 1} | keys) == ["a"]
    elements = [3, 4] | module.from_iterable(maxsize=1) | module.ordered() | module.to_iterable(return_index=True)
    assert list(elements) == [((0,), 3), ((1,), 4)]


@every
def test_a_partial_keeps_all_its_arguments(module: Any) -> None:
    apply = module.flat_map(lambda value, a: [a] * value, workers=1, maxsize=2, timeout=60, on_start=lambda: {"a": 7})
    stage = [1, 2] | apply
    assert (stage.workers, stage.work.timeout) == (1, 60)
    assert stage.maxsize == (0 if module is pl.sync else 2)
    assert list(stage) == [7, 7, 7]


@every
def test_a_worker_keeps_the_order(module: Any) -> None:
    stage = module.filter(bool, module.flat_map(lambda value: (value, value), module.map(doubled, range(1, 50))))
    assert list(stage) == [2 * value for value in range(1, 50) for _ in "ab"]


# ---------------------------------------------------------------------------------------------------- injection


@every
def test_the_index_of_the_item_is_injected(module: Any) -> None:
    def with_index(value: str, element_index: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
        return value, element_index

    stage = module.map(with_index, module.flat_map(lambda value: value, ["ab", "c"]))
    assert list(stage) == [("a", (0, 0)), ("b", (0, 1)), ("c", (1, 0))]
    assert list(module.filter(lambda _, element_index: element_index[0] == 1, "abc")) == ["b"]
    assert list(module.flat_map(lambda _, element_index: element_index, "abc")) == [0, 1, 2]


@every
def test_what_on_start_returns_is_injected_by_name(module: Any) -> None:
    def started(worker_info: Any) -> dict[str, int]:
        return {"number": worker_info.index + 1, "unused": 0}

    def named(value: int, number: int, worker_info: Any, other: int = 5) -> tuple[int, bool, int]:
        return value, number == worker_info.index + 1, other

    assert sorted(module.map(named, range(4), workers=2, on_start=started)) == [(n, True, 5) for n in range(4)]


@every
def test_a_default_is_replaced_by_what_on_start_returns(module: Any) -> None:
    assert list(module.map(lambda value, add=1: value + add, [1], on_start=lambda: {"add": 10})) == [11]
    assert list(module.map(lambda value, add=1: value + add, [1], on_start=lambda: None)) == [2]


@every
def test_an_exception_of_on_start_is_raised_as_it_is(module: Any) -> None:
    def failing() -> None:
        raise CodedError(5, "start")

    with pytest.raises(CodedError, match="5, 'start'"):
        list(module.map(doubled, range(5), workers=2, on_start=failing))


@every
def test_on_start_must_return_arguments(module: Any) -> None:
    with pytest.raises(TypeError, match="on_start must return a dict of arguments, or None"):
        list(module.map(doubled, [1], on_start=lambda: 5))


@every
def test_on_done_is_called_once_by_each_worker_and_one_is_the_last(module: Any, journal: Journal) -> None:
    def done(stage_status: Any, number: int, worker_info: Any) -> None:
        journal.write(f"{stage_status.done} {stage_status.active_workers} {number == worker_info.index}")

    stage = module.map(
        doubled,
        range(20),
        workers=3,
        on_start=lambda worker_info: {"number": worker_info.index},
        on_done=done,
    )
    assert sorted(stage) == list(range(0, 40, 2))
    whole = ["False 1 True", "False 2 True", "True 0 True"]
    assert sorted(journal.lines) == (whole if module in (pl.process, pl.thread) else ["True 0 True"])


@every
def test_the_status_of_a_stage_shows_itself_and_gives_way_to_a_value_of_on_start(module: Any, journal: Journal) -> None:
    def noted(stage_status: Any) -> None:
        journal.write(stage_status)

    list(module.map(doubled, [1], on_done=noted))
    list(module.map(doubled, [1], on_start=lambda: {"stage_status": "own"}, on_done=noted))
    assert journal.lines == ["StageStatus(done = True, active_workers = 0)", "own"]


@every
def test_on_done_is_not_called_after_a_failure(module: Any, journal: Journal) -> None:
    with pytest.raises(ZeroDivisionError):
        list(module.map(lambda value: 1 // value, [0], on_done=lambda: journal.write("done")))
    assert journal.lines == []


@every
def test_functions_without_a_signature_and_methods_are_taken(module: Any) -> None:
    class Adder:
        def add(self, value: int) -> int:
            return value + 1

    assert list(module.map(int, ["1", "2"])) == [1, 2]
    assert list(module.map(str.upper, ["a"])) == ["A"]
    assert list(module.map(Adder().add, [1])) == [2]
    assert list(module.map(partial(pow, 2), [3])) == [8]


# ------------------------------------------------------------------------------- options, in each of the functions

each_function = pytest.mark.parametrize("name", ["map", "filter", "flat_map", "each"])


@each_function
@every
def test_every_function_takes_its_options_by_position_and_by_name(module: Any, name: str, journal: Journal) -> None:
    def started(worker_info: Any) -> dict[str, int]:
        return {"number": worker_info.index}

    def noted(value: int, number: int, worker_info: Any) -> list[int]:
        journal.write(f"{value} {number == worker_info.index}")
        return [value]

    def done(number: int) -> None:
        journal.write(f"done {number}")

    named = {"workers": 2, "maxsize": 3, "timeout": LIMIT, "on_start": started, "on_done": done}
    stages = [
        getattr(module, name)(noted, [1, 2], 2, 3, LIMIT, started, done),
        getattr(module, name)(f=noted, stage=[1, 2], **named),
        [1, 2] | getattr(module, name)(noted, **named),
    ]
    for stage in stages:
        list(stage)
    # One event loop, or the thread of the caller, is one worker.
    workers = 2 if module in (pl.process, pl.thread) else 1
    expected = ["1 True", "2 True", *(f"done {number}" for number in range(workers))]
    assert sorted(journal.lines) == sorted(len(stages) * expected)


@each_function
@every
def test_every_function_drops_an_item_that_takes_too_long(module: Any, name: str, journal: Journal) -> None:
    def slow(value: int) -> list[int]:
        while value == 1:
            pass
        journal.write(value)
        return [value]

    async def slow_async(value: int) -> list[int]:
        if value == 1:
            await asyncio.Event().wait()
        journal.write(value)
        return [value]

    list(getattr(module, name)(slow_async if module is pl.task else slow, range(3), timeout=0.5))
    assert journal.lines == ["0", "2"]


@each_function
@pytest.mark.parametrize("module", [pl.process, pl.thread], ids=short)
def test_every_function_reads_no_more_than_maxsize_ahead(module: Any, name: str, gate: Gate) -> None:
    """The worker holds an item, three wait, and the source has made one more."""
    count = Count()
    stage = getattr(module, name)(lambda value: [gate.hold(value)], map(count, range(1, 100)), maxsize=3)
    items: Any = iter(stage)
    reading = threading.Thread(target=lambda: next(items, None))
    reading.start()
    gate.wait_held()
    assert count.begun(5)
    gate.release(100)
    reading.join()
    items.close()


# ----------------------------------------------------------------------------------------------------- elements


@every
def test_return_index_gives_elements(module: Any) -> None:
    stage = module.flat_map(lambda value: [value] * 2, module.filter(bool, [0, 5]))
    found = list(module.to_iterable(stage, return_index=True))
    assert found == [pl.Element((1, 0), 5), pl.Element((1, 1), 5)]
    assert [element.index for element in found] == [(1, 0), (1, 1)]
    assert found[0].set("x") == ((1, 0), "x")


@every
def test_elements_in_a_source_keep_their_index(module: Any) -> None:
    elements = [pl.Element((2,), "c"), pl.Element((0,), "a"), pl.Element((1,), "b")]
    assert list(module.ordered(elements)) == ["a", "b", "c"]
    again = module.to_iterable(module.map(str.upper, elements), return_index=True)
    assert list(module.ordered(again)) == ["A", "B", "C"]
    assert list(module.map(str.upper, iter(elements))) == ["C", "A", "B"]


@every
def test_ordered_sorts_elements_of_a_source_that_shows_them_when_it_is_read(module: Any) -> None:
    elements = [pl.Element((2,), "c"), pl.Element((0,), "a"), pl.Element((1,), "b")]
    assert list(module.ordered(module.map(str.upper, iter(elements)))) == ["A", "B", "C"]
    assert list(module.ordered(module.from_iterable(iter(elements), use_thread=False))) == ["a", "b", "c"]
    live = pl.thread.IterableQueue[Any]()
    for element in elements:
        live.put(element)
    live.worker_done()
    assert list(module.ordered(live)) == ["a", "b", "c"]
    # An endless source of values is not collected.
    endless = iter(module.ordered(module.map(doubled, itertools.count())))
    assert next(endless) == 0
    endless.close()


def test_ordered_sorts_elements_of_an_async_source() -> None:
    async def backwards() -> AsyncIterator[pl.Element[int]]:
        for number in (2, 1, 0):
            yield pl.Element((number,), number)

    assert list(pl.task.ordered(pl.task.map(doubled, backwards(), workers=2))) == [0, 2, 4]


@every
def test_a_stage_of_the_program_has_indexes_of_its_own(module: Any) -> None:
    class Countdown(pl.BaseStage[int]):
        def __iter__(self) -> Iterator[int]:
            return iter(self.to_iterable(0, False))

        def to_iterable(self, maxsize: int = 0, return_index: bool = False) -> Iterator[Any]:
            for value in (2, 1, 0):
                yield pl.Element((value, 7), value) if return_index else value

    stage = Countdown()
    to_list: Any = list
    assert stage | to_list == [2, 1, 0]
    assert list(module.ordered(module.map(doubled, stage))) == [0, 2, 4]
    found = list(module.to_iterable(module.map(doubled, stage), return_index=True))
    assert [element.index for element in found] == [(2, 7), (1, 7), (0, 7)]


def test_elements_are_compared_by_their_index() -> None:
    first, second = pl.Element((0, 5), object()), pl.Element((1,), object())
    assert first < second
    assert first <= second
    assert second > first
    assert second >= first
    assert max(first, second) is second


# ------------------------------------------------------------------------------------------------------- bounds


class Count:
    """How many calls have begun, in processes too, which get it by a fork."""

    def __init__(self) -> None:
        self._begun = multiprocessing.Semaphore(0)

    def __call__(self, value: Any) -> Any:
        self._begun.release()
        return value

    async def call(self, value: Any) -> Any:
        return self(value)

    def settled(self) -> int:
        """How many calls have begun when no more begin."""
        number = 0
        while self._begun.acquire(timeout=LIMIT if not number else 0.3):
            number += 1
        return number

    def begun(self, number: int) -> bool:
        """Whether so many calls begin, and no more."""
        return all(self._begun.acquire(timeout=LIMIT) for _ in range(number)) and not self._begun.acquire(timeout=0.2)


@pytest.mark.parametrize("workers", [1, 2])
@every_apart
def test_nothing_is_made_ahead_of_maxsize(module: Any, workers: int) -> None:
    """One item is taken, three wait, and each worker has made one more."""
    if module is pl.task and workers > 1:
        workers = 1
    count = Count()
    items = module.to_iterable(module.map(count, range(100), workers=workers), maxsize=3)
    next(items)
    assert count.begun(4 + workers)
    items.close()
    items = iter(module.map(count, range(100), workers=workers, maxsize=3))
    next(items)
    assert count.begun(4 + workers)
    items.close()


@pytest.mark.parametrize("module", [pl.process, pl.thread], ids=short)
def test_maxsize_holds_for_each_stage_of_a_chain(module: Any) -> None:
    first, second = Count(), Count()
    items = iter(module.map(second, module.map(first, range(100)), maxsize=3))
    next(items)
    assert second.begun(5)
    assert first.begun(9)
    items.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_maxsize_holds_behind_a_process_stage_with_a_timeout(workers: int) -> None:
    count = Count()
    stage = pl.process.map(count, range(100), workers=workers, timeout=LIMIT)
    items: Any = pl.process.to_iterable(stage, maxsize=3)
    next(items)
    assert count.begun(4 + workers)
    items.close()


@pytest.mark.parametrize("module", [pl.process, pl.thread], ids=short)
@pytest.mark.parametrize("between", [False, True])
def test_maxsize_holds_for_each_stage_behind_a_process_stage_with_a_timeout(module: Any, between: bool) -> None:
    first, second = Count(), Count()
    stage = pl.process.map(first, range(100), timeout=LIMIT)
    if between:
        stage = pl.process.ordered(pl.process.map(doubled, stage))
    items: Any = iter(module.map(second, stage, maxsize=3))
    next(items)
    assert second.begun(5)
    assert first.begun(9)
    items.close()


def test_maxsize_behind_a_process_stage_with_a_timeout_counts_no_dropped_items() -> None:
    def slow_at_even(value: int) -> int:
        if value % 2 == 0:
            time.sleep(LIMIT)
        return value

    stage = pl.process.map(slow_at_even, range(8), workers=2, timeout=0.3, maxsize=1)
    assert list(pl.thread.map(doubled, stage, maxsize=1)) == [2, 6, 10, 14]


@pytest.mark.parametrize("module", [pl.process, pl.thread], ids=short)
def test_maxsize_of_tasks_holds_for_the_stage_before_them(module: Any) -> None:
    count = Count()
    items: Any = iter(pl.task.map(doubled, module.map(count, range(100)), maxsize=3))
    next(items)
    # The tasks hold two items more than they work on.
    assert count.settled() <= 11
    items.close()


@pytest.mark.parametrize("module", [pl.process, pl.thread], ids=short)
def test_maxsize_holds_behind_a_shared_stage_and_before_a_join(module: Any) -> None:
    shared = Count()
    stage = module.map(shared, range(100))
    items = iter(module.concat([stage, module.map(doubled, stage)], maxsize=1))
    next(items)
    assert shared.settled() < 15
    items.close()


@every
def test_without_maxsize_a_small_job_is_not_held_up(module: Any) -> None:
    count = Count()
    items = iter(module.map(count, range(10)))
    next(items)
    assert module is pl.sync or count.begun(10)
    items.close()


# ---------------------------------------------------------------------------------------------------- timeouts


@every
def test_an_item_that_takes_too_long_is_dropped(module: Any, journal: Journal) -> None:
    def slow(value: int) -> int:
        if value == 1:
            until = time.monotonic() + LIMIT
            while time.monotonic() < until:
                pass
        return value

    async def slow_async(value: int) -> int:
        if value == 1:
            try:
                await asyncio.sleep(LIMIT)
            except asyncio.CancelledError:
                journal.write("cancelled")
                raise
        return value

    function = slow_async if module is pl.task else slow
    stage = module.map(function, range(3), timeout=0.3, on_start=lambda: journal.write("started"))
    assert list(stage) == [0, 2]
    # Whoever is stopped begins again; a coroutine is only cancelled.
    assert journal.lines == (["started", "cancelled"] if module is pl.task else ["started", "started"])


@pytest.mark.parametrize("module", [pl.process, pl.thread, pl.sync], ids=short)
def test_the_time_in_which_a_generator_makes_its_results_counts(module: Any) -> None:
    def several(value: int) -> Iterator[int]:
        yield value
        while value == 1:
            pass
        yield value

    assert list(module.flat_map(several, range(3), timeout=0.3)) == [0, 0, 2, 2]


def for_ever(value: int) -> None:
    threading.Event().wait()


@pytest.mark.parametrize("module", [pl.process, pl.thread], ids=short)
def test_a_time_limit_counts_the_function_alone(module: Any) -> None:
    """The worker waits for the source, and items wait for the loop, longer than the limit."""
    limit = 1.0

    def source() -> Iterator[int]:
        for value in range(2):
            # It ends when the same limit has ended a call.
            assert list(pl.process.map(for_ever, [value], timeout=limit)) == []
            yield value

    found = []
    for value in module.map(doubled, source(), timeout=limit):
        assert list(pl.process.map(for_ever, [value], timeout=limit)) == []
        found.append(value)
    assert found == [0, 2]


# ------------------------------------------------------------------------------------------------------ mistakes


@every
@pytest.mark.parametrize(
    "options, text",
    [
        ({"workers": 0}, "workers must be at least 1 but got: 0"),
        ({"workers": 1.5}, "workers must be an int but got: 1.5"),
        ({"maxsize": -1}, "maxsize must be at least 0 but got: -1"),
        ({"timeout": -1}, "timeout must be a number of seconds of at least 0 but got: -1"),
    ],
)
def test_an_option_that_cannot_work_is_refused_when_the_stage_is_made(
    module: Any, options: dict[str, Any], text: str
) -> None:
    for make in (module.map, module.filter, module.flat_map, module.each):
        with pytest.raises(StageOptionError, match=text):
            make(doubled, [1], **options)


@every
def test_what_is_no_function_or_no_iterable_is_refused(module: Any) -> None:
    for make in (
        lambda: module.map(3, [1]),
        lambda: module.map(doubled, [1], on_start=3),
        lambda: module.map(doubled, 3),
        lambda: module.map(doubled, None),
        lambda: module.each(doubled, None, run=True),
        lambda: module.to_iterable(None),
        lambda: module.from_iterable(3),
        lambda: module.ordered(3),
        lambda: module.concat([[1], 3]),
        lambda: module.concat(3),
        lambda: module.run(3),
    ):
        with pytest.raises(StageTypeError, match="must be a"):
            make()
    for refused in (partial(module.to_iterable, [1], maxsize=-1), partial(module.to_iterable, [1], return_index=1)):
        with pytest.raises(StageOptionError):
            refused()


class CodedError(Exception):
    """An exception with arguments of its own."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(code, text)
        self.code = code


@every
def test_an_exception_keeps_its_class_and_its_arguments(module: Any) -> None:
    def failing(value: int) -> int:
        raise CodedError(value, "text")

    with pytest.raises(CodedError) as caught:
        list(module.map(failing, [7]))
    assert caught.value.args == (7, "text")
    assert "stage 'failing'" in caught.value.__notes__[-1]

    def source() -> Iterator[int]:
        yield 1
        raise CodedError(8, "source")

    with pytest.raises(CodedError, match="8, 'source'"):
        list(module.map(doubled, source()))


@every
def test_the_values_that_are_injected_have_public_types(module: Any, journal: Journal) -> None:
    def shown(value: int, worker_info: Any) -> bool:
        return isinstance(worker_info, module.WorkerInfo)

    def done(stage_status: Any) -> None:
        journal.write(isinstance(stage_status, module.StageStatus))

    assert list(module.map(shown, [1], on_done=done)) == [True]
    assert journal.lines == ["True"]


@every
def test_functions_have_names_and_docs_and_can_be_imported(module: Any) -> None:
    names = ["map", "filter", "flat_map", "each", "from_iterable", "to_iterable", "ordered", "concat", "run"]
    for name in names:
        assert getattr(module, name).__name__ == name
        assert getattr(module, name).__doc__
    assert set(names) <= set(module.__all__)
    assert isinstance(module.from_iterable([]), module.Stage)


def test_the_package_has_the_names_of_pypeln() -> None:
    assert pl.__version__ == "0.4.9"
    assert pl.utils.Element is pl.Element
    assert isinstance(pl.thread.map(doubled), pl.utils.Partial)
    assert isinstance(pl.thread.from_iterable([]), pl.utils.BaseStage)
    assert {"process", "sync", "task", "thread", "utils"} <= set(dir(pl))


def test_a_stage_and_its_parts_name_themselves() -> None:
    assert repr(pl.thread.map(doubled, [1])) == "<thread.map stage>"
    with pytest.raises(AttributeError, match="has no attribute 'threads'"):
        _ = pl.threads  # type: ignore[attr-defined]

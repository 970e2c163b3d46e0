"""Several threads consume one run: each item goes to one of them, and a failure to all. Other processes may not."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple

import pytest

from chainpump import Executor, Inline, Pipeline, Processes, RunError, StageError, Threads
from contract.placings import MOST, Placing
from support.threads import meanwhile

CONSUMERS = 3
ITEMS = 30_000


class Consumed(NamedTuple):
    items: list[int]
    errors: list[BaseException]


def consumed_by_threads(shared: Callable[[], Iterable[int]]) -> Consumed:
    """What threads that begin at once were given of it, and how they failed."""
    consumed = Consumed([], [])
    begin = threading.Barrier(CONSUMERS)

    def consume() -> None:
        begin.wait()
        try:
            for item in shared():
                consumed.items.append(item)
        except BaseException as error:
            # The test looks at it.
            consumed.errors.append(error)

    with ExitStack() as stack:
        for _ in range(CONSUMERS):
            stack.enter_context(meanwhile(consume))
    return consumed


def increased(number: int) -> int:
    return number + 1


def refuses_the_last(number: int) -> int:
    if number == ITEMS - 1:
        raise ValueError("too large")
    return number


@pytest.mark.parametrize("placing", MOST)
def test_threads_on_one_iterator_are_given_each_item_once(placing: Placing) -> None:
    shared = iter(Pipeline(range(ITEMS)).map(increased, on=placing.stage))
    consumed = consumed_by_threads(lambda: shared)
    assert consumed.errors == []
    assert sorted(consumed.items) == list(range(1, ITEMS + 1))


@pytest.mark.parametrize("on", [Threads(2), Processes(2)], ids=["threads", "processes"])
def test_threads_on_one_iterator_are_given_each_item_once_where_in_flight_bounds_them(on: Executor) -> None:
    shared = iter(Pipeline(range(1_000)).map(increased, on=on, in_flight=4))
    consumed = consumed_by_threads(lambda: shared)
    assert consumed.errors == []
    assert sorted(consumed.items) == list(range(1, 1_001))


@pytest.mark.parametrize("placing", MOST)
def test_threads_with_an_iterator_each_of_one_run_are_given_each_item_once(placing: Placing) -> None:
    with Pipeline(range(ITEMS)).map(increased, on=placing.stage).open() as run:
        consumed = consumed_by_threads(lambda: iter(run))
    assert consumed.errors == []
    assert sorted(consumed.items) == list(range(1, ITEMS + 1))


@pytest.mark.parametrize("placing", MOST)
def test_every_thread_on_one_iterator_is_told_of_a_failure(placing: Placing) -> None:
    shared = iter(Pipeline(range(ITEMS)).map(refuses_the_last, on=placing.stage))
    consumed = consumed_by_threads(lambda: shared)
    assert [type(error) for error in consumed.errors] == [StageError] * CONSUMERS
    assert len({str(error) for error in consumed.errors}) == 1


def test_an_iterator_that_has_failed_fails_again_and_never_ends_normally() -> None:
    items = iter(Pipeline(range(ITEMS)).map(refuses_the_last, on=Threads()))
    with pytest.raises(StageError):
        list(items)
    with pytest.raises(StageError):
        next(items)


def test_an_iterator_that_has_ended_stays_at_its_end() -> None:
    items = iter(Pipeline(range(3)).map(increased, on=Threads()))
    assert list(items) == [1, 2, 3]
    assert list(items) == []


def test_a_loop_goes_on_where_another_one_over_the_same_run_was_left() -> None:
    with Pipeline(range(100)).map(increased, on=Threads()).open() as run:
        first = next(iter(run))
        assert [first, *run] == list(range(1, 101))


def test_a_stage_that_asks_its_own_run_for_an_item_is_told_so() -> None:
    asked: list[Any] = []

    def asks(items: Iterable[int]) -> Iterator[int]:
        for item in items:
            yield next(iter(asked[0]))
            yield item

    with Pipeline(range(3)).then(asks, on=Inline()).open() as run:
        asked.append(run)
        with pytest.raises(
            StageError, match="raised RunError on item 0:\n  the run was asked for an item by its own stage"
        ):
            list(run)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("on", [Threads(), Processes()], ids=["threads", "processes"])
def test_a_forked_process_is_refused_its_parents_run_and_the_parent_goes_on(on: Executor) -> None:
    with Pipeline(range(ITEMS)).map(increased, on=on).open() as run:
        items = iter(run)
        got = [next(items)]
        child = os.fork()
        if child == 0:
            try:
                for _ in items:
                    pass
            except RunError as error:
                os._exit(0 if f"the run belongs to process {os.getppid()}" in str(error) else 1)
            os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        got += items
    assert got == list(range(1, ITEMS + 1))

"""`per_worker` on every executor: each worker makes its own function, and what it has made is left at its end."""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any, Self

import pytest

from chainpump import Cancelled, Inline, Pipeline, Processes, StageError, Tasks, Threads, current_worker, per_worker
from faults.executors import on
from faults.places import ANYWHERE, MOST, MOST_WORKERS, beside, places
from support.gate import Journal
from support.scaling import ForcedScaling

WORKERS = {"inline": 1, "tasks": 1}
# Without those that start slowly.
SOON = places("forkserver", "fork", "threads", "tasks", "inline")


class Add:
    """Adds a number; notes when it is made."""

    def __init__(self, journal: Journal, number: int) -> None:
        journal.write("made")
        self._number = number

    def __call__(self, item: int) -> int:
        return item + self._number


class Held(Add):
    """The same, to be entered and left."""

    def __init__(self, journal: Journal, number: int) -> None:
        super().__init__(journal, number)
        self._journal = journal

    def __enter__(self) -> Self:
        self._journal.write("entered")
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self._journal.write(f"left: {error!r}")


@contextmanager
def held(journal: Journal, number: int) -> Iterator[Callable[[int], int]]:
    try:
        journal.write("entered")
        yield lambda item: item + number
    except BaseException as error:
        journal.write(f"left: {error!r}")
        raise
    else:
        journal.write("left: None")


@asynccontextmanager
async def held_async(journal: Journal, number: int) -> AsyncIterator[Callable[[int], Coroutine[Any, Any, int]]]:
    loop = asyncio.get_running_loop()

    async def add(item: int) -> int:
        assert asyncio.get_running_loop() is loop
        await asyncio.sleep(0)
        return item + number

    try:
        journal.write("entered")
        yield add
    except BaseException as error:
        journal.write(f"left: {error!r}")
        raise
    else:
        journal.write("left: None")
    finally:
        # The tear-down may wait.
        await asyncio.sleep(0)
        assert asyncio.get_running_loop() is loop


def added(place: str, journal: Journal, workers: int = 2) -> Pipeline[int]:
    """0 to 9, and 10 more."""
    factory: Any = held_async if place == "tasks" else held
    return Pipeline(range(10)).map(per_worker(factory, journal, 10), on=on(place, workers), name="add")


def fail_at_five(item: int) -> int:
    if item == 15:
        raise ValueError("five")
    return item


@pytest.mark.parametrize("place", ANYWHERE)
def test_each_worker_enters_before_its_first_item_and_leaves_at_its_end(place: str, journal: Journal) -> None:
    assert list(added(place, journal)) == list(range(10, 20))
    workers = WORKERS.get(place, 2)
    assert sorted(journal.lines) == ["entered"] * workers + ["left: None"] * workers


@pytest.mark.parametrize("place", MOST)
def test_what_a_class_makes_is_called(place: str, journal: Journal) -> None:
    made = Pipeline(range(10)).map(per_worker(Add, journal, number=10), on=on(place, 2))
    assert list(made.into(list, on=on(beside(place))).run().value) == list(range(10, 20))
    assert set(journal.lines) == {"made"}


@pytest.mark.parametrize("place", SOON)
def test_a_worker_that_is_cancelled_leaves(place: str, journal: Journal) -> None:
    with pytest.raises(StageError, match=r"stage 'fail_at_five' .* raised ValueError"):
        list(added(place, journal).map(fail_at_five, on=Threads()).take(100, on=Threads()))
    # A worker may be cancelled before it has begun to set up.
    entered, left = (sum(line.startswith(word) for line in journal.lines) for word in ("entered", "left"))
    assert entered == left >= 1


def broken(journal: Journal, number: int) -> Callable[[int], int]:
    raise OSError(f"no model {number}\nnot here")


async def broken_async(journal: Journal, number: int) -> Callable[[int], Coroutine[Any, Any, int]]:
    raise OSError(f"no model {number}\nnot here")


@pytest.mark.parametrize("place", SOON)
def test_a_set_up_that_fails_is_named_as_such(place: str, journal: Journal) -> None:
    factory: Any = broken_async if place == "tasks" else broken
    pipeline = Pipeline(range(10)).map(per_worker(factory, journal, 7), on=on(place, 2), name="score")
    message = (
        rf"^stage 'score' \(worker \d of {WORKERS.get(place, 2)}, pid \d+\) could not be set up: "
        rf"{factory.__name__} raised OSError: no model 7\n  not here\n  score is defined at .*test_per_worker.py:\d+"
    )
    with pytest.raises(StageError, match=message) as raised:
        list(pipeline)
    assert isinstance(raised.value.__cause__, OSError)
    failure = raised.value.failures[0]
    assert failure.index is None
    # Only the calls of the factory are shown.
    assert f'File "{__file__}"' in failure.traceback.splitlines()[1]


class Refuses(Held):
    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        raise OSError("disk full")


@pytest.mark.parametrize("place", MOST)
def test_a_tear_down_that_fails_is_named_as_such(place: str, journal: Journal) -> None:
    pipeline = Pipeline(range(10)).map(per_worker(Refuses, journal, 7), on=on(place), name="score")
    message = r"^stage 'score' \(worker 1 of 1, pid \d+\) could not be torn down: Refuses raised OSError: disk full"
    with pytest.raises(StageError, match=message):
        list(pipeline)


def fails(item: int) -> int:
    raise ValueError(item)


@contextmanager
def failing(journal: Journal) -> Iterator[Callable[[int], int]]:
    try:
        yield fails
    except ValueError as error:
        # It cannot be suppressed.
        journal.write(f"left: {error!r}")


@pytest.mark.parametrize("place", MOST)
def test_the_exception_of_a_worker_reaches_what_it_has_entered_and_cannot_be_suppressed(
    place: str, journal: Journal
) -> None:
    with pytest.raises(StageError, match=r"stage 'failing' .* raised ValueError on item 0"):
        list(Pipeline([3]).map(per_worker(failing, journal), on=on(place)))
    assert journal.lines == ["left: ValueError(3)"]


@pytest.mark.parametrize("place", SOON)
def test_a_loop_that_is_left_tears_down(place: str, journal: Journal) -> None:
    with added(place, journal, workers=1).open() as run:
        assert next(iter(run)) == 10
    assert journal.lines[0] == "entered"
    assert journal.lines[1] in ("left: None", f"left: {Cancelled('the run was cancelled')!r}")


def test_inline_runs_an_async_factory_in_one_event_loop(journal: Journal) -> None:
    assert list(added("tasks", journal).inline()) == list(range(10, 20))
    assert journal.lines == ["entered", "left: None"]


@pytest.mark.parametrize("place", SOON)
def test_a_worker_without_an_item_sets_up_and_tears_down(place: str, journal: Journal) -> None:
    factory: Any = held_async if place == "tasks" else held
    assert list(Pipeline([]).map(per_worker(factory, journal, 10), on=on(place))) == []
    assert journal.lines == ["entered", "left: None"]


@contextmanager
def named(journal: Journal, name: str) -> Iterator[Callable[[int], int]]:
    journal.write(f"{name} in {current_worker().stage}")
    yield abs
    journal.write(f"{name} out {current_worker().stage}")


def test_stages_in_one_worker_set_up_in_order_and_tear_down_in_reverse(journal: Journal) -> None:
    stages = Pipeline([1]).map(per_worker(named, journal, "a"), on=Inline(), name="first")
    assert list(stages.map(per_worker(named, journal, "b"), on=Inline(), name="second")) == [1]
    assert journal.lines == ["a in first", "b in second", "b out second", "a out first"]


@pytest.mark.parametrize("place", MOST)
def test_a_set_up_that_fails_leaves_what_other_factories_have_entered(place: str, journal: Journal) -> None:
    stages = Pipeline([1]).map(per_worker(held, journal, 1), on=on(place))
    with pytest.raises(StageError, match=r"stage 'broken' .* could not be set up"):
        list(stages.map(per_worker(broken, journal, 2), on=on(place)))
    entered, left = (sum(line.startswith(word) for line in journal.lines) for word in ("entered", "left"))
    assert entered == left


@pytest.mark.parametrize("place", MOST)
@pytest.mark.parametrize(
    "factory, message",
    [
        (lambda: None, "has made a NoneType, which cannot be called with an item"),
        (lambda: (number for number in ()), "is a generator function: decorate it with contextlib.contextmanager"),
        (lambda: asyncio.sleep(0), r"has made a coroutine, which only an event loop can await or enter: on=Tasks"),
    ],
    ids=["none", "generator", "coroutine"],
)
def test_a_factory_that_makes_no_function_is_named(place: str, factory: Any, message: str) -> None:
    with pytest.raises(StageError, match=rf"could not be set up: <lambda> {message}"):
        list(Pipeline([1]).map(per_worker(factory), on=on(place)))


def test_an_async_factory_without_a_manager_is_awaited() -> None:
    async def made() -> Callable[[int], Awaitable[int]]:
        await asyncio.sleep(0)
        return doubled

    async def doubled(item: int) -> int:
        return 2 * item

    assert list(Pipeline([1]).map(per_worker(made), on=Tasks())) == [2]


@pytest.mark.parametrize("place", MOST_WORKERS)
def test_workers_that_come_and_go_set_up_and_tear_down(place: str, journal: Journal, scaling: ForcedScaling) -> None:
    scaling.shuffle(seed=5)
    executor = Threads("auto") if place == "threads" else Processes("auto", start_method=place)  # type: ignore[arg-type]
    run = Pipeline(range(3000)).map(per_worker(held, journal, 1), on=executor).into(list, on=Threads()).run()
    assert run.value == list(range(1, 3001))
    assert journal.lines.count("entered") == journal.lines.count("left: None") >= run.stages[1].workers


def test_a_worker_that_is_recycled_tears_down_and_the_next_one_sets_up(journal: Journal) -> None:
    recycled = Processes(2, recycle_after=3)
    assert list(Pipeline(range(20)).map(per_worker(held, journal, 1), on=recycled)) == list(range(1, 21))
    assert journal.lines.count("entered") == journal.lines.count("left: None") > 2


@pytest.mark.parametrize("place", MOST)
def test_the_report_has_the_time_of_the_set_up(place: str, journal: Journal) -> None:
    report = added(place, journal).into(list, on=on(beside(place))).run()
    assert report.stages[1].set_up > 0
    assert (report.stages[0].set_up, report.stages[2].set_up) == (0, 0)
    assert "set up" in str(report)


def test_the_examples_of_the_page_compile_and_that_of_a_connection_runs(tmp_path: Path) -> None:
    page = Path(__file__).parents[2] / "docs" / "per_worker.md"
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    made = [compile(block, str(page), "exec", dont_inherit=True) for block in blocks]
    path = str(tmp_path / "users.sqlite")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("create table users (id, name)")
        connection.execute("insert into users values (1, 'one'), (2, 'two')")
    names: dict[str, Any] = {"keys": [2, 1]}
    [at] = [index for index, block in enumerate(blocks) if "sqlite3" in block]
    exec(blocks[at].replace("users.sqlite", path), names)  # it is ours
    assert list(names["names"]) == ["two", "one"]
    assert len(made) == 4


def test_check_items_looks_at_the_results_of_what_a_factory_makes() -> None:
    def lies() -> Callable[[int], str]:
        answer: Any = abs
        return answer  # type: ignore[no-any-return]

    with pytest.raises(Exception, match=rf"pid {os.getpid()}\) yielded something else than it declares"):
        Pipeline([1]).map(per_worker(lies), on=Threads()).into(list, on=Threads()).run(check_items=True)

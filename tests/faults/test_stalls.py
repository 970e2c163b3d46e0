"""A run in which nothing moves is reported, and ends with an error that says what every worker was at, and who holds up
the others.
"""

import asyncio
import logging
import os
import queue
import re
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from functools import partial
from typing import Any

import pytest

from chainpump import Inline, Pipeline, Processes, StageOptionError, StallError, Tasks, Threads, sink, source, stage
from chainpump.engine.stalls import Stalls
from chainpump.ipc.board import State
from chainpump.progress.reading import Reading
from faults import stages
from faults.places import PROCESSES, WAYS, on, places
from faults.roles import counted
from support.gate import LIMIT, Gate
from support.processes import descendants, until
from support.threads import meanwhile

# Seconds.
TIMEOUT = 2.0
LINE = re.compile(r"^  (\S+) +\d of \d, pid \d+ +(.*?)(?: for [\d.]+ s)?$", re.MULTILINE)


class Clock:
    """Begins to run when workers are where a test wants them: on a busy machine that may take longer than it lets pass.

    has_begun: asked again and again.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.has_begun: Callable[[Reading], bool] = all_have_started
        due = Stalls.due
        monkeypatch.setattr(
            Stalls,
            "due",
            lambda each, reading: due(each, reading) if self.has_begun(reading) else time.monotonic() + 0.01,
        )


def all_have_started(reading: Reading) -> bool:
    return all(worker.state != State.STARTING for workers in reading.stages for worker in workers)


def the_sink_waits(reading: Reading) -> bool:
    return all_have_started(reading) and all(each.waits_for_items for each in reading.stages[-1])


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def worker_statuses(error: StallError) -> dict[str, list[str]]:
    """What the workers of each stage were at."""
    found: dict[str, list[str]] = {}
    for name, at in LINE.findall(str(error)):
        found.setdefault(name, []).append(at)
    return found


def hold_if(item: int, gate: Gate, at: int) -> int:
    return gate.hold(item) if item == at else item


async def sleep_if(item: int, at: int) -> int:
    if item == at:
        await asyncio.sleep(LIMIT)
    return item


@pytest.mark.parametrize("place", places("forkserver"))
def test_the_item_that_holds_the_line_is_named_with_its_worker(place: str, gate: Gate) -> None:
    numbers = Pipeline(source(stages.count_for_ever), on=on(place))
    held = numbers.map(partial(hold_if, gate=gate, at=5000), on=on(place, 2), name="decode")
    with pytest.raises(StallError) as caught:
        held.into(sum, on=on(place)).run(stall_timeout=TIMEOUT)
    gate.release()
    assert re.match(
        r"no item moved for 2 s; stage 'decode' \(worker \d of 2, pid \d+\) is in item 5000\.\n",
        str(caught.value),
    )
    assert caught.value.failures[0].index == 5000
    at = worker_statuses(caught.value)
    assert at["count_for_ever"] == ["waiting for credit"]
    assert at["sum"] == ["waiting for item 5000"]
    assert "in item 5000" in at["decode"]
    assert any(each.startswith("waiting for ") for each in at["decode"])


class HeldAsItLoads:
    """A function that holds the worker that loads it."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def __call__(self, item: int) -> int:
        return item

    def __reduce__(self) -> tuple[Any, ...]:
        return _loaded, (self._gate,)


def _loaded(gate: Gate) -> Callable[[int], int]:
    gate.hold(0)
    return abs


def test_a_worker_that_takes_too_long_to_start_is_named_with_what_it_loads(
    gate: Gate, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chainpump.engine.stalls.START_UP", TIMEOUT)
    held = Pipeline(range(10)).map(HeldAsItLoads(gate), on=Processes(), name="decode")
    message = r"; stage 'decode' \(worker 1 of 1, pid \d+\) is starting\."
    with meanwhile(gate.wait_held) as is_loading:
        clock.has_begun = lambda _: is_loading.done()
        with pytest.raises(StallError, match=message) as caught:
            held.into(sum, on=Threads()).run(stall_timeout=TIMEOUT)
    assert " in _loaded\n" in f"{caught.value.__notes__[0]}\n"


def test_a_worker_that_is_asked_too_early_where_it_is_does_not_die_of_it() -> None:
    with Pipeline(range(3)).map(abs, on=Processes(start_method="spawn")).open(stall_timeout=LIMIT) as run:
        for worker in run._supervisor._workers:
            worker.handle.ask_stack()
        assert list(run) == [0, 1, 2]


@pytest.mark.parametrize("place", places("forkserver", "fork", "threads"))
def test_a_note_says_where_those_are_that_do_not_wait(place: str, gate: Gate) -> None:
    held = Pipeline(source(stages.count_for_ever), on=on(place)).map(partial(hold_if, gate=gate, at=50), on=on(place))
    with pytest.raises(StallError) as caught:
        held.into(sum, on=on(place)).run(stall_timeout=TIMEOUT)
    pid = gate.wait_held()
    gate.release()
    (note,) = caught.value.__notes__
    head, who, *calls = note.splitlines()
    assert head == "Where the workers were (most recent call first):"
    assert who == f"stage 'hold_if' (worker 1 of 1, pid {pid})"
    assert calls[-3].endswith(" in wait_released")
    assert calls[-2].endswith(" in hold")
    assert calls[-1] == f'  File "{__file__}", line {hold_if.__code__.co_firstlineno + 1} in hold_if'


@pytest.mark.parametrize("place", places("threads"))
def test_a_source_that_makes_nothing_is_named(place: str, gate: Gate) -> None:
    held = source(stages.held_at, range(10), gate, 3)
    pipeline = Pipeline(held, on=on(place), name="load").then(stages.same, on=on(place))
    with pytest.raises(StallError, match=r"; source 'load' \(.*\) is making item 3\.") as caught:
        pipeline.into(sum, on=on(place)).run(stall_timeout=TIMEOUT)
    gate.release()
    assert worker_statuses(caught.value) == {
        "load": ["making item 3"],
        "same": ["waiting for items"],
        "sum": ["waiting for items"],
    }


@pytest.mark.parametrize("place", places("fork"))
def test_a_generator_stage_is_named_with_the_item_that_it_was_given_last(place: str, gate: Gate) -> None:
    held = Pipeline(range(100)).then(stage(stages.held_at, gate, 70), on=on(place), name="decode")
    with pytest.raises(StallError, match=r"; stage 'decode' \(worker 1 of 1, pid \d+\) is in item 70\.\n"):
        held.into(sum, on=on(place)).run(stall_timeout=TIMEOUT)
    gate.release()


def test_items_in_hand_as_tasks_are_counted_and_each_is_told_with_where_it_waits() -> None:
    pipeline = Pipeline(range(100)).map(partial(sleep_if, at=70), on=Tasks(8), name="fetch")
    with pytest.raises(StallError) as caught:
        pipeline.into(sum, on=Threads()).run(stall_timeout=TIMEOUT)
    assert worker_statuses(caught.value)["fetch"] == ["in 1 item at once"]
    assert worker_statuses(caught.value)["sum"] == ["waiting for item 70"]
    _, who, *calls = caught.value.__notes__[0].splitlines()
    assert re.fullmatch(r"stage 'fetch' \(worker 1 of 1, pid \d+\), in item 70 for [\d.]+ s", who)
    assert calls[-1] == f'  File "{__file__}", line {sleep_if.__code__.co_firstlineno + 2} in sleep_if'
    assert calls[0].endswith(" in sleep")


async def parts(item: int) -> AsyncIterator[int]:
    yield item
    await asyncio.get_running_loop().create_future()


def test_a_task_in_an_async_generator_is_told_with_the_line_of_that() -> None:
    pipeline = Pipeline(range(3)).flat_map(parts, on=Tasks(2))
    with pytest.raises(StallError) as caught:
        pipeline.into(sum, on=Threads()).run(stall_timeout=TIMEOUT)
    called = f'  File "{__file__}", line {parts.__code__.co_firstlineno + 2} in parts'
    assert [line for line in caught.value.__notes__[0].splitlines() if line.startswith("  ")] == [called, called]


def test_who_iterates_is_named_and_told_at_the_next_item() -> None:
    with Pipeline(source(stages.count_for_ever)).open(stall_timeout=TIMEOUT) as run:
        items = iter(run)
        assert next(items) == 0
        assert descendants(), "the source is at work"
        # As code between two items would, outside the library.
        run._supervisor.join()
        with pytest.raises(StallError, match=r"; sink 'iteration' .* is in item 0") as caught:
            list(items)
    assert re.search(rf"^sink 'iteration' .*\n(.*\n)*.*{re.escape(__file__)}", caught.value.__notes__[0], re.MULTILINE)


@WAYS
@pytest.mark.parametrize("place", PROCESSES)
def test_a_worker_that_was_stopped_by_a_signal_is_named_and_killed(place: str, way: Any, gate: Gate) -> None:
    pipeline = counted(place).then(stage(stages.held, gate), on=on(place), name="stopped")
    with (
        meanwhile(lambda: os.kill(gate.wait_held(), signal.SIGSTOP)),
        pytest.raises(StallError, match=r"; stage 'stopped' \(worker 1 of 1, pid \d+\) is stopped by a signal\."),
    ):
        way(pipeline, place, stall_timeout=TIMEOUT)
    assert descendants() == set()


@pytest.mark.parametrize("place", places("inline"))
def test_a_slow_run_that_moves_is_no_stall(place: str) -> None:
    """Also where many items travel in one frame, and where nothing but the last stage takes its time."""
    slow = Pipeline(range(24)).then(stages.same, on=on(place)).each(partial(pace, time.monotonic()), on=on(place))
    assert slow.run(stall_timeout=TIMEOUT).stages[-1].received == 24


def pace(began: float, item: int) -> None:
    """Take a small part of the timeout over each item, and more than all of it over 24."""
    due = began + (item + 1) * TIMEOUT / 20
    until(lambda: time.monotonic() > due, "the time of an item to have passed")


def gathered(items: Iterable[int], began: float) -> int:
    return sum(pace(began, item) is None for item in items)


@pytest.mark.parametrize("place", places("forkserver"))
def test_a_slow_sink_of_all_items_is_no_stall_either(place: str) -> None:
    paced = sink(gathered, time.monotonic())
    slow = Pipeline(range(24)).then(stages.same, on=on(place)).into(paced, on=on(place))
    assert slow.run(stall_timeout=TIMEOUT).value == 24


def test_parts_of_a_joined_pipeline_are_watched_as_well(gate: Gate) -> None:
    held = Pipeline(source(stages.held_at, range(10), gate, 3), name="load")
    joined = Pipeline.concat(Pipeline(range(3)), held).into(sum, on=Threads())
    with pytest.raises(StallError):
        joined.run(stall_timeout=TIMEOUT)
    gate.release()


@pytest.mark.parametrize("seconds", [0, -1, "1", True, float("inf")])
def test_what_is_no_time_is_refused(seconds: object) -> None:
    with pytest.raises(StageOptionError, match=r"^stall_timeout must be a number of seconds of at least 0\.001"):
        Pipeline(range(3)).into(sum).run(stall_timeout=seconds)  # type: ignore[arg-type]  # that is the point


LOCK = threading.Lock()


def locked(item: int) -> int:
    with LOCK:
        return item


@pytest.mark.parametrize("place", places("fork"))
def test_a_fork_that_waits_for_a_lock_of_the_program_is_told_of_the_threads_beside_which_it_was_forked(
    place: str,
) -> None:
    is_held, is_over = threading.Event(), threading.Event()

    def hold() -> None:
        with LOCK:
            is_held.set()
            is_over.wait()

    holder = threading.Thread(target=hold, name="poller")
    holder.start()
    is_held.wait()
    try:
        with pytest.raises(StallError, match=r"in item 0") as caught:
            Pipeline(range(3)).map(locked, on=on(place)).into(sum, on=Threads()).run(stall_timeout=TIMEOUT / 4, grace=0)
    finally:
        is_over.set()
        holder.join()
    assert re.search(
        r"^  Workers were forked beside other threads \((.*, )?poller\): a lock that", str(caught.value), re.MULTILINE
    )


# ------------------------------------------------------------------------------------- warnings of a run that goes on


class Warnings(logging.Handler):
    """What is logged about stalls. It arrives while the run goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.records: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()

    def emit(self, record: logging.LogRecord) -> None:
        self.records.put(record)

    def next_text(self) -> str:
        record = self.records.get(timeout=LIMIT)
        assert (record.name, record.levelname) == ("chainpump.stalls", "WARNING")
        return record.getMessage()


@pytest.fixture
def warned(monkeypatch: pytest.MonkeyPatch) -> Iterator[Warnings]:
    monkeypatch.setattr("chainpump.engine.stalls.WARN_AFTER", (TIMEOUT / 40, TIMEOUT / 20))
    handler = Warnings()
    logging.getLogger("chainpump").addHandler(handler)
    yield handler
    logging.getLogger("chainpump").removeHandler(handler)


async def hold_task_if(item: int, gate: Gate, at: int) -> int:
    return await asyncio.to_thread(hold_if, item, gate, at)


@pytest.mark.parametrize("place", places("forkserver", "fork", "threads", "tasks"))
def test_a_run_in_which_nothing_moves_is_reported_twice_and_goes_on(
    place: str, gate: Gate, clock: Clock, warned: Warnings
) -> None:
    clock.has_begun = lambda _: False
    function: Any = hold_task_if if place == "tasks" else hold_if
    held = Pipeline(range(10)).map(partial(function, gate=gate, at=3), on=on(place), name="decode")
    with meanwhile(lambda: held.into(sum, on=Threads()).run().value) as total:
        pid = gate.wait_held()
        clock.has_begun = the_sink_waits
        texts = [warned.next_text() for _ in range(2)]
        clock.has_begun = lambda _: False
        gate.release()
        assert total.result(LIMIT) == 45
    assert warned.records.empty()
    for seconds, text in zip(("0.05", "0.1"), texts, strict=True):
        assert text.startswith(f"no item moved for {seconds} s; stage 'decode' (worker 1 of 1, pid {pid}) is in ")
        # Which item it is depends on how many came in one frame.
        assert re.search(r"^  sum +1 of 1, pid \d+  waiting for item \d$", text, re.MULTILINE) or place == "tasks"


@pytest.mark.parametrize("place", places("forkserver", "threads", "tasks"))
def test_a_slow_loop_of_the_caller_is_not_reported(place: str, clock: Clock, warned: Warnings) -> None:
    """Also where a stage shares the thread of the caller."""
    clock.has_begun = lambda _: False
    function: Any = partial(sleep_if, at=-1) if place == "tasks" else abs
    items = Pipeline(source(stages.count_for_ever)).map(function, on=on(place)).map(abs, on=Inline())
    with items.open() as run:
        stalls = run._supervisor._stalls
        for item in run:
            clock.has_begun = waits_for_caller
            until(lambda: stalls._excused > 0, "the supervisor to have looked at the stall")
            clock.has_begun = lambda _: False
            stalls._excused = 0.0
            if item == 2:
                break
    assert warned.records.empty()


def waits_for_caller(reading: Reading) -> bool:
    """Whether all workers of the first two stages wait, so that the run waits for the caller."""
    first, second, _, _ = reading.stages
    return all((each.waits_for_items or each.waits_for_room) and not each.at_once for each in (*first, *second))


def test_a_stage_that_hangs_in_the_thread_of_the_caller_is_reported(gate: Gate, clock: Clock, warned: Warnings) -> None:
    clock.has_begun = lambda _: False
    items = Pipeline(source(stages.count_for_ever)).map(partial(hold_if, gate=gate, at=3), on=Inline())

    def release_once_reported() -> str:
        gate.wait_held()
        clock.has_begun = all_have_started
        text = warned.next_text()
        clock.has_begun = lambda _: False
        gate.release()
        return text

    with meanwhile(release_once_reported) as text, items.open() as run:
        assert next(item for item in run if item == 3) == 3
    assert "; sink 'iteration' (worker 1 of 1, " in text.result()

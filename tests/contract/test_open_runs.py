"""A run that is open: other threads watch it, wait for it, and end it, wherever its stages run."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import pytest

from chainpump import (
    DeadItem,
    DeadLetter,
    Executor,
    Inline,
    Pipeline,
    Processes,
    Run,
    RunCancelledError,
    RunError,
    Runnable,
    SinkRun,
    StageError,
    Tasks,
    Threads,
    report_of,
    sink,
    source,
    stage,
)
from chainpump.engine import meter
from chainpump.progress.reading import WorkerReading, read_worker
from contract import stages
from contract.placings import EVERYWHERE, MOST, Placing
from faults import stages as faults
from support.gate import LIMIT, Gate, Journal
from support.threads import meanwhile

HERE = __file__


def held_source(gate: Gate) -> Iterator[int]:
    for number in range(3):
        yield gate.hold(number)


def held_sink(numbers: Iterable[int], gate: Gate) -> int:
    return sum(gate.hold(number) for number in numbers)


def name_of_thread(_: object) -> str:
    return threading.current_thread().name


def thread_of_sink(numbers: Iterable[int]) -> str:
    return f"{sum(numbers)} in {threading.current_thread().name}"


def holding(placing: Placing, gate: Gate, role: str) -> Runnable[Any]:
    """A pipeline of which one part holds at its first item."""
    first = source(held_source, gate) if role == "source" else source(stages.numbers, 3)
    middle = gate.hold_each if role == "stage" else stages.same
    last = sink(held_sink, gate) if role == "sink" else sink(stages.total)
    return Pipeline(first, on=placing.source).then(middle, on=placing.stage).into(last, on=placing.sink)


def outcome_of(call: Callable[[], object]) -> BaseException | None:
    """The exception that a call raises."""
    try:
        call()
    except Exception as error:
        return error
    return None


@contextmanager
def signalled(handle: Callable[[], object]) -> Iterator[None]:
    """During the block, send signals to the main thread. handle: the handler.

    One signal is not enough: CPython may miss it as it begins to wait for a lock.
    """
    over = threading.Event()
    main = threading.main_thread().ident
    assert main is not None

    def send() -> None:
        while not over.wait(0.02):
            signal.pthread_kill(main, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, lambda *_: handle())
    try:
        with meanwhile(send):
            try:
                yield
            finally:
                over.set()
    finally:
        signal.signal(signal.SIGUSR1, before)


# ------------------------------------------------------------------------------------------------------------ watching


@pytest.mark.parametrize("placing", EVERYWHERE)
def test_an_open_run_goes_on_by_itself_and_has_the_report_of_run(placing: Placing) -> None:
    counted = Pipeline(source(stages.numbers, 50), on=placing.source).then(stages.increased, on=placing.stage)
    with counted.into(sink(stages.total), on=placing.sink).open() as run:
        # Nobody asks for the result.
        assert run.wait(LIMIT)
        assert run.status == "completed"
        assert run.progress().items == 50
        assert repr(run) == "SinkRun(numbers -> increased -> total, completed)"
        report = run.result()
    assert report.value == run.report().value == sum(range(51))
    assert report.status == "completed"
    assert [each.received for each in report.stages] == [0, 50, 50]


def test_a_sink_on_inline_runs_in_a_thread_when_it_is_opened_and_in_the_callers_own_by_run() -> None:
    runnable = Pipeline(range(4)).into(thread_of_sink, on=Inline())
    assert runnable.run().value == f"6 in {threading.current_thread().name}"
    with runnable.inline().open() as run:
        assert run.result().value == "6 in chainpump thread_of_sink 1/1"


def test_an_open_run_says_how_it_is(gate: Gate) -> None:
    with Pipeline(range(3)).map(gate.hold, on=Threads()).into(sum, on=Threads()).open() as run:
        gate.wait_held()
        assert (run.status, run.report().status, run.report().value) == ("running", "running", None)
        assert repr(run) == "SinkRun(range -> hold -> sum, running)"
        gate.release(3)
        assert run.result().value == 3
    with Pipeline(["a"]).map(int, on=Threads()).into(sum, on=Threads()).open() as failing:
        assert failing.wait(LIMIT)
        assert (failing.status, failing.report().status, failing.report().value) == ("failed", "failed", None)
        assert "raised ValueError on item 0" in str(failing.report().error)


def test_a_run_can_be_watched_while_it_ends() -> None:
    def watch(run: SinkRun[int]) -> None:
        while run.status == "running":
            run.progress()
            run.report()

    for _ in range(10):
        runnable = Pipeline(range(300)).map(abs, on=Threads(2)).into(sum, on=Threads())
        with runnable.open() as run, meanwhile(partial(watch, run)):
            assert run.result().value == sum(range(300))


def test_progress_that_is_read_while_the_run_releases_its_memory_is_that_of_the_end(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_late(*facts: Any) -> WorkerReading:
        if threading.current_thread() is threading.main_thread() and not run.wait(0):
            gate.release(3)
            run.result()
        return read_worker(*facts)

    with Pipeline(range(3)).map(gate.hold, on=Threads()).into(sum, on=Threads()).open() as run:
        gate.wait_held()
        monkeypatch.setattr(meter, "read_worker", read_late)
        progress = run.progress()
        assert (progress.items, progress.is_over) == (3, True)


# ------------------------------------------------------------------------------------------------------------- waiting


@pytest.mark.parametrize("placing", MOST)
def test_several_threads_wait_for_a_run_and_each_gets_its_result(placing: Placing, gate: Gate) -> None:
    with holding(placing, gate, "stage").open() as run:
        gate.wait_held()
        assert [run.wait(0), run.wait(-1), run.wait(0.001)] == [False] * 3
        with meanwhile(run.wait) as one, meanwhile(lambda: run.wait(math.inf)) as other, meanwhile(run.result) as third:
            gate.release(3)
            assert run.result().value == 3
        assert (one.result(), other.result(), third.result().value) == (True, True, 3)
        assert run.wait(0)


@pytest.mark.parametrize("placing", MOST)
def test_every_thread_that_asks_for_the_result_of_a_failed_run_gets_its_error(placing: Placing) -> None:
    numbers = Pipeline(source(stages.numbers, 9), on=placing.source)
    raising = numbers.then(stage(stages.raising_stage, 3), on=placing.stage).into(sink(stages.total), on=placing.sink)
    with raising.open() as run:
        with meanwhile(lambda: outcome_of(run.result)) as one, meanwhile(lambda: outcome_of(run.result)) as other:
            assert run.wait(LIMIT)
        errors = [one.result(), other.result(), outcome_of(run.result)]
    assert [type(error) for error in errors] == [StageError] * 3
    assert len({str(error) for error in errors}) == 1


@pytest.mark.parametrize("on", [Threads(), Processes()], ids=["threads", "processes"])
def test_the_exception_of_a_sink_that_is_raised_several_times_has_each_note_once(on: Executor) -> None:
    with Pipeline(range(9)).into(sink(stages.raising_sink, 3), on=on).open() as run:
        notes = []
        for _ in range(3):
            with pytest.raises(stages.Bad) as caught:
                run.result()
            notes.append(list(caught.value.__notes__))
    assert notes == [notes[0]] * 3


def test_a_wait_for_the_run_of_a_pipeline_ends_when_a_loop_has_taken_its_items(gate: Gate) -> None:
    with Pipeline(range(3)).map(gate.hold, on=Threads()).open() as run:
        gate.wait_held()
        with meanwhile(run.wait) as waiting:
            gate.release(3)
            assert list(run) == [0, 1, 2]
        assert waiting.result()
    assert repr(run) == "Run(range -> hold, completed)"


def test_a_wait_lasts_until_all_dead_letters_are_passed_on(gate: Gate) -> None:
    taken: list[object] = []

    def take(item: DeadItem) -> None:
        taken.append(gate.hold(item.item))

    numbers = Pipeline(["1", "a"]).map(int, on=Threads(), on_error=DeadLetter(to=take))
    with numbers.into(sum, on=Threads()).open() as run:
        gate.wait_held()
        assert not run.wait(0)
        assert run.status == "running"
        gate.release()
        assert run.wait(LIMIT)
        assert taken == ["a"]


def test_a_function_that_takes_dead_letters_and_waits_for_the_run_is_refused() -> None:
    opened: list[SinkRun[int]] = []
    is_open = threading.Event()

    def take(_: DeadItem) -> None:
        is_open.wait(LIMIT)
        opened[0].wait()

    with Pipeline(["a"]).map(int, on=Threads(), on_error=DeadLetter(to=take)).into(sum, on=Threads()).open() as run:
        opened.append(run)
        is_open.set()
        with pytest.raises(StageError, match=r"one of its own functions, .* waits for the end of the run"):
            run.result()


def waits_for(run: list[Any], how: str, _: int) -> object:
    return run[0].wait(LIMIT) if how == "wait" else run[0].result()


async def waits_for_async(run: list[Any], how: str, item: int) -> object:
    return waits_for(run, how, item)


@pytest.mark.parametrize("how", ["wait", "result"])
@pytest.mark.parametrize("on", [Threads(2), Inline(), Tasks(2)], ids=["threads", "inline", "tasks"])
def test_a_stage_that_waits_for_its_own_run_is_refused(on: Executor, how: str, gate: Gate) -> None:
    opened: list[Any] = []

    def held(number: int) -> int:
        return gate.hold(number)

    wait = waits_for_async if isinstance(on, Tasks) else waits_for
    pipeline = Pipeline([1]).map(held, on=Threads()).map(lambda item: wait(opened, how, item), on=on)
    with pipeline.each(repr, on=on if isinstance(on, Inline) else Threads()).open() as run:
        opened.append(run)
        gate.release()
        with pytest.raises(
            StageError, match=r"raised RunError on item 0:\n  one of its own functions, .* waits for the end"
        ):
            run.result()


def test_a_stage_in_the_callers_loop_that_waits_for_its_own_run_is_refused() -> None:
    opened: list[Any] = []
    with Pipeline([1]).map(lambda item: waits_for(opened, "wait", item), on=Inline()).open() as run:
        opened.append(run)
        with pytest.raises(
            StageError, match=r"raised RunError on item 0:\n  one of its own functions, .* waits for the end"
        ):
            list(run)


def test_ctrl_c_ends_a_wait_and_not_the_run(gate: Gate) -> None:
    with Pipeline(range(3)).map(gate.hold, on=Processes()).into(sum, on=Threads()).open() as run:
        gate.wait_held()
        with signalled(_raise_once()), pytest.raises(KeyboardInterrupt):
            run.wait()
        assert run.status == "running"
        gate.release(3)
        assert run.wait(LIMIT)
        assert run.result().value == 3


@pytest.mark.parametrize("how", ["run", "loop", "with"])
def test_ctrl_c_brings_the_report_and_the_dead_letters(how: str, gate: Gate) -> None:
    kept = Pipeline(range(9)).map(refuse_odd, on=Threads(), on_error=DeadLetter())
    held = kept.then(stage(faults.held_at, gate, 4), on=Processes())
    summed = held.into(sum, on=Threads())

    def interrupt() -> None:
        if gate_is_held.is_set():
            raised()

    gate_is_held, raised = threading.Event(), _raise_once()
    calls = {
        "run": partial(summed.run, grace=LIMIT),
        "loop": lambda: list(held.open(grace=LIMIT)),
        "with": lambda: _waited_for(summed),
    }
    held_now = meanwhile(lambda: (gate.wait_held(), gate_is_held.set()))
    with held_now, signalled(interrupt), pytest.raises(KeyboardInterrupt) as caught:
        calls[how]()
    report = report_of(caught.value)
    assert report is not None
    assert (report.status, [letter.item for letter in report.dead_letters]) == ("cancelled", [1, 3, 5, 7])
    (note,) = caught.value.__notes__
    assert note.startswith(f"{report.chain}: cancelled after ")
    assert note.endswith("4 dead letters. chainpump.report_of(error) is the report, with its dead letters.")


def _waited_for(runnable: Runnable[Any]) -> None:
    with runnable.open(grace=LIMIT) as run:
        run.wait()


def refuse_odd(number: int) -> int:
    if number % 2:
        raise ValueError(number)
    return number


def _raise_once() -> Callable[[], None]:
    """A handler like that of Ctrl-C, for one signal."""
    raised: list[bool] = []

    def handle() -> None:
        if not raised:
            raised.append(True)
            raise KeyboardInterrupt

    return handle


# ---------------------------------------------------------------------------------------------------------- cancelling


@pytest.mark.parametrize("role", ["source", "stage", "sink"])
@pytest.mark.parametrize("placing", MOST)
def test_another_thread_cancels_a_run_while_a_part_of_it_waits(placing: Placing, role: str, gate: Gate) -> None:
    def cancel() -> None:
        gate.wait_held()
        run.cancel()
        # No one can wake a thread from a call of its own.
        gate.release(3)

    with holding(placing, gate, role).open(grace=30) as run:
        with meanwhile(cancel), pytest.raises(RunCancelledError, match=f"cancel\\(\\) was called at {HERE}:") as caught:
            run.result()
        assert run.wait(0)
        assert run.status == "cancelled"
        with pytest.raises(RunCancelledError):
            run.result()
    assert caught.value.report.status == "cancelled"
    assert "in thread 'test_0'.\n" in str(caught.value)


@pytest.mark.parametrize("placing", MOST)
def test_another_thread_cancels_a_pipeline_while_a_loop_waits_for_an_item(placing: Placing, gate: Gate) -> None:
    def cancel() -> None:
        gate.wait_held()
        run.cancel()
        gate.release(3)

    held = Pipeline(source(held_source, gate), on=placing.source).then(stages.same, on=placing.stage)
    with held.open(grace=30) as run, meanwhile(cancel), pytest.raises(RunCancelledError, match="cancel"):
        list(run)
    assert run.status == "cancelled"


@pytest.mark.parametrize("placing", MOST)
def test_a_block_that_ends_after_a_cancel_raises_nothing(placing: Placing) -> None:
    endless = Pipeline(source(stages.endless), on=placing.source).then(stages.same, on=placing.stage)
    with endless.into(sink(stages.exhausted), on=placing.sink).open() as run:
        # Before the first item, and twice.
        run.cancel()
        run.cancel()
    assert (run.status, run.wait(0), run.report().value) == ("cancelled", True, None)
    assert repr(run) == "SinkRun(endless -> same -> exhausted, cancelled)"


def test_tasks_that_wait_are_cancelled_with_the_run(gate: Gate, journal: Journal) -> None:
    async def waits(_: int) -> None:
        try:
            gate.announce()
            await asyncio.get_running_loop().create_future()
        finally:
            journal.write("cleaned up")

    with Pipeline(range(3)).each(waits, on=Tasks(2)).open(grace=30) as run:
        gate.wait_held()
        gate.wait_held()
        run.cancel()
        with pytest.raises(RunCancelledError):
            run.result()
    assert journal.lines == ["cleaned up"] * 2


def test_the_error_names_the_first_call_that_has_cancelled_the_run() -> None:
    with Pipeline(source(stages.endless), on=Threads()).into(stages.exhausted, on=Threads()).open() as run:
        with meanwhile(run.cancel):
            pass
        run.cancel()
        with pytest.raises(RunCancelledError, match="in thread 'test_0'"):
            run.result()


@pytest.mark.parametrize("placing", MOST)
def test_a_cancel_after_the_end_changes_nothing(placing: Placing) -> None:
    numbers = Pipeline(source(stages.numbers, 4), on=placing.source).then(stages.same, on=placing.stage)
    with numbers.into(sink(stages.total), on=placing.sink).open() as run:
        assert run.wait(LIMIT)
        run.cancel()
        assert (run.status, run.result().value) == ("completed", 6)
    run.cancel()
    assert (run.status, run.result().value) == ("completed", 6)


@pytest.mark.parametrize("on", [Threads(), Inline()], ids=["threads", "inline"])
def test_a_stage_may_cancel_its_own_run(on: Executor) -> None:
    opened: list[SinkRun[None]] = []
    is_open = threading.Event()

    def cancels(_: int) -> None:
        is_open.wait(LIMIT)
        opened[0].cancel()

    with Pipeline(source(stages.endless), on=on).map(cancels, on=on).into(stages.exhausted, on=on).open() as run:
        opened.append(run)
        is_open.set()
        with pytest.raises(RunCancelledError, match="in thread 'chainpump "):
            run.result()


@pytest.mark.parametrize("on", [Threads(), Processes()], ids=["threads", "processes"])
def test_a_signal_handler_may_cancel_the_run_that_the_main_thread_waits_for(on: Executor, gate: Gate) -> None:
    with Pipeline(range(3)).map(gate.hold, on=Processes()).into(sink(stages.total), on=on).open() as run:
        gate.wait_held()
        with signalled(run.cancel), pytest.raises(RunCancelledError, match="in thread 'MainThread'"):
            run.result()


def test_a_cancelled_run_of_the_callers_own_thread_has_the_same_error() -> None:
    with Pipeline(source(stages.endless), on=Inline()).open() as run:
        items = iter(run)
        assert next(items) == 0
        run.cancel()
        with pytest.raises(RunCancelledError, match="cancel"):
            list(items)
        assert (run.status, run.wait(0)) == ("cancelled", True)


def test_a_task_that_is_cancelled_ends_a_run_without_any_channel(gate: Gate) -> None:
    def announced(number: int) -> int:
        if number == 0:
            gate.announce()
        return number

    async def cancel() -> None:
        numbers = Pipeline(source(stages.endless), on=Inline()).map(announced, on=Inline())
        running = asyncio.create_task(numbers.into(stages.exhausted, on=Inline()).run_async())
        await asyncio.to_thread(gate.wait_held)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(cancel())


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("on", [Threads(), Processes()], ids=["threads", "processes"])
def test_a_forked_process_is_refused_its_parents_open_run_and_the_run_goes_on(on: Executor, gate: Gate) -> None:
    with Pipeline(range(3)).map(gate.hold, on=on).into(sink(stages.total), on=on).open() as run:
        gate.wait_held()
        child = os.fork()
        if child == 0:
            refused = 0
            for call in (run.wait, run.result, run.cancel):
                with suppress(RunError):
                    call()
                    os._exit(1)
                refused += 1
            os._exit(0 if refused == 3 else 2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert run.status == "running"
        gate.release(3)
        assert run.result().value == 3


def test_a_run_of_a_runnable_has_no_items_and_one_of_a_pipeline_no_result() -> None:
    with Pipeline([1]).into(sum, on=Threads()).open() as summed, Pipeline([1]).open() as numbers:
        assert (type(summed), type(numbers)) == (SinkRun, Run)
        with pytest.raises(TypeError, match="'SinkRun' object is not iterable"):
            iter(summed)  # type: ignore[call-overload]
        assert not hasattr(numbers, "result")

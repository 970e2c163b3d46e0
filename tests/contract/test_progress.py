"""What is told of a run while it goes and at its end, on every executor: the counts of the ledger, and whole shares."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator
from functools import partial

import pytest

from chainpump import (
    DeadItem,
    DeadLetter,
    Inline,
    Pipeline,
    Processes,
    Progress,
    Report,
    Retry,
    Run,
    RunError,
    Skip,
    StageError,
    StageOptionError,
    StallError,
    Tasks,
    Threads,
    WorkerLostError,
    report_of,
    source,
    stage,
)
from contract import stages
from contract.placings import EVERYWHERE, MOST, Placing
from faults import deaths
from faults import stages as faults
from faults.places import on, places
from support.gate import Gate, Journal
from support.processes import until


def ledger(run: Run) -> list[tuple[str, int, int, int, int, int]]:
    """What the ledger of a run that is over says of each stage."""
    accounts = run._supervisor.accounts
    return [(each.stage, each.received, each.finished, each.sent, each.skipped, each.dead) for each in accounts]


def counts(report: Report) -> list[tuple[str, int, int, int, int, int]]:
    return [(each.stage, each.received, each.finished, each.sent, each.skipped, each.dead) for each in report.stages]


def shares(progress: Progress) -> list[float]:
    return [each.busy + each.starved + each.blocked for each in progress.stages]


@pytest.mark.parametrize("placing", EVERYWHERE)
def test_report_and_last_snapshot_have_the_counts_of_the_ledger(placing: Placing) -> None:
    pipeline = Pipeline(source(stages.numbers, 3_000), on=placing.source).then(stages.even, on=placing.stage)
    with pipeline.then(stages.increased, on=placing.stage).open() as run:
        assert sum(1 for _ in run) == 1_500
    report, last = run.report(), run.progress()
    assert counts(report) == ledger(run)
    assert [(each.stage, each.received, each.sent) for each in last.stages] == [
        (each.stage, each.received, each.sent) for each in report.stages
    ]
    assert (last.items, last.is_over, [each.alive for each in last.stages]) == (1_500, True, [0] * 4)


@pytest.mark.parametrize("placing", MOST)
def test_shares_of_the_time_add_up_to_one(placing: Placing) -> None:
    pipeline = Pipeline(source(stages.numbers, 3_000), on=placing.source).then(stages.increased, on=placing.stage)
    report = pipeline.into(stages.total, on=placing.sink).run()
    for each in report.stages:
        assert each.lived > 0
        assert min(each.busy, each.starved, each.blocked) >= 0
        assert each.lived <= report.duration * each.workers


@pytest.mark.parametrize("place", places("forkserver", "threads"))
def test_elements_that_were_left_out_or_tried_again_are_told(place: str) -> None:
    pipeline = Pipeline(range(100)).map(partial(bad_if, 7), on=on(place, 2), on_error=Retry(2, otherwise=Skip()))
    report = pipeline.into(sum, on=Threads()).run()
    assert (report.stages[1].skipped, report.stages[1].retried) == (14, 28)


def bad_if(divisor: int, item: int) -> int:
    if item % divisor == 3:
        raise ValueError(item)
    return item


async def later(item: int) -> int:
    await asyncio.sleep(0.001)
    return item


def test_tasks_are_told_like_workers() -> None:
    pipeline = Pipeline(range(200)).map(later, on=Tasks(20), name="fetch")
    with pipeline.open() as run:
        assert list(run)
    report = run.report()
    assert counts(report) == ledger(run)
    fetch = report.stages[1]
    assert (fetch.executor, fetch.workers) == ("Tasks(20)", 20)
    assert shares(run.progress()) == pytest.approx([1.0] * 3)


@pytest.mark.parametrize("place", places("forkserver", "fork", "threads"))
def test_a_run_is_seen_while_it_goes(place: str, gate: Gate) -> None:
    held = Pipeline(range(1_000)).then(stage(faults.held_at, gate, 0), on=on(place), name="decode")
    with held.open() as run:
        gate.wait_held()
        seen = run.progress()
        gate.release()
        assert sum(1 for _ in run) == 1_000
    assert (seen.is_over, seen.items, seen.length) == (False, 0, 1_000)
    assert seen.fraction is not None
    assert seen.fraction < 1
    _, decode, loop = seen.stages
    assert (decode.stage, decode.alive, decode.received, decode.sent) == ("decode", 1, decode.in_flight, 0)
    assert (decode.busy > 0, loop.executor) == (True, "caller")
    last = run.progress()
    assert (last.fraction, last.percent, last.left) == (1, 100, 0)
    assert f"<p>{last.line()}" in run._repr_html_(), "a notebook shows it, too"


@pytest.mark.parametrize("place", places("forkserver", "threads"))
def test_who_waits_is_seen_to_wait_while_it_does(place: str, gate: Gate) -> None:
    held = Pipeline(source(faults.held_at, range(10), gate, 0), on=on(place), name="load")
    with held.then(stages.increased, on=on(place)).open() as run:
        gate.wait_held()
        wait_until(run, lambda now: now.stages[1].starved > 0)
        first, second = run.progress(), run.progress()
        gate.release()
        assert list(run)
    assert second.stages[1].starved * second.elapsed > first.stages[1].starved * first.elapsed
    assert shares(second)[:2] == pytest.approx([1.0, 1.0])


def wait_until(run: Run, is_so: Callable[[Progress], bool]) -> None:
    """A worker that has started is about to wait: nobody but the board can tell when it does."""
    while not is_so(run.progress()):
        pass


@pytest.mark.parametrize(
    "items, length",
    [([1, 2, 3], 3), (range(4), 4), (iter([1, 2]), 2), ((n for n in range(3)), None), (stages.numbers(2), None)],
    ids=["list", "range", "iterator that knows", "generator", "generator of a function"],
)
def test_the_length_of_a_source_is_what_it_says(items: Iterable[int], length: int | None) -> None:
    with Pipeline(items).open() as run:
        assert run._supervisor.meter.length == length
        count = len(list(run))
    assert (run.progress().length, run.progress().fraction) == (count, 1), "at its end, its number of items is known"


def test_a_source_that_fails_to_say_its_length_is_read_all_the_same() -> None:
    class Odd:
        def __len__(self) -> int:
            raise OSError("gone")

        def __iter__(self) -> Iterator[int]:
            return iter(range(3))

    with Pipeline(Odd()).open() as run:
        assert list(run) == [0, 1, 2]
    assert run._supervisor.meter.length is None


@pytest.mark.parametrize("placing", MOST)
def test_an_observer_sees_the_end(placing: Placing) -> None:
    seen: list[Progress] = []
    pipeline = Pipeline(source(stages.numbers, 100), on=placing.source).then(stages.increased, on=placing.stage)
    report = pipeline.into(stages.total, on=placing.sink).run(observe=seen.append)
    assert (seen[-1].is_over, seen[-1].items) == (True, 100)
    assert [each.received for each in seen[-1].stages] == [each.received for each in report.stages]


@pytest.mark.parametrize("place", places("forkserver", "threads"))
def test_what_a_busy_stage_has_in_flight_is_seen_however_short_the_run_is(place: str, gate: Gate) -> None:
    held = Pipeline(range(10)).map(gate.hold, on=on(place), in_flight=1)
    with held.open(observe=lambda _: None) as run:
        gate.wait_held()
        # Nobody but the thread that looks on can tell when it does.
        while not run.report().stages[1].peak_in_flight:
            pass
        gate.release(10)
        assert len(list(run)) == 10
    assert [each.peak_in_flight for each in run.report().stages[:2]] == [None, 1]


def test_an_observer_sees_the_end_of_what_is_iterated_and_left() -> None:
    seen: list[Progress] = []
    with Pipeline(source(faults.count_for_ever), on=Threads()).open(observe=seen.append) as run:
        assert next(iter(run)) == 0
    assert seen[-1].is_over


def test_an_observer_that_raises_does_not_end_the_run() -> None:
    def broken(_: Progress) -> None:
        raise ValueError("no screen")

    with pytest.warns(RuntimeWarning, match=r"raised ValueError: no screen"):
        report = Pipeline(range(10)).into(sum, on=Threads()).run(observe=broken)
    assert report.value == 45


@pytest.mark.parametrize("observe", [3, "print", []])
def test_what_cannot_be_called_cannot_observe(observe: object) -> None:
    with pytest.raises(StageOptionError, match=r"^observe must be a function of a Progress but got: "):
        Pipeline(range(3)).into(sum).run(observe=observe)  # type: ignore[arg-type]  # that is the point


@pytest.mark.parametrize("place", places("forkserver", "threads", "inline"))
def test_an_error_has_the_report_of_the_run(place: str) -> None:
    failing = Pipeline(range(100)).map(partial(bad_if, 100), on=on(place), name="decode")
    with pytest.raises(RunError) as caught:
        failing.into(sum, on=on(place)).run()
    report = caught.value.report
    assert [each.stage for each in report.stages] == ["range", "decode", "sum"]
    assert (report.value, report.status) == (None, "failed")
    assert report.error == f"StageError: {caught.value}"
    assert json.loads(report.to_json())["stages"][1]["role"] == "stage"


@pytest.mark.parametrize("place", places("forkserver", "threads", "inline"))
def test_the_exception_of_a_sink_has_the_report_too(place: str) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        Pipeline(range(10)).into(failing_sink, on=on(place)).run()
    report = caught.value.report  # type: ignore[attr-defined]  # it was added
    assert (report.stages[0].stage, report.status) == ("range", "failed")
    assert report.error.startswith("StageError: sink 'failing_sink' (worker 1 of 1, pid ")


@pytest.mark.parametrize("place", places("forkserver", "threads"))
def test_a_report_says_whether_the_run_goes_on_and_how_it_has_ended(place: str, gate: Gate) -> None:
    held = Pipeline(range(10)).then(stage(faults.held_at, gate, 0), on=on(place))
    with held.open() as run:
        gate.wait_held()
        going = run.report()
        gate.release()
        assert sum(1 for _ in run) == 10
    ended = run.report()
    assert [(each.status, each.error) for each in (going, ended)] == [("running", None), ("completed", None)]


@pytest.mark.parametrize("place", places("forkserver", "threads", "inline"))
def test_the_report_of_a_run_that_was_left_calls_it_cancelled(place: str) -> None:
    with Pipeline(source(faults.count_for_ever), on=on(place)).open() as run:
        assert next(iter(run)) == 0
    assert (run.report().status, run.report().error) == ("cancelled", None)


def test_the_report_of_a_run_that_ctrl_c_ends_in_a_stage_calls_it_cancelled() -> None:
    with pytest.raises(KeyboardInterrupt) as caught:
        Pipeline(range(10)).map(interrupted, on=Inline()).into(sum, on=Inline()).run()
    report = report_of(caught.value)
    assert report is not None
    assert (report.status, report.error) == ("cancelled", None)


def test_a_failed_run_tells_how_many_dead_letters_its_report_has() -> None:
    odd = Pipeline(range(10)).map(partial(bad_if, 5), on=Threads(), on_error=DeadLetter(), name="odd")
    with pytest.raises(ValueError, match="9") as caught:
        odd.into(last, on=Threads()).run()
    report = report_of(caught.value)
    assert report is not None
    assert [letter.item for letter in report.dead_letters] == [3, 8]
    note = caught.value.__notes__[-1]
    assert note.startswith("range → odd → last: failed after")
    assert note.endswith("2 dead letters. chainpump.report_of(error) is the report, with its dead letters.")


def last(numbers: Iterable[int]) -> None:
    *_, number = numbers
    raise ValueError(number)


def test_an_exception_of_no_run_has_no_report_and_one_on_the_way_has_that_of_the_run() -> None:
    first, second = KeyboardInterrupt(), KeyboardInterrupt()
    first.__context__, second.__context__ = second, first
    assert report_of(first) is None
    second.report = Report(None, (), 0.0)  # type: ignore[attr-defined]  # as a run does
    assert report_of(first) is second.report  # type: ignore[attr-defined]


def interrupted(_: int) -> int:
    # As the handler of SIGINT does.
    raise KeyboardInterrupt


def test_a_run_that_is_cancelled_since_nobody_takes_its_dead_letters_has_failed(gate: Gate) -> None:
    def refuse(_: DeadItem) -> None:
        raise OSError("it is full")

    held = Pipeline(source(faults.held_at, range(10), gate, 0), on=Threads())
    with held.map(partial(bad_if, 7), on=Threads(), on_error=DeadLetter(to=refuse)).open() as run:
        gate.wait_held()
        gate.release()
        with pytest.raises(StageError) as caught:
            list(run)
    assert (caught.value.report.status, caught.value.report.error) == ("failed", f"StageError: {caught.value}")


def failing_sink(items: Iterable[int]) -> float:
    return sum(items) / 0


def test_a_worker_that_died_while_it_waited_waits_no_longer(gate: Gate) -> None:
    held = Pipeline(source(faults.held_at, range(10), gate, 0), on=Processes(), name="load")
    with held.then(stages.increased, on=Processes(), name="add").open() as run:
        gate.wait_held()
        wait_until(run, lambda now: now.stages[1].starved > 0)
        worker = run._wiring.slots[1][0].worker
        assert worker is not None
        worker.handle.strike()
        with pytest.raises(WorkerLostError) as lost:
            list(run)
    report, again = run.report(), run.report()
    assert (report.status, report.error) == ("failed", f"WorkerLostError: {lost.value}")
    assert report.stages[1].starved == again.stages[1].starved > 0
    assert report.stages[1].lived <= report.duration


def test_those_who_took_the_place_of_others_are_counted_and_their_times_added(journal: Journal) -> None:
    dying = partial(deaths.doubled, [3, 7], faults.sigkill, journal, 1)
    report = Pipeline(range(20)).map(dying, on=Processes(restarts=2)).into(sum, on=Threads()).run()
    renewed = report.stages[1]
    assert (renewed.restarts, renewed.received, report.value) == (2, 20, 380)
    assert 0 < renewed.lived <= report.duration


def test_a_stall_tells_how_everybody_was(gate: Gate) -> None:
    held = Pipeline(source(faults.held_at, range(10), gate, 3), name="load")
    with pytest.raises(StallError) as caught:
        # A worker has started by then.
        held.into(sum, on=Threads()).run(stall_timeout=3.0)
    progress = caught.value.progress
    assert (progress.is_over, progress.stages[0].alive, progress.stages[1].received) == (False, 1, 3)


def test_a_stall_right_after_the_start_does_not_get_the_time_for_a_start(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Seconds. A supervisor that slept for so long would not come back.
    monkeypatch.setattr("chainpump.engine.stalls.START_UP", 1e6)
    held = Pipeline(source(faults.held_at, range(10), gate, 0), name="load")
    with pytest.raises(StallError, match=r"no item moved for 0\.5 s; source 'load' "):
        held.into(sum, on=Threads()).run(stall_timeout=0.5)


def test_a_run_in_one_thread_has_no_bottleneck() -> None:
    report = Pipeline(range(10)).map(abs, on=Inline()).into(sum, on=Inline()).run()
    assert (report.bottleneck, report.advice) == (None, "")


async def held_at_once(gate: Gate, item: int) -> int:
    gate.announce()
    await asyncio.to_thread(gate.wait_released)
    return item


@pytest.mark.parametrize("in_flight", [None, 4])
def test_items_in_flight_of_tasks_are_all_that_run(gate: Gate, in_flight: int | None) -> None:
    most = 4 if in_flight else 8
    held = Pipeline(range(8)).map(partial(held_at_once, gate), on=Tasks(4), in_flight=in_flight)
    with held.open(observe=lambda _: None) as run:
        for _ in range(4):
            gate.wait_held()
        held_now = run.progress().stages[1]
        assert 4 <= held_now.in_flight <= most
        assert held_now.in_flight == held_now.received
        observing = run._observing
        assert observing is not None
        until(lambda: (observing.peaks[1] or 0) >= 4, "a look at the tasks")
        gate.release(8)
        assert list(run) == list(range(8))
    assert 4 <= (run.report().stages[1].peak_in_flight or 0) <= most

"""Joined pipelines: `concat` and `merge` give all items of their parts, and end, fail and clean up as one pipeline."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from chainpump import (
    Cancelled,
    DeadLetter,
    Inline,
    Pipeline,
    Processes,
    RunError,
    StageError,
    StageOptionError,
    StageStoppedError,
    StageTypeError,
    Tasks,
    Threads,
    WorkerLostError,
    source,
    stage,
)
from contract import stages
from contract.placings import MOST, WITH_WORKERS, Placing
from contract.stages import Bad
from support.cases import in_turns
from support.gate import Gate, Journal
from support.processes import descendants, gone, press_ctrl_c, watching
from support.threads import meanwhile

Way = Callable[..., Pipeline[Any]]

CONCAT, MERGE = pytest.param(Pipeline.concat, id="concat"), pytest.param(Pipeline.merge, id="merge")
WAYS = pytest.mark.parametrize("way", [CONCAT, MERGE])
RUNNABLE = """joins pipelines but got: Runnable(list -> sum).
  Join the pipelines before their sinks: Pipeline.{way}(a, b).into(...)."""
ENDS = [pytest.param(Processes(), id="processes"), pytest.param(Inline(), id="inline")]


def numbers(n: int, placing: Placing, start: int = 0) -> Pipeline[int]:
    return Pipeline(source(stages.numbers, n), on=placing.source).then(stage(shifted, start), on=placing.stage)


def shifted(values: Iterable[int], start: int) -> Iterator[int]:
    for value in values:
        yield start + value


def noting(values: Iterable[int], gate: Gate, journal: Journal) -> Iterator[int]:
    try:
        yield from gate.hold_at(values, 1)
    finally:
        journal.write("cleaned up")


def stubborn(values: Iterable[int], gate: Gate) -> Iterator[int]:
    """It does not let itself be cancelled."""
    while True:
        try:
            yield from gate.hold_each(values)
        except Cancelled:
            pass


async def awaited(value: int) -> int:
    await asyncio.sleep(0)
    return value + 1


# ---------------------------------------------------------------------------------------------------- same items


@pytest.mark.parametrize("placing", MOST)
def test_concat_gives_the_items_of_one_after_the_other(placing: Placing) -> None:
    joined = Pipeline.concat(numbers(2_000, placing), numbers(0, placing), numbers(500, placing, 2_000))
    assert list(joined) == list(range(2_500)) == list(joined.inline())


@pytest.mark.parametrize("placing", MOST)
def test_merge_gives_all_items_and_those_of_each_part_in_their_order(placing: Placing) -> None:
    joined = Pipeline.merge(numbers(2_000, placing), numbers(0, placing), numbers(500, placing, 2_000))
    items = list(joined)
    assert [item for item in items if item < 2_000] == list(range(2_000))
    assert [item for item in items if item >= 2_000] == list(range(2_000, 2_500))
    assert Counter(joined.inline()) == Counter(items)


@in_turns
@WAYS
@pytest.mark.parametrize("placing", MOST)
def test_stages_and_a_sink_follow_joined_pipelines(way: Way, placing: Placing) -> None:
    joined = way(numbers(300, placing), Pipeline(range(300, 500))).then(stages.increased, on=placing.stage)
    value = joined.into(stages.listed, on=placing.sink).run().value
    assert sorted(value) == list(range(1, 501))


@in_turns
@WAYS
@pytest.mark.parametrize("placing", MOST)
def test_joined_pipelines_run_again_and_twice_at_once(way: Way, placing: Placing) -> None:
    joined = way(numbers(20, placing), numbers(20, placing, 20))
    assert Counter(joined) == Counter(joined) == Counter(range(40))
    pairs = list(zip(joined, joined, strict=True))
    assert Counter(pair[0] for pair in pairs) == Counter(pair[1] for pair in pairs) == Counter(range(40))


def test_joined_pipelines_are_joined_again() -> None:
    inner = Pipeline.merge(Pipeline(range(3)), Pipeline(source(stages.numbers, 3), on=Processes()))
    outer = Pipeline.concat(inner, Pipeline.concat(Pipeline(range(7, 9)), Pipeline([9])))
    items = list(outer)
    assert (sorted(items[:6]), items[6:]) == ([0, 0, 1, 1, 2, 2], [7, 8, 9])
    assert list(outer.inline()) == [0, 0, 1, 1, 2, 2, 7, 8, 9]


@WAYS
def test_one_pipeline_alone_can_be_joined(way: Way) -> None:
    assert list(way(Pipeline(range(3)))) == [0, 1, 2]


@WAYS
def test_ordered_stages_after_joined_pipelines_keep_their_order(way: Way) -> None:
    joined = way(Pipeline(range(400)), Pipeline(range(400, 800))).map(str, on=Threads(3)).map(int, on=Processes(2))
    items = list(joined)
    assert [item for item in items if item < 400] == list(range(400))
    assert sorted(items) == list(range(800))


def test_parts_with_async_functions_are_merged() -> None:
    asynchronous = Pipeline(range(5)).map(awaited, on=Tasks(3))
    assert sorted(Pipeline.merge(asynchronous, asynchronous)) == sorted([1, 2, 3, 4, 5] * 2)
    assert list(Pipeline.merge(asynchronous, asynchronous).inline()) == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]


@WAYS
def test_joined_pipelines_are_iterated_in_an_event_loop(way: Way) -> None:
    async def items() -> list[int]:
        return [item async for item in way(Pipeline(range(3)), Pipeline(source(stages.numbers, 3)))]

    assert sorted(asyncio.run(items())) == [0, 0, 1, 1, 2, 2]


def test_merge_does_not_wait_for_the_slower_part(gate: Gate) -> None:
    held = Pipeline(range(3)).then(gate.hold_each, on=Processes())
    with Pipeline.merge(held, Pipeline(range(10, 13))).open() as run:
        items = iter(run)
        assert [next(items), next(items), next(items)] == [10, 11, 12]
        gate.wait_held()
        gate.release(3)
        assert list(items) == [0, 1, 2]


def test_concat_starts_a_part_when_the_one_before_has_ended(gate: Gate, journal: Journal) -> None:
    first = Pipeline(range(2)).then(stage(gate.hold_at, 1), on=Processes())
    second = Pipeline(source(stages.journalled_numbers, 2, journal), on=Processes())
    with Pipeline.concat(first, second).open() as run:
        items = iter(run)
        assert next(items) == 0
        gate.wait_held()
        assert journal.lines == []
        gate.release()
        assert list(items) == [1, 0, 1]
    assert journal.lines == ["made 0", "made 1"]


# ---------------------------------------------------------------------------------------------------- as a value


@pytest.mark.parametrize(
    "joined,text",
    [
        (Pipeline.concat(Pipeline(range(3)), Pipeline([], name="lines")), "Pipeline(concat(range, lines))"),
        (Pipeline.merge(Pipeline([1]).map(str), Pipeline([2])), "Pipeline(merge(list -> str, list))"),
        (Pipeline.merge(Pipeline([1]), name="all").map(str), "Pipeline(all -> str)"),
    ],
)
def test_repr_names_what_is_joined(joined: Pipeline[Any], text: str) -> None:
    assert repr(joined) == text


def test_plan_shows_what_is_joined_and_its_element_type() -> None:
    joined = Pipeline.concat(Pipeline(range(3)), Pipeline(source(stages.numbers, 3)).map(str))
    assert re.search(
        r"concat\(range, numbers -> str\) +source +Inline\(\) +by bytes +kept +int \| str", str(joined.plan())
    )


def test_element_type_is_unknown_where_that_of_a_part_is() -> None:
    joined = Pipeline.concat(Pipeline(range(3)), Pipeline([1]))
    assert joined.plan().stages[0].yields_text == "?" == Pipeline([1]).plan().stages[0].yields_text


def test_a_stage_that_does_not_fit_one_of_the_parts_is_refused() -> None:
    joined = Pipeline.concat(Pipeline(range(3)), Pipeline(range(3)).map(str))
    with pytest.raises(StageTypeError, match=r"^stage 'increased' cannot follow 'concat\(range, range -> str\)':"):
        joined.then(stages.increased)  # type: ignore[arg-type]  # what the test is about


@WAYS
@pytest.mark.parametrize(
    "parts,text",
    [
        ([], "joins pipelines, but got none."),
        ([[1]], "joins pipelines but got: [1].\n  Make it one: Pipeline(iterable), or Pipeline(source(fn, ...))."),
        (
            [[Pipeline([1])]],
            "joins pipelines but got: [Pipeline(list)].\n  Give them one by one: Pipeline.{way}(*pipelines).",
        ),
        ([Pipeline([1]), Pipeline([1]).into(sum)], RUNNABLE),
    ],
    ids=["nothing", "list", "list of pipelines", "runnable"],
)
def test_what_is_no_pipeline_is_refused(way: Way, parts: list[Any], text: str) -> None:
    with pytest.raises(StageTypeError) as caught:
        way(*parts)
    assert str(caught.value) == f"Pipeline.{way.__name__}(...) " + text.format(way=way.__name__)


@WAYS
def test_iterator_that_was_used_up_is_refused_before_any_part_starts(way: Way, journal: Journal) -> None:
    used = Pipeline(iter([1, 2]), name="used")
    joined = way(Pipeline(source(stages.journalled_numbers, 1, journal), on=Inline()), used)
    assert sorted(joined) == [0, 1, 2]
    for again in (joined, joined.inline(), way(used), way(Pipeline(iter([1])), used).into(sum)):
        with pytest.raises(StageOptionError, match=r"^this pipeline reads 'used', an iterator that an earlier run has"):
            again.run() if hasattr(again, "run") else again.open()  # type: ignore[union-attr]
    assert journal.lines == ["made 0"]


@WAYS
def test_executor_of_a_run_places_the_stages_of_the_parts(way: Way) -> None:
    joined = way(Pipeline([0]).map(lambda _: os.getpid()), Pipeline([0]).map(lambda _: -os.getpid(), on=Inline()))
    assert sorted(joined.into(list, on=Inline()).run(on=Threads(2)).value) == [-os.getpid(), os.getpid()]
    assert os.getpid() not in set(joined)


@WAYS
def test_inline_runs_every_part_in_this_thread(way: Way) -> None:
    part = Pipeline(range(2)).map(lambda _: threading.get_ident(), on=Threads())
    assert set(way(part, part).inline()) == {threading.get_ident()}
    assert threading.get_ident() not in set(way(part, part))


def test_merge_inline_takes_an_item_of_each_part_in_turn() -> None:
    assert "".join(Pipeline.merge(*map(Pipeline, (list("ad"), list("b"), list("cef")))).inline()) == "abcdef"


@in_turns
@WAYS
@pytest.mark.parametrize("placing", WITH_WORKERS)
def test_dead_letters_of_the_parts_are_in_the_report(way: Way, placing: Placing) -> None:
    part = Pipeline(["1", "x"]).map(int, on=placing.stage, on_error=DeadLetter())
    report = way(part, way(part)).into(sum, on=placing.sink).run()
    assert (report.value, [letter.item for letter in report.dead_letters]) == (2, ["x", "x"])


# --------------------------------------------------------------------------------------------------------- blame


@in_turns
@WAYS
@pytest.mark.parametrize("placing", MOST)
def test_failure_in_a_part_is_the_failure_of_the_run(way: Way, placing: Placing) -> None:
    failing = Pipeline(source(stages.numbers, 10), on=placing.source).then(
        stage(stages.raising_stage, 3), on=placing.stage
    )
    joined = way(Pipeline([7]), failing)
    followed = joined.then(stages.same, on=placing.stage)
    for pipeline in (joined, followed, joined.inline(), way(joined, name="outer")):
        with pytest.raises(
            StageError, match=r"^stage 'raising_stage' \(worker 1 of 1, pid \d+\) raised Bad on item 3:\n  cannot take"
        ) as caught:
            list(pipeline)
        error = caught.value
        assert (error.stage, error.worker, error.failures[0].index) == ("raising_stage", 1, 3)
        assert [failure.stage for failure in error.failures] == ["raising_stage"]
        assert isinstance(error.__cause__, Bad)
        notes = getattr(error.__cause__, "__notes__", [])
        in_a_process = error.failures[0].pid != os.getpid()
        assert [note.partition(" (pid")[0] for note in notes] == ["The worker's traceback"] * in_a_process


@WAYS
def test_each_kind_of_failure_in_a_part_is_raised_as_what_it_is(way: Way) -> None:
    early = Pipeline(range(10)).then(stage(stages.first, 2), on=Threads())
    with pytest.raises(StageStoppedError, match=r"^stage 'first' returned after 2 items while its input had more\."):
        way(early).then(stages.same, on=Threads()).into(stages.listed, on=Processes()).run()


@WAYS
def test_worker_of_a_part_that_dies_is_named(way: Way, gate: Gate) -> None:
    joined = way(Pipeline(range(2)).then(gate.hold_each, on=Processes()), Pipeline(range(2)))
    with joined.then(stages.same, on=Threads()).open() as run:
        pid = gate.wait_held()
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(
            WorkerLostError, match=rf"^stage 'hold_each' lost worker 1 of 1 \(pid {pid}\): killed by SIGKILL"
        ):
            list(run)


@WAYS
def test_failure_behind_joined_pipelines_is_not_blamed_on_them(way: Way) -> None:
    joined = way(Pipeline(range(5)), Pipeline(range(5))).then(stage(stages.raising_stage, 3), on=Inline())
    with pytest.raises(StageError, match=r"^stage 'raising_stage' .* raised Bad on item \d:\n"):
        list(joined)


def test_part_does_not_start_after_one_that_failed(journal: Journal) -> None:
    second = Pipeline(source(stages.journalled_numbers, 2, journal), on=Threads())
    with pytest.raises(StageError, match=r"^source 'raising_source' "):
        list(Pipeline.concat(Pipeline(source(stages.raising_source, 2), on=Processes()), second))
    assert journal.lines == []


# ----------------------------------------------------------------------------------------------- ending with one


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("on", [Processes(), Threads()], ids=repr)
def test_failure_of_one_part_ends_another_that_waits_for_ever(
    gate: Gate, on: Processes | Threads, end: Processes | Inline
) -> None:
    held = Pipeline(range(3)).then(gate.hold_each, on=on)
    failing = Pipeline(source(stages.raising_source, 2), on=Processes())
    with pytest.raises(StageError, match=r"^source 'raising_source' \(worker 1 of 1, pid \d+\) raised Bad:"):
        list(Pipeline.merge(held, failing).then(stages.same, on=end))
    # A thread is left behind: let it go.
    gate.release(3)


@pytest.mark.parametrize("end", ENDS)
def test_failure_of_one_part_ends_another_that_reads_for_ever_in_this_process(
    gate: Gate, end: Processes | Inline
) -> None:
    failing = Pipeline(source(stages.raising_source, 2), on=Processes())
    with pytest.raises(StageError, match=r"^source 'raising_source' "):
        list(Pipeline.merge(Pipeline(gate.hold_each(range(3))), failing).then(stages.same, on=end))
    gate.release(3)


@WAYS
@pytest.mark.parametrize("end", ENDS)
def test_taking_enough_ends_a_part_that_waits_for_ever(way: Way, gate: Gate, end: Processes | Inline) -> None:
    joined = way(Pipeline(range(2)), Pipeline(range(3)).then(gate.hold_each, on=Processes())).take(2, on=end)
    with joined.open() as run:
        assert list(run) == [0, 1]


@in_turns
@WAYS
@pytest.mark.parametrize("placing", MOST)
def test_taking_enough_ends_parts_without_an_end(way: Way, placing: Placing) -> None:
    endless = Pipeline(source(stages.endless), on=placing.source).then(stages.increased, on=placing.stage)
    joined = way(endless, endless).take(3, on=placing.sink)
    assert len(list(joined)) == len(list(joined.inline())) == 3
    assert joined.into(stages.listed, on=placing.sink).run().value[0] == 1


@pytest.mark.parametrize("apart", [True, False], ids=["in a feeder", "in the caller's thread"])
@WAYS
def test_leaving_the_loop_ends_all_parts(way: Way, gate: Gate, second_gate: Gate, apart: bool) -> None:
    joined = way(
        Pipeline(range(3)).then(stage(gate.hold_at, 1), on=Processes()),
        Pipeline(range(3)).then(stage(second_gate.hold_at, 1), on=Processes()),
    )
    ends: list[int] = []
    with ExitStack() as stack:
        for _ in joined.then(stages.same, on=Threads()) if apart else joined:
            pids = [gate.wait_held(), *([second_gate.wait_held()] if way is Pipeline.merge else [])]
            ends = stack.enter_context(watching(pids))
            break
        assert ends
        assert gone(ends)


@pytest.mark.parametrize("apart", [True, False], ids=["in a feeder", "in the caller's thread"])
@WAYS
def test_half_read_iterator_that_is_dropped_ends_all_parts_after_their_clean_up(
    way: Way, gate: Gate, journal: Journal, apart: bool
) -> None:
    joined = way(Pipeline(range(3)).then(stage(noting, gate, journal), on=Processes()), Pipeline([]))
    items = iter(joined.then(stages.same, on=Threads()) if apart else joined)
    assert next(items) == 0
    gate.wait_held()
    del items
    assert descendants() == set()
    assert journal.lines == ["cleaned up"]


@pytest.mark.parametrize("apart", [True, False], ids=["in a feeder", "in the caller's thread"])
@WAYS
def test_part_that_ignores_that_it_is_cancelled_is_killed_after_the_grace(way: Way, gate: Gate, apart: bool) -> None:
    joined = way(way(Pipeline(range(3)).then(stage(stubborn, gate), on=Processes())))
    # The part is killed after the grace. The outer run waits one grace more, which a busy machine needs.
    with (joined.then(stages.same, on=Threads()) if apart else joined).open(grace=1.0) as run:
        items = iter(run)
        gate.release()
        assert next(items) == 0
        # It is at the second item.
        assert gate.wait_held() == gate.wait_held()
    assert descendants() == set()


@WAYS
@pytest.mark.parametrize("end", ENDS)
def test_failure_behind_joined_pipelines_ends_a_part_that_waits_for_ever(
    way: Way, gate: Gate, end: Processes | Inline
) -> None:
    joined = way(Pipeline(range(1)), Pipeline(range(3)).then(gate.hold_each, on=Processes()))
    with pytest.raises(StageError, match=r"^stage 'raising_stage' .* raised Bad on item 0:\n"):
        list(joined.then(stage(stages.raising_stage, 0), on=end))


@WAYS
@pytest.mark.parametrize("apart", [True, False], ids=["in a feeder", "in the caller's thread"])
def test_cancelling_from_another_thread_wakes_who_waits_for_a_part(way: Way, gate: Gate, apart: bool) -> None:
    joined = way(Pipeline(range(3)).then(gate.hold_each, on=Processes()))
    pipeline = joined.then(stages.same, on=Threads()) if apart else joined

    def iterate(run: Any) -> str:
        with pytest.raises(RunError) as caught:
            list(run)
        return str(caught.value)

    with pipeline.open(grace=30) as run, meanwhile(lambda: iterate(run)) as said:
        gate.wait_held()
        run.cancel()
    assert said.result().startswith("the run was cancelled: cancel() was called at ")


@WAYS
def test_task_that_is_cancelled_ends_all_parts(way: Way, gate: Gate) -> None:
    joined = way(Pipeline(range(3)).then(gate.hold_each, on=Processes()))

    async def main() -> None:
        task = asyncio.create_task(joined.into(stages.listed, on=Inline()).run_async())
        await asyncio.to_thread(gate.wait_held)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


@WAYS
@pytest.mark.parametrize("end", ENDS)
def test_sink_behind_a_failed_part_never_sees_an_end(way: Way, journal: Journal, end: Processes | Inline) -> None:
    joined = way(Pipeline(source(stages.raising_source, 2), on=Threads()))

    def committing(values: Iterable[int]) -> None:
        for _ in values:
            pass
        journal.write("committed")

    with pytest.raises(StageError, match=r"^source 'raising_source' "):
        joined.into(committing, on=end).run()
    assert journal.lines == []


@WAYS
@pytest.mark.parametrize("on", [Processes(), Threads()], ids=repr)
def test_ctrl_c_ends_all_parts(way: Way, gate: Gate, on: Processes | Threads) -> None:
    joined = way(Pipeline(range(3)).then(gate.hold_each, on=Processes()))

    def press() -> None:
        gate.wait_held()
        press_ctrl_c(os.getpid())

    for pipeline in (joined, joined.then(stages.same, on=on), joined.inline().take(0, on=on)):
        if "take" in repr(pipeline):
            assert list(pipeline) == []
            continue
        with meanwhile(press), pytest.raises(KeyboardInterrupt):
            list(pipeline)

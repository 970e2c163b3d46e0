"""Every executor, alone and in mixtures, gives the same items, the same values and the same blame as Inline."""

from __future__ import annotations

import re
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from chainpump import (
    Executor,
    Inline,
    Pipeline,
    RunError,
    Runnable,
    StageError,
    StageStoppedError,
    Threads,
    UnpicklableItemError,
    sink,
    source,
    stage,
)
from contract import stages
from contract.placings import EVERYWHERE, MOST, WITH_WORKERS, Placing
from contract.stages import Bad
from support.cases import in_turns
from support.gate import Journal

# ---------------------------------------------------------------------------------------------------- same items


@pytest.mark.parametrize("placing", EVERYWHERE)
def test_items_arrive_once_and_in_order(placing: Placing) -> None:
    pipeline = Pipeline(source(stages.numbers, 3_000), on=placing.source).then(stages.increased, on=placing.stage)
    assert list(pipeline) == list(range(1, 3_001))


@in_turns
@pytest.mark.parametrize("placing", MOST)
@pytest.mark.parametrize(
    "chain",
    [
        pytest.param([stages.even, stages.repeated], id="fewer and more"),
        pytest.param([stages.paired], id="grouped"),
        pytest.param([stages.summed, stages.increased, stages.summed], id="with a memory"),
        pytest.param([stages.counted_at_the_end], id="one at the end"),
        pytest.param([stages.in_a_list], id="all at once"),
        pytest.param([stages.nothing, stages.summed], id="none"),
    ],
)
def test_stages_of_any_shape_give_what_they_give_inline(
    placing: Placing, chain: Sequence[Callable[[Iterable[int]], Iterable[Any]]]
) -> None:
    pipeline: Pipeline[Any] = Pipeline(source(stages.numbers, 500), on=placing.source)
    for each in chain:
        pipeline = pipeline.then(each, on=placing.stage)
    assert pipeline.into(stages.listed, on=placing.sink).run().value == list(pipeline.inline())


@pytest.mark.parametrize("placing", MOST)
def test_items_may_be_anything(placing: Placing) -> None:
    pipeline = Pipeline(source(stages.things, 50), on=placing.source).then(stages.same, on=placing.stage)
    assert list(map(repr, pipeline)) == list(map(repr, stages.things(50)))


@pytest.mark.parametrize("placing", MOST)
def test_the_name_of_a_process_is_a_string_like_any_other(placing: Placing) -> None:
    """On its way to a worker it is one that turns who reads it deaf to Ctrl-C."""
    before = signal.getsignal(signal.SIGINT)
    (name,) = Pipeline(source(stages.name_of_process), on=placing.source)
    assert name in {"chainpump-name_of_process-1", "MainProcess"}
    assert signal.getsignal(signal.SIGINT) is before


# Between threads items pass by reference, as `Threads` says: there the list would be seen as it became.
@pytest.mark.parametrize("placing", [each for each in MOST if each.values[0].stage != Threads()])
def test_an_item_is_what_it_was_when_it_was_yielded(placing: Placing) -> None:
    pipeline = Pipeline(source(stages.numbers, 500), on=placing.source).then(stages.growing, on=placing.stage)
    values = pipeline.then(stages.lengths, on=placing.stage).into(stages.listed, on=placing.sink).run().value
    assert values == list(range(1, 501))


@pytest.mark.parametrize("placing", [each for each in MOST if each.values[0].stage == Threads()])
def test_between_threads_one_item_in_flight_is_what_it_was_when_it_was_yielded(placing: Placing) -> None:
    pipeline = Pipeline(source(stages.numbers, 500), on=placing.source).then(stages.growing, on=placing.stage)
    pipeline = pipeline.then(stages.lengths, on=placing.stage, in_flight=1)
    assert pipeline.into(stages.listed, on=placing.sink).run().value == list(range(1, 501))


@pytest.mark.parametrize("placing", MOST)
def test_large_arrays_arrive_whole(placing: Placing) -> None:
    pipeline = Pipeline(source(stages.arrays, 10), on=placing.source).then(stages.same, on=placing.stage)
    assert pipeline.into(stages.weighed, on=placing.sink).run().value == stages.weighed(stages.arrays(10))


@pytest.mark.parametrize("placing", EVERYWHERE)
def test_functions_of_a_notebook_run_everywhere(placing: Placing) -> None:
    factor = 3

    def scaled(values: Iterable[int]) -> Iterator[int]:
        yield from (factor * value for value in values)

    pipeline = Pipeline(source(stages.numbers, 5), on=placing.source).then(scaled, on=placing.stage)
    assert pipeline.into(lambda values: list(values), on=placing.sink).run().value == [0, 3, 6, 9, 12]  # noqa: PLW0108


@pytest.mark.parametrize("placing", MOST)
def test_an_iterable_of_the_main_process_is_a_source(placing: Placing) -> None:
    pipeline = Pipeline(range(100)).then(stages.increased, on=placing.stage)
    assert pipeline.into(stages.total, on=placing.sink).run().value == 5_050


@pytest.mark.parametrize("kind", [int, str])
@pytest.mark.parametrize("placing", MOST)
def test_an_iterator_that_has_ended_is_not_asked_again(placing: Placing, kind: type) -> None:
    items = Pipeline(source(stages.ending_once, 100, kind), on=placing.source)
    expected = list(map(kind, range(100)))
    assert list(items) == expected
    # These run in the worker of the source.
    assert [item for batch in items.batch(7) for item in batch] == expected
    assert list(items.batch(7).unbatch()) == expected


@in_turns
@pytest.mark.parametrize("workers", [2, 3])
@pytest.mark.parametrize("placing", WITH_WORKERS)
def test_several_workers_share_the_items(placing: Placing, workers: int) -> None:
    on: Executor = replace(placing.stage, workers=workers)  # type: ignore[type-var]  # executors are frozen values
    pipeline = Pipeline(source(stages.numbers, 2_000), on=placing.source).then(stages.repeated, on=on)
    pipeline = pipeline.then(stages.increased, on=on)
    assert Counter(pipeline) == Counter(pipeline.inline())


@pytest.mark.parametrize("placing", MOST)
def test_the_same_pipeline_runs_again(placing: Placing) -> None:
    pipeline = Pipeline(source(stages.numbers, 20), on=placing.source).then(stages.summed, on=placing.stage)
    assert list(pipeline) == list(pipeline) == list(pipeline.inline())


# --------------------------------------------------------------------------------------------------- same values


@in_turns
@pytest.mark.parametrize("placing", EVERYWHERE)
@pytest.mark.parametrize(
    "end,value",
    [(stages.total, 45), (stages.exhausted, None), (stages.listed, list(range(10))), (sum, 45)],
    ids=["int", "none", "list", "builtin"],
)
def test_the_value_of_a_run_is_what_its_sink_returned(
    placing: Placing, end: Callable[[Iterable[int]], object], value: object
) -> None:
    pipeline = Pipeline(source(stages.numbers, 10), on=placing.source)
    assert pipeline.into(end, on=placing.sink).run().value == value


@pytest.mark.parametrize("placing", WITH_WORKERS)
def test_several_sinks_give_the_list_of_what_each_returned(placing: Placing) -> None:
    on: Executor = replace(placing.sink, workers=3)  # type: ignore[type-var]  # executors are frozen values
    values = Pipeline(source(stages.numbers, 1_000), on=placing.source).into(stages.listed, on=on).run().value
    assert len(values) == 3
    assert sorted(number for part in values for number in part) == list(range(1_000))


@pytest.mark.parametrize("placing", MOST)
def test_the_report_counts_every_item(placing: Placing) -> None:
    pipeline = Pipeline(source(stages.numbers, 100), on=placing.source).then(stages.even, on=placing.stage)
    report = pipeline.into(stages.exhausted, on=placing.sink).run()
    assert [(each.stage, each.role, each.received, each.finished, each.sent) for each in report.stages] == [
        ("numbers", "source", 0, 0, 100),
        ("even", "stage", 100, 100, 50),
        ("exhausted", "sink", 50, 50, 0),
    ]


# ---------------------------------------------------------------------------------------------------- same blame

N = 300


def chained(
    placing: Placing,
    first: Any = source(stages.numbers, N),  # noqa: B008  # a frozen value
    middle: Any = stages.same,
    last: Any = stages.exhausted,
    **options: Any,
) -> Runnable[Any]:
    pipeline = Pipeline(first, on=placing.source).then(middle, on=placing.stage, **options)
    return pipeline.into(last, on=placing.sink)


def blame(runnable: Runnable[Any]) -> tuple[object, ...]:
    """What is told of a failure wherever the stage ran: all but the place, which is the worker and its process."""
    with pytest.raises((RunError, Bad)) as caught:
        runnable.run()
    error = caught.value
    # Of a sink: the exception itself, and the message as a note.
    if isinstance(error, Bad):
        text, facts = error.__notes__[-1], repr(error)
    else:
        text = str(error)
        facts = (
            error.stage,
            error.failures[0].index,
            error.failures[0].item,
            repr(error.__cause__),
            len(error.failures),
        )
    return type(error), facts, re.sub(r" \(worker 1 of 1, pid \d+( on \S+)?\)", "", text)


FAULTS = {
    "the source raises": ({"first": source(stages.raising_source, N)}, StageError),
    "the source raises at once": ({"first": source(stages.raising_source, 0)}, StageError),
    "a stage raises": ({"middle": stage(stages.raising_stage, 41)}, StageError),
    "a stage raises on its first item": ({"middle": stage(stages.raising_stage, 0)}, StageError),
    "a stage raises on its last item": ({"middle": stage(stages.raising_stage, N - 1)}, StageError),
    "a stage raises at the end": ({"middle": stages.raising_at_the_end}, StageError),
    "a stage returns early": ({"middle": stage(stages.first, 41)}, StageStoppedError),
    "a stage returns one item early": ({"middle": stage(stages.first, N - 1)}, StageStoppedError),
    "a stage returns without asking": ({"middle": stage(stages.first, 0)}, StageStoppedError),
    "the sink raises": ({"last": sink(stages.raising_sink, 41)}, Bad),
    "the sink returns early": ({"last": sink(stages.first_listed, 41)}, StageStoppedError),
}


@in_turns
@pytest.mark.parametrize("placing", MOST)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_failure_is_told_as_it_is_inline(placing: Placing, fault: str) -> None:
    parts, error = FAULTS[fault]
    told = blame(chained(placing, **parts))
    assert told == blame(chained(Placing(Inline(), Inline(), Inline()), **parts))
    assert told[0] is error


@pytest.mark.parametrize("placing", [each for each in EVERYWHERE if each.id == "spawn"])
@pytest.mark.parametrize("fault", ["a stage raises", "a stage returns early", "the sink raises"])
def test_a_failure_in_a_spawned_process_is_told_as_it_is_inline(placing: Placing, fault: str) -> None:
    test_a_failure_is_told_as_it_is_inline(placing, fault)


@in_turns
@pytest.mark.parametrize("in_flight", [1, 2])
@pytest.mark.parametrize("placing", WITH_WORKERS)
def test_a_stage_that_returns_early_is_named_however_few_items_are_in_flight(placing: Placing, in_flight: int) -> None:
    with pytest.raises(StageStoppedError, match=r"^stage 'first' returned after 3 items while its input had more\."):
        chained(placing, middle=stage(stages.first, 3), in_flight=in_flight).run()


@pytest.mark.parametrize("placing", MOST)
def test_a_stage_that_returns_with_its_last_item_is_not_early(placing: Placing) -> None:
    assert chained(placing, middle=stage(stages.first, N), last=stages.total).run().value == sum(range(N))


@pytest.mark.parametrize("placing", [each for each in MOST if "inline" not in each.id])
def test_a_run_that_has_failed_before_it_is_iterated_tells_so(placing: Placing) -> None:
    with Pipeline(source(stages.raising_source, 0), on=placing.source).open() as run:
        for thread in threading.enumerate():
            if thread.name == "chainpump supervisor":
                thread.join()
        with pytest.raises(StageError, match=r"^source 'raising_source' \(worker 1 of 1, pid \d+.*\) raised Bad:"):
            list(run)


@pytest.mark.parametrize("placing", [each for each in MOST if "inline" not in each.id and each.id != "threads"])
def test_an_item_that_cannot_be_sent_is_named_with_the_part_of_it(placing: Placing) -> None:
    def with_a_lock(values: Iterable[int]) -> Iterator[dict[str, object]]:
        from threading import Lock

        for value in values:
            yield {"n": value, "lock": Lock() if value == 17 else None}

    with pytest.raises(UnpicklableItemError) as caught:
        chained(placing, middle=with_a_lock).run()
    assert str(caught.value) == (
        "stage 'with_a_lock' yielded item 17, which cannot be sent to another process:\n"
        "  dict['lock']: cannot pickle '_thread.lock' object. Yield plain data, or run both stages on Threads."
    )
    assert (caught.value.stage, caught.value.failures[0].index) == ("with_a_lock", 17)


# ----------------------------------------------------------------------------------------------------- may_stop


@in_turns
@pytest.mark.parametrize("in_flight", [None, 1])
@pytest.mark.parametrize("placing", MOST)
def test_a_stage_may_stop_and_what_follows_goes_on(placing: Placing, in_flight: int | None) -> None:
    pipeline = Pipeline(source(stages.endless), on=placing.source)
    pipeline = pipeline.then(stage(stages.first, 50), on=placing.stage, may_stop=True, in_flight=in_flight)
    pipeline = pipeline.then(stages.summed, on=placing.stage)
    assert pipeline.into(stages.listed, on=placing.sink).run().value == list(stages.summed(range(50)))


@pytest.mark.parametrize("placing", MOST)
def test_a_stage_may_stop_before_the_caller_s_loop(placing: Placing) -> None:
    pipeline = Pipeline(source(stages.endless), on=placing.source).then(stages.increased, on=placing.stage)
    pipeline = pipeline.then(stage(stages.first, 3), on=placing.sink, may_stop=True)
    assert list(pipeline) == [1, 2, 3]


@pytest.mark.parametrize("placing", MOST)
def test_a_sink_may_stop(placing: Placing) -> None:
    pipeline = Pipeline(source(stages.endless), on=placing.source).then(stages.increased, on=placing.stage)
    report = pipeline.into(sink(stages.first_listed, 5), on=placing.sink, may_stop=True).run()
    assert report.value == [1, 2, 3, 4, 5]


# ------------------------------------------------------------------------------------------------ joined stages

JOINED = [
    Placing(Inline(), Inline(), Threads()),
    Placing(Threads(), Inline(), Threads()),
    Placing(Threads(), Inline(), Inline()),
]


@pytest.mark.parametrize("placing", JOINED, ids=["at the beginning", "in the middle", "at the end"])
@pytest.mark.parametrize("culprit", [0, 1, 2])
def test_of_joined_stages_the_one_that_raised_is_blamed(placing: Placing, culprit: int) -> None:
    pipeline = Pipeline(source(stages.numbers, 100), on=placing.source)
    for number in range(3):
        call = stage(stages.raising_stage, 41) if number == culprit else stage(stages.same)
        pipeline = pipeline.then(call, on=placing.stage, name=f"stage {number}")
    with pytest.raises(StageError) as caught:
        pipeline.into(stages.exhausted, on=placing.sink).run()
    assert (caught.value.stage, caught.value.failures[0].index) == (f"stage {culprit}", 41)


@pytest.mark.parametrize("placing", JOINED, ids=["at the beginning", "in the middle", "at the end"])
@pytest.mark.parametrize("culprit", [0, 1, 2])
def test_of_joined_stages_the_one_that_returned_early_is_blamed(placing: Placing, culprit: int) -> None:
    pipeline = Pipeline(source(stages.numbers, 100), on=placing.source)
    for number in range(3):
        call = stage(stages.first, 41) if number == culprit else stage(stages.same)
        pipeline = pipeline.then(call, on=placing.stage, name=f"stage {number}")
    with pytest.raises(StageStoppedError, match=rf"^stage 'stage {culprit}' returned after 41 items"):
        pipeline.into(stages.exhausted, on=placing.sink).run()


# ----------------------------------------------------------------------------------------------------- in_flight


@pytest.mark.parametrize("in_flight", [1, 2, 5])
@pytest.mark.parametrize("placing", [each for each in MOST if "inline" not in each.id])
def test_no_more_items_are_made_than_may_be_in_flight(placing: Placing, in_flight: int, journal: Journal) -> None:
    pipeline = Pipeline(source(stages.journalled_numbers, 30, journal), on=placing.source)
    pipeline.into(sink(stages.journalled, journal), on=placing.sink, in_flight=in_flight).run()
    waiting = [line.startswith("made") for line in journal.lines]
    open_items = [2 * sum(waiting[:n]) - n for n in range(1, len(waiting) + 1)]
    assert len(waiting) == 60
    assert max(open_items) <= in_flight


@pytest.mark.parametrize("placing", [each for each in MOST if "inline" not in each.id])
def test_one_item_in_flight_is_strict_alternation(placing: Placing, journal: Journal) -> None:
    pipeline = Pipeline(source(stages.journalled_numbers, 10, journal), on=placing.source)
    pipeline.into(sink(stages.journalled, journal), on=placing.sink, in_flight=1).run()
    assert journal.lines == [line for number in range(10) for line in (f"made {number}", f"done {number}")]


@in_turns
@pytest.mark.parametrize("in_flight", [1, 2])
@pytest.mark.parametrize("placing", WITH_WORKERS)
def test_few_items_in_flight_starve_no_worker(placing: Placing, in_flight: int) -> None:
    on: Executor = replace(placing.stage, workers=3)  # type: ignore[type-var]  # executors are frozen values
    pipeline = Pipeline(source(stages.numbers, 200), on=placing.source)
    for each in (stages.increased, stages.even, stages.repeated):
        pipeline = pipeline.then(each, on=on, in_flight=in_flight)
    runnable = pipeline.into(stages.listed, on=placing.sink, in_flight=in_flight)
    assert sorted(runnable.run().value) == sorted(pipeline.inline())

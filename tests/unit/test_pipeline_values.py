"""Pipelines as values: immutable, reusable, and nothing runs until it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from chainpump import Inline, Pipeline, Runnable, StageOptionError, Threads, source, stage
from chainpump.executors.base import Executor


def doubled(values: Iterable[int]) -> Iterator[int]:
    for value in values:
        yield 2 * value


def scaled(values: Iterable[int], factor: int) -> Iterator[int]:
    for value in values:
        yield factor * value


def total(values: Iterable[int]) -> int:
    return sum(values)


NUMBERS = Pipeline(range(4))
DOUBLED = NUMBERS.then(doubled, on=Inline())
TOTAL = DOUBLED.into(total, on=Inline())


def test_each_step_makes_a_new_pipeline_and_leaves_the_old_one() -> None:
    assert list(DOUBLED.then(doubled, on=Inline())) == [0, 4, 8, 12]
    assert list(DOUBLED) == [0, 2, 4, 6]
    assert list(NUMBERS) == [0, 1, 2, 3]


def test_two_pipelines_may_share_their_beginning() -> None:
    tripled = NUMBERS.then(stage(scaled, factor=3), on=Inline())
    assert (list(tripled), list(DOUBLED)) == ([0, 3, 6, 9], [0, 2, 4, 6])


def test_a_pipeline_has_no_attributes_to_set() -> None:
    with pytest.raises(AttributeError):
        DOUBLED.workers = 3  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "value,text",
    [
        (NUMBERS, "Pipeline(range)"),
        (DOUBLED, "Pipeline(range -> doubled)"),
        (TOTAL, "Runnable(range -> doubled -> total)"),
        (Pipeline([1], name="ones").then(doubled, name="twos"), "Pipeline(ones -> twos)"),
        (Pipeline(source(range, 3), name="numbers"), "Pipeline(numbers)"),
    ],
)
def test_repr_is_the_chain_of_names(value: object, text: str) -> None:
    assert repr(value) == text


def test_the_same_value_runs_again_and_again() -> None:
    assert [list(DOUBLED) for _ in range(3)] == [[0, 2, 4, 6]] * 3
    assert [TOTAL.run().value for _ in range(3)] == [12] * 3


def test_one_value_may_run_twice_at_the_same_time() -> None:
    assert list(zip(DOUBLED, DOUBLED, strict=True)) == [(0, 0), (2, 2), (4, 4), (6, 6)]


@pytest.mark.parametrize("start", [list, lambda pipeline: pipeline.open(), lambda pipeline: pipeline.into(sum).run()])
def test_an_iterator_is_refused_the_second_time(start: Callable[[Pipeline[int]], object]) -> None:
    pipeline = Pipeline(iter([1, 2, 3]), name="numbers").then(doubled, on=Inline())
    assert list(pipeline) == [2, 4, 6]
    with pytest.raises(StageOptionError) as caught:
        start(pipeline)
    assert str(caught.value) == (
        "this pipeline reads 'numbers', an iterator that an earlier run has used up.\n"
        "  To run it again, give it a list, or a function that makes the items: Pipeline(source(fn, ...))."
    )


def test_pipelines_that_share_an_iterator_share_its_only_run() -> None:
    numbers = Pipeline(iter([1, 2, 3]))
    assert list(numbers) == [1, 2, 3]
    with pytest.raises(StageOptionError, match="used up"):
        list(numbers.then(doubled, on=Inline()))


def test_building_reads_nothing() -> None:
    def never() -> Iterator[int]:
        raise AssertionError
        yield 0

    Pipeline(never()).then(doubled, on=Inline()).into(total, on=Inline())
    Pipeline(source(never), on=Inline())


@pytest.mark.parametrize(
    "on,placed",
    [
        (None, ["Inline()", "Processes(workers=1, start_method='forkserver')", "Inline()"]),
        (Threads(2), ["Inline()", "Threads(workers=2)", "Inline()"]),
    ],
)
def test_on_places_the_stages_that_named_no_executor(on: Executor | None, placed: list[str]) -> None:
    pipeline = NUMBERS.then(doubled).then(doubled, on=Inline())
    assert [repr(each.on) for each in pipeline.plan(on=on).stages] == placed


def test_inline_puts_every_stage_into_the_caller_s_thread() -> None:
    pipeline = Pipeline(source(range, 4)).then(doubled)
    assert {each.on for each in pipeline.inline().plan().stages} == {Inline()}
    assert list(pipeline.inline()) == [0, 2, 4, 6]
    runnable = pipeline.into(total).inline()
    assert isinstance(runnable, Runnable)
    assert runnable.run().value == 12


def test_a_pipeline_may_yield_nothing() -> None:
    assert list(Pipeline(())) == []
    assert Pipeline(()).into(total, on=Inline()).run().value == 0


@pytest.mark.parametrize("workers", [1, 3])
def test_a_pipeline_that_ends_in_calls_has_no_value(workers: int) -> None:
    seen: list[int] = []
    assert NUMBERS.each(seen.append, on=Threads(workers)).run().value is None
    assert sorted(seen) == [0, 1, 2, 3]


def test_a_report_shows_the_stages_and_the_value() -> None:
    report = TOTAL.run()
    assert report.value == 12
    assert [(each.stage, each.received, each.sent) for each in report.stages] == [
        ("range", 0, 4),
        ("doubled", 4, 4),
        ("total", 4, 0),
    ]
    assert str(report).splitlines()[0].split()[:4] == ["stage", "on", "received", "sent"]


IN_FLIGHT = "stage 'doubled': in_flight must be {} but got: {!r}.\n  Leave it out to bound the channel by bytes."
ON = "stage 'doubled': on must be an executor but got: {!r}.\n  For example on=Processes(2) or on=Threads(8)."


@pytest.mark.parametrize(
    "options,message",
    [
        pytest.param({"in_flight": 0}, IN_FLIGHT.format("at least 1", 0), id="no slot"),
        pytest.param({"in_flight": -2}, IN_FLIGHT.format("at least 1", -2), id="less than none"),
        pytest.param({"in_flight": True}, IN_FLIGHT.format("an int", True), id="a bool"),
        pytest.param({"in_flight": "4"}, IN_FLIGHT.format("an int", "4"), id="a text"),
        pytest.param({"in_flight": 1.5}, IN_FLIGHT.format("an int", 1.5), id="a fraction"),
        pytest.param({"on": Threads}, ON.format(Threads), id="an executor's class"),
        pytest.param({"on": 4}, ON.format(4), id="a number of workers"),
        pytest.param({"on": "threads"}, ON.format("threads"), id="a name"),
    ],
)
def test_an_option_that_cannot_work_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(StageOptionError) as caught:
        NUMBERS.then(doubled, **options)
    assert str(caught.value) == message
    with pytest.raises(StageOptionError) as caught:
        NUMBERS.into(total, name="doubled", **options)
    assert str(caught.value) == message


def test_a_source_runs_on_one_worker() -> None:
    with pytest.raises(StageOptionError) as caught:
        Pipeline(source(range, 4), on=Threads(3))
    assert str(caught.value) == (
        "source 'range' cannot run on Threads(workers=3): each worker would run all of it, so that every item came "
        "3 times.\n  Give the source one worker, and more to the stages behind it. If that is meant, "
        "write Pipeline(..., each_worker=True)."
    )


def test_a_source_gets_one_worker_of_the_executor_of_the_run() -> None:
    pipeline = Pipeline(source(range, 4)).then(doubled)
    assert [each.on for each in pipeline.plan(on=Threads(3)).stages] == [Threads(1), Threads(3)]
    assert [each.on for each in pipeline.plan(on=Inline()).stages] == [Inline(), Inline()]


@pytest.mark.parametrize("grace", [-1, float("nan"), float("inf"), None, True, "1"])
def test_a_grace_is_a_number_of_seconds(grace: Any) -> None:
    for start in (TOTAL.run, DOUBLED.open):
        with pytest.raises(StageOptionError) as caught:
            start(grace=grace)
        assert str(caught.value) == f"grace must be a number of seconds of at least 0 but got: {grace!r}."


def test_an_iterable_has_no_executor() -> None:
    with pytest.raises(StageOptionError) as caught:
        Pipeline([1], on=Threads(1))  # type: ignore[call-overload]
    assert str(caught.value) == (
        "Pipeline(iterable, on=Threads(workers=1)): an iterable is read in the main process and has no executor.\n"
        "  To read it elsewhere, write Pipeline(source(fn, ...), on=...)."
    )


def test_an_executor_of_the_run_is_checked_as_well() -> None:
    with pytest.raises(StageOptionError, match="on must be an executor but got: 3"):
        TOTAL.run(on=3)  # type: ignore[arg-type]


class AnswersEverything(dict[str, Any]):
    """Keeps what it is asked for, as some containers of settings do."""

    def __getattr__(self, name: str) -> Any:
        return self.setdefault(name, [])


class Recorder:
    """An iterable, and a function, that has whatever it is asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Any:
        self.asked.append(name)
        return self

    def __iter__(self) -> Iterator[int]:
        return iter([1, 2])


def test_an_iterable_that_answers_every_attribute_is_not_asked_for_any() -> None:
    settings = AnswersEverything(a=1)
    assert list(Pipeline(settings)) == ["a"]
    assert settings == {"a": 1}
    recorder = Recorder()
    assert list(Pipeline(recorder)) == [1, 2]
    assert recorder.asked == []

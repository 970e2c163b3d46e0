"""What the methods for the library's generator stages refuse as a pipeline is built, and what their items are."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterator
from typing import Any

import pytest
from typing_extensions import TypeIs

from chainpump import Executor, Inline, Pipeline, Processes, StageOptionError, StageTypeError, Tasks, Threads, source


def numbers() -> Iterator[int]:
    yield from range(3)


def lists() -> Iterator[list[int]]:
    yield [1]


def numbers_and_names() -> Iterator[int | str]:
    yield 1


NUMBERS = Pipeline(source(numbers), on=Inline())
LISTS = Pipeline(source(lists), on=Inline())


def is_small(number: int) -> bool:
    return number < 5


def is_number(item: int | str) -> TypeIs[int]:
    return isinstance(item, int)


def of_text(text: str) -> str:
    return text


def listed(number: int) -> list[int]:
    return [number]


async def later(number: int) -> bool:
    return True


# Each takes a function of one item, and how the call is written.
CALLS: dict[str, tuple[Callable[..., Pipeline[Any]], str]] = {
    "take_while": (NUMBERS.take_while, ".take_while({})"),
    "skip_while": (NUMBERS.skip_while, ".skip_while({})"),
    "distinct": (lambda function, **options: NUMBERS.distinct(key=function, **options), ".distinct(key={})"),
    "group_by": (NUMBERS.group_by, ".group_by({})"),
    "batch": (lambda function, **options: NUMBERS.batch(by=function, most=9, **options), ".batch(by={})"),
}
calls = pytest.mark.parametrize("call,written", CALLS.values(), ids=CALLS)


@calls
def test_the_function_must_be_one(call: Callable[..., Any], written: str) -> None:
    message = f"{written.format('int')} must be a function but got: 3.\n  Give the function itself: "
    with pytest.raises(StageTypeError, match=f"^{re.escape(message + written.format('function'))}"):
        call(3)


@calls
def test_the_function_must_not_be_async(call: Callable[..., Any], written: str) -> None:
    message = (
        rf"^{re.escape(written.format('later'))} is async \(.*\)\.\n"
        r"  A stage of all items calls plain functions; on Tasks, \.map\(\) and the like run async ones\.$"
    )
    with pytest.raises(StageTypeError, match=message):
        call(later)


@calls
def test_the_function_must_take_the_items(call: Callable[..., Any], written: str) -> None:
    with pytest.raises(StageTypeError, match=rf"^{re.escape(written.format('of_text'))} cannot follow 'numbers':\n"):
        call(of_text)
    with pytest.raises(StageTypeError, match=rf"^{re.escape(written.format('pow'))} cannot be called with one item: "):
        call(pow)


ALONE: list[tuple[Callable[..., Pipeline[Any]], str]] = [
    (lambda **options: NUMBERS.take_while(is_small, **options), "take_while(is_small)"),
    (lambda **options: NUMBERS.skip(3, **options), "skip(3)"),
    (lambda **options: NUMBERS.skip_while(is_small, **options), "skip_while(is_small)"),
    (NUMBERS.enumerate, "enumerate"),
    (lambda **options: NUMBERS.shuffle(5, seed=1, **options), "shuffle(5, seed=1)"),
    (lambda **options: NUMBERS.distinct(within=9, **options), "distinct(within=9)"),
    (lambda **options: NUMBERS.group_by(is_small, most=2, **options), "group_by(is_small, most=2)"),
]


@pytest.mark.parametrize("call,name", ALONE)
@pytest.mark.parametrize("on", [Threads(2), Processes(3), Threads("auto")])
def test_stages_of_all_items_have_one_worker(call: Callable[..., Any], name: str, on: Executor) -> None:
    message = rf"^stage '{re.escape(name)}' cannot run on {re.escape(repr(on))}: each worker would .*\. Give it one\.$"
    with pytest.raises(StageOptionError, match=message):
        call(on=on)


@pytest.mark.parametrize("call,name", ALONE)
def test_stages_of_all_items_get_one_worker_of_the_executor_of_a_run(call: Callable[..., Any], name: str) -> None:
    last = call().plan(on=Threads(4)).stages[-1]
    assert (last.name, last.on) == (name, Threads(1))


@pytest.mark.parametrize("call,name", ALONE)
def test_stages_of_all_items_do_not_run_on_tasks(call: Callable[..., Any], name: str) -> None:
    with pytest.raises(
        StageOptionError, match=rf"^'{re.escape(name)}' cannot run on Tasks.*: it takes all items, and "
    ):
        call(on=Tasks(8))


COUNTS: dict[str, tuple[Callable[[Any], object], object]] = {
    "stage 'skip': n": (NUMBERS.skip, -1),
    "stage 'shuffle': buffer": (NUMBERS.shuffle, 0),
    "stage 'shuffle': seed": (lambda value: NUMBERS.shuffle(3, seed=value), -1),
    "stage 'distinct': within": (lambda value: NUMBERS.distinct(within=value), 0),
    "stage 'group_by': most": (lambda value: NUMBERS.group_by(abs, most=value), 0),
    "stage 'batch': n": (lambda value: NUMBERS.batch(value, by=abs, most=3), 0),
    "stage 'enumerate': start": (NUMBERS.enumerate, 0.5),
}


@pytest.mark.parametrize("what", COUNTS)
@pytest.mark.parametrize("value", [True, "2", 2.0, "too small"])
def test_options_that_count_are_integers(what: str, value: object) -> None:
    call, too_small = COUNTS[what]
    with pytest.raises(StageOptionError, match=f"^{what} must be (an int|at least .) but got: "):
        call(too_small if value == "too small" else value)


@pytest.mark.parametrize("most", [0, -1, True, "3", float("inf"), float("nan")])
def test_the_most_that_a_batch_weighs_is_a_number(most: Any) -> None:
    with pytest.raises(StageOptionError, match=rf"^stage 'batch': most must be a number above 0 but got: {most!r}\.$"):
        NUMBERS.batch(by=abs, most=most)


def test_a_weight_and_its_bound_belong_together() -> None:
    any_batch: Any = NUMBERS.batch
    for options, given, missing in (({"by": abs}, "by", "most"), ({"most": 3}, "most", "by")):
        with pytest.raises(StageOptionError, match=rf"^stage 'batch': {given}= does nothing without {missing}=\.\n"):
            any_batch(**options)
    with pytest.raises(StageOptionError, match=r"^stage 'batch': n must be an int but got: None"):
        any_batch()
    with pytest.raises(StageTypeError, match="is given type\\[str\\] as 'by', and expects "):
        any_batch(by=str, most=3)


def test_items_that_cannot_be_hashed_need_a_key() -> None:
    message = (
        r"^\.distinct\(\) must be able to hash its items, but 'lists' yields list\[int\] \(.*\)\.\n"
        r"  Give it a function of one item whose result can be hashed: \.distinct\(key=function\)\.$"
    )
    unhashable: Any = LISTS
    with pytest.raises(StageTypeError, match=message):
        unhashable.distinct()
    with pytest.raises(StageTypeError, match="is given listed as 'key', and expects"):
        NUMBERS.distinct(key=listed)  # type: ignore[call-overload]  # the same is an error here
    assert LISTS.distinct(key=tuple).plan().stages[-1].yields == list[int]


@pytest.mark.parametrize(
    "pipeline,yields",
    [
        (NUMBERS.take_while(is_small), "int"),
        (Pipeline(source(numbers_and_names)).take_while(is_number), "int"),
        (NUMBERS.skip(1), "int"),
        (NUMBERS.skip_while(is_small), "int"),
        (NUMBERS.enumerate(1), "tuple[int, int]"),
        (LISTS.enumerate(), "tuple[int, list[int]]"),
        (LISTS.shuffle(2), "list[int]"),
        (NUMBERS.distinct(), "int"),
        (NUMBERS.group_by(is_small), "tuple[bool, list[int]]"),
        (NUMBERS.group_by(lambda number: number), "tuple[Any, list[int]]"),
        (NUMBERS.batch(by=abs, most=3), "list[int]"),
        (NUMBERS.batch(5, by=abs, most=2.5, within=1), "list[int]"),
        (NUMBERS.tap(is_small), "int"),
        (NUMBERS.distinct(key=lambda number: -number), "int"),
    ],
)
def test_the_type_of_their_items(pipeline: Pipeline[Hashable], yields: str) -> None:
    assert pipeline.plan().stages[-1].yields_text == yields


@pytest.mark.parametrize("name", ["one", None])
def test_an_own_name_replaces_the_name_of_the_operator(name: str | None) -> None:
    for call, own in ALONE:
        assert call(name=name).plan().stages[-1].name == (name or own)


def test_a_name_tells_the_options() -> None:
    made: list[Pipeline[Any]] = [
        NUMBERS.enumerate(3),
        NUMBERS.shuffle(3),
        NUMBERS.distinct(),
        NUMBERS.distinct(key=abs),
        NUMBERS.distinct(key=abs, within=2),
        NUMBERS.group_by(abs),
        NUMBERS.batch(by=abs, most=3),
        NUMBERS.batch(5, by=abs, most=2.5, within=1),
    ]
    assert [each.plan().stages[-1].name for each in made] == [
        "enumerate(start=3)",
        "shuffle(3)",
        "distinct",
        "distinct(key=abs)",
        "distinct(key=abs, within=2)",
        "group_by(abs)",
        "batch(by=abs, most=3)",
        "batch(5, by=abs, most=2.5, within=1)",
    ]

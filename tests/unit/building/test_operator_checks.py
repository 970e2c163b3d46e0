"""What operators refuse while a pipeline is built, and what they find out about the items that come of them."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pytest

from chainpump import (
    DeadLetter,
    Executor,
    Inline,
    Pipeline,
    Processes,
    Retry,
    Skip,
    StageOptionError,
    StageTypeError,
    Tasks,
    Threads,
    source,
    stage,
)

T = TypeVar("T")
K = TypeVar("K")

HERE = __file__
METHODS = ["map", "filter", "tap", "flat_map", "each"]


def numbers() -> Iterator[int]:
    yield from range(3)


def names() -> Iterator[str]:
    yield from ("a", "b")


def pairs() -> Iterator[tuple[str, int]]:
    yield ("a", 1)


def paths() -> Iterator[Path]:
    yield Path()


def unknown() -> Iterator[Any]:
    yield 1


NUMBERS = Pipeline(source(numbers), on=Inline())
NAMES = Pipeline(source(names), on=Inline())
PAIRS = Pipeline(source(pairs), on=Inline())
PATHS = Pipeline(source(paths), on=Inline())
UNKNOWN = Pipeline(source(unknown), on=Inline())


def of_text(text: str) -> str:
    return text


def texts_of(text: str) -> list[str]:
    return [text]


def read(path: Path) -> str:
    return path.read_text()


def of_number(number: int) -> str:
    return str(number)


def of_anything(item):
    return item


def of_two(number: int, factor: int) -> int:
    return number * factor


def of_none() -> int:
    return 0


def with_option(number: int, *, digits: int = 2) -> float:
    return round(number, digits)


def with_required_option(number: int, *, digits: int) -> float:
    return round(number, digits)


def yielding(number: int) -> Iterator[int]:
    yield number


def yielding_unannotated(number):
    yield number


def yielding_with_a_wrong_hint(number: int) -> int:
    yield number


async def awaited(number: int) -> int:
    return number


async def yielding_async(number: int):
    yield number


def same(item: T) -> T:
    return item


def boxed(item: T) -> list[T]:
    return [item]


def keyed(pair: tuple[K, T]) -> dict[T, K]:
    return {pair[1]: pair[0]}


def each_of(item: T) -> Iterator[tuple[T, int]]:
    yield item, 1


def streaming(items: Iterable[int]) -> Iterator[int]:
    yield from items


class Parser:
    """A class, a callable object and methods."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __call__(self, number: int) -> str:
        return str(number)

    def parse(self, number: int) -> bytes:
        return bytes(number)

    @classmethod
    def read(cls, number: int) -> Parser:
        return cls(number)

    async def wait(self, number: int) -> int:
        return number


def built(pipeline: Pipeline[Any], method: str, function: Any, **options: Any) -> Any:
    return getattr(pipeline, method)(function, on=Inline(), **options)


def refusal(pipeline: Pipeline[Any], method: str, function: Any, **options: Any) -> str:
    with pytest.raises(StageTypeError) as caught:
        built(pipeline, method, function, **options)
    return str(caught.value)


def line(function: object) -> str:
    return f"{HERE}:{function.__code__.co_firstlineno}"


# -------------------------------------------------------------------------------------------- what does not fit


@pytest.mark.parametrize(
    "method,function", [("map", of_text), ("filter", of_text), ("flat_map", texts_of), ("each", of_text)]
)
def test_a_function_of_another_type_than_the_items_is_refused_with_both_types_and_places(
    method: str, function: Callable[[str], object]
) -> None:
    name, made, here = function.__name__, "'numbers' yields", f"(parameter 'text', {line(function)})"
    expects = f"'{name}' expects"
    width = max(len(made), len(expects))
    assert refusal(NUMBERS, method, function) == (
        f".{method}({name}) cannot follow 'numbers':\n"
        f"  {made:{width}}   int  ({line(numbers)})\n"
        f"  {expects:{width}}   str  {here}\n"
        f"  Let '{name}' take int, let 'numbers' yield str, or put a stage between them."
    )


def test_a_stage_s_given_name_is_the_one_in_the_message() -> None:
    text = refusal(NUMBERS, "map", of_text, name="read")
    assert text.splitlines()[0] == ".map(read) cannot follow 'numbers':"
    assert text.splitlines()[2].startswith("  'read' expects     str  (parameter 'text'")


def test_what_an_operator_makes_is_checked_against_the_next_one() -> None:
    text = refusal(NUMBERS.map(of_number, on=Inline()), "map", of_number)
    assert text == (
        ".map(of_number) cannot follow 'of_number':\n"
        f"  'of_number' yields    str  ({line(of_number)})\n"
        f"  'of_number' expects   int  (parameter 'number', {line(of_number)})\n"
        "  Let 'of_number' take str, let 'of_number' yield int, or put a stage between them."
    )


def test_a_filter_passes_on_the_type_that_it_was_given() -> None:
    assert refusal(NUMBERS.filter(bool, on=Inline(), name="true"), "map", of_text).startswith(
        ".map(of_text) cannot follow 'true':\n  'true' yields       int"
    )


def test_what_a_flat_map_yields_is_checked_item_by_item() -> None:
    pipeline = NAMES.flat_map(texts_of, on=Inline())
    assert built(pipeline, "map", of_text).plan().stages[-1].yields_text == "str"
    assert "'texts_of' yields     str" in refusal(pipeline, "map", of_number)


def test_what_an_operator_makes_is_checked_against_a_generator_stage() -> None:
    with pytest.raises(StageTypeError, match=r"^stage 'streaming' cannot follow 'of_number':\n"):
        NUMBERS.map(of_number, on=Inline()).then(streaming, on=Inline())


@pytest.mark.parametrize("method", METHODS)
def test_a_partial_is_checked_by_the_parameter_that_is_left(method: str) -> None:
    assert "expects" in refusal(NAMES, method, functools.partial(of_two, factor=2))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "function", [of_anything, lambda item: [item], functools.partial(lambda *items: items, 1), print]
)
def test_what_says_nothing_of_its_types_is_accepted(method: str, function: Callable[..., Any]) -> None:
    assert built(NUMBERS, method, function)
    assert built(UNKNOWN, method, function)


@pytest.mark.parametrize("function", [of_text, of_number])
def test_items_of_unknown_type_fit_any_function(function: Callable[..., Any]) -> None:
    assert built(UNKNOWN, "map", function).plan().stages[-1].yields_text == "str"


# ------------------------------------------------------------------------------------------ what cannot be called


def test_a_generator_function_is_no_function_for_map() -> None:
    assert refusal(NUMBERS, "map", yielding) == (
        f".map(yielding) is a generator function, which returns a generator for each item ({line(yielding)}).\n"
        "  Use .flat_map(yielding) for what it yields, or .then(yielding) if it takes all items."
    )


def test_a_generator_function_without_hints_is_no_function_for_map() -> None:
    assert refusal(NUMBERS, "map", yielding_unannotated).startswith(
        ".map(yielding_unannotated) is a generator function, which returns a generator for each item"
    )


@pytest.mark.parametrize("method", ["filter", "each"])
def test_a_generator_function_would_never_run_in_a_filter_or_each(method: str) -> None:
    """A generator is always true, and does nothing until somebody iterates it."""
    assert f".{method}(yielding) is a generator function" in refusal(NUMBERS, method, yielding)


@pytest.mark.parametrize("method", METHODS)
def test_a_function_that_needs_two_arguments_is_refused_with_what_to_bind(method: str) -> None:
    first, *_ = refusal(NUMBERS, method, of_two).split("\nAlso found there:")
    assert first == (
        f".{method}(of_two) cannot be called with one item: missing a required argument: 'factor' ({line(of_two)}).\n"
        f"  Bind the rest of its arguments: .{method}(functools.partial(of_two, ...)).\n"
        "  It is defined as of_two(number: int, factor: int) -> int."
    )


@pytest.mark.parametrize("method", METHODS)
def test_a_function_that_needs_an_option_is_refused_and_one_with_a_default_is_not(method: str) -> None:
    first = refusal(NUMBERS, method, with_required_option).splitlines()[0]
    assert first.startswith(f".{method}(with_required_option) cannot be called with one item: missing a required")
    if method != "flat_map":
        assert built(NUMBERS, method, with_option)


@pytest.mark.parametrize("method", METHODS)
def test_a_function_that_takes_no_item_is_refused(method: str) -> None:
    text = refusal(NUMBERS, method, of_none)
    assert text.startswith(f".{method}(of_none) has no parameter for an item ({line(of_none)}).\n")
    # That is advice for a stage; here it takes one.
    assert "takes them all" not in text


@pytest.mark.parametrize("method", METHODS)
def test_what_is_no_function_is_refused(method: str) -> None:
    text = refusal(NUMBERS, method, 3)
    assert text.startswith(f".{method}(int) must be a function but got: 3.\n")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("function", [awaited, yielding_async, Parser(1).wait, functools.partial(awaited)])
def test_an_async_function_is_refused_on_executors_that_cannot_await(method: str, function: Callable[..., Any]) -> None:
    assert " is async" in refusal(NUMBERS, method, function).splitlines()[0]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("bound", [stage(streaming), source(numbers)], ids=["stage", "source"])
def test_a_bound_function_is_refused(method: str, bound: object) -> None:
    assert refusal(NUMBERS, method, bound) == (
        f"a function of one item is to be given as it is but got: {bound!r}.\n"
        "  Bind further arguments with functools.partial."
    )


# ---------------------------------------------------------------------------------------------- flat_map's results


def of_int(number: int) -> int:
    return number


def test_flat_map_refuses_a_function_that_returns_one_thing() -> None:
    assert refusal(NUMBERS, "flat_map", of_int).startswith(
        f".flat_map(of_int) returns int, which cannot be iterated ({line(of_int)}).\n"
    )


def test_flat_map_refuses_a_function_that_returns_a_text() -> None:
    assert refusal(NUMBERS, "flat_map", of_number).startswith(
        f".flat_map(of_number) returns str, which would be sent one character at a time ({line(of_number)}).\n"
    )
    assert "one byte at a time" in refusal(NUMBERS, "flat_map", Parser(1).parse)


def test_flat_map_refuses_a_generator_whose_hint_says_otherwise() -> None:
    assert refusal(NUMBERS, "flat_map", yielding_with_a_wrong_hint).startswith(
        ".flat_map(yielding_with_a_wrong_hint) yields, but says that it returns int"
    )


def test_flat_map_refuses_classes_that_cannot_be_iterated() -> None:
    assert "which cannot be iterated" in refusal(NUMBERS, "flat_map", Parser)


# --------------------------------------------------------------------------------------------------------- options


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("on_error", [None, "skip", ValueError, 3])
def test_an_on_error_that_is_no_policy_is_refused(method: str, on_error: object) -> None:
    with pytest.raises(StageOptionError) as caught:
        built(NUMBERS, method, boxed, on_error=on_error)
    assert str(caught.value).splitlines()[0] == f"on_error must be a policy but got: {on_error!r}."


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("in_flight", [0, -1, 1.5, "2", True])
def test_in_flight_must_count_items(method: str, in_flight: object) -> None:
    with pytest.raises(StageOptionError, match=r"^stage 'boxed': in_flight must be "):
        built(NUMBERS, method, boxed, in_flight=in_flight)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("on", [None, Threads, "threads", 3])
def test_on_must_be_an_executor(method: str, on: object) -> None:
    with pytest.raises(StageOptionError, match=r"^stage 'boxed': on must be an executor but got: "):
        getattr(NUMBERS, method)(boxed, on=on)


def test_each_has_no_order_to_choose() -> None:
    with pytest.raises(TypeError, match="ordered"):
        NUMBERS.each(print, on=Inline(), ordered=False)


@pytest.mark.parametrize("n", [0, -1, 2.0, "2", True, None])
def test_a_batch_has_a_size(n: object) -> None:
    with pytest.raises(StageOptionError, match=r"^stage 'batch': n must be "):
        NUMBERS.batch(n, on=Inline())


@pytest.mark.parametrize("within", [0, -1, "1", True, float("inf"), float("nan")])
def test_a_batch_waits_for_a_number_of_seconds(within: object) -> None:
    with pytest.raises(StageOptionError, match=r"^batch: within must be a number of seconds "):
        NUMBERS.batch(2, within=within, on=Threads())


@pytest.mark.parametrize("option", ["n", "step"])
@pytest.mark.parametrize("value", [0, -1, 2.0, "2", True, None])
def test_a_window_has_a_size_and_a_step(option: str, value: Any) -> None:
    with pytest.raises(StageOptionError, match=rf"^stage 'window': {option} must be "):
        NUMBERS.window(**{"n": 2, option: value}, on=Inline())


@pytest.mark.parametrize("on", [Threads(2), Processes(3), Threads("auto")])
def test_take_and_window_have_one_worker_each(on: Executor) -> None:
    for build, name in ((NUMBERS.window, r"window\(3\)"), (NUMBERS.take, r"take\(3\)")):
        message = rf"^stage '{name}' cannot run on {re.escape(repr(on))}: each worker would .*\. Give it one\.$"
        with pytest.raises(StageOptionError, match=message):
            build(3, on=on)


@pytest.mark.parametrize("pipeline", [Pipeline(source(numbers)).take(2), Pipeline(source(numbers)).window(2)])
def test_take_and_window_get_one_worker_of_the_executor_of_a_run(pipeline: Pipeline[Any]) -> None:
    plan = pipeline.map(str).plan(on=Threads(4))
    assert [stage.on for stage in plan.stages] == [Threads(1), Threads(1), Threads(4)]
    with pipeline.open(on=Threads(4)) as run:
        assert list(run) == list(pipeline.inline())


@pytest.mark.parametrize("n", [-1, 2.0, "2", True, None])
def test_take_takes_a_number_of_items(n: object) -> None:
    with pytest.raises(StageOptionError, match=r"^stage 'take': n must be "):
        NUMBERS.take(n, on=Inline())


def test_only_batches_can_be_unbatched() -> None:
    with pytest.raises(StageTypeError, match=r"^stage 'unbatch' cannot follow 'numbers':\n"):
        NUMBERS.unbatch(on=Inline())


# ------------------------------------------------------------------------------------------------ what they find out


@pytest.mark.parametrize(
    "pipeline,function,yields",
    [
        (NUMBERS, of_number, "str"),
        (NUMBERS, str, "str"),
        (NAMES, int, "int"),
        (NUMBERS, Parser, "Parser"),
        (NUMBERS, Parser(1), "str"),
        (NUMBERS, Parser(1).parse, "bytes"),
        (NUMBERS, Parser.read, "Parser"),
        (PATHS, read, "str"),
        (NUMBERS, with_option, "float"),
        (NUMBERS, functools.partial(of_two, factor=2), "int"),
        (NUMBERS, of_anything, "?"),
        (NUMBERS, lambda number: number, "?"),
        (NUMBERS, functools.partial(lambda more, number: more + number, 1), "?"),
        (NAMES, len, "int"),
        (NUMBERS, same, "int"),
        (NUMBERS, boxed, "list[int]"),
        (PAIRS, keyed, "dict[int, str]"),
        (PAIRS, boxed, "list[tuple[str, int]]"),
        (UNKNOWN, boxed, "list[Any]"),
        (UNKNOWN, same, "?"),
    ],
)
def test_map_yields_what_the_function_returns(pipeline: Pipeline[Any], function: Any, yields: str) -> None:
    assert built(pipeline, "map", function).plan().stages[-1].yields_text == yields


@pytest.mark.parametrize(
    "pipeline,function,yields",
    [
        (NUMBERS, yielding, "int"),
        (NAMES, texts_of, "str"),
        (NUMBERS, boxed, "int"),
        (PAIRS, each_of, "tuple[tuple[str, int], int]"),
        (NUMBERS, range, "int"),
        (NAMES, str.split, "str"),
        (NUMBERS, lambda number: [number], "?"),
        (NUMBERS, yielding_unannotated, "?"),
        (PAIRS, keyed, "int"),
    ],
)
def test_flat_map_yields_the_items_of_what_the_function_returns(
    pipeline: Pipeline[Any], function: Any, yields: str
) -> None:
    assert built(pipeline, "flat_map", function).plan().stages[-1].yields_text == yields


@pytest.mark.parametrize("function,annotated", [(Path.read_text, "str"), (Path.read_bytes, "bytes")])
def test_methods_of_the_standard_library_yield_what_they_are_annotated_with(
    function: Callable[..., Any], annotated: str
) -> None:
    """Also on Python 3.11, which annotates hardly any of them."""
    assert built(PATHS, "map", function).plan().stages[-1].yields_text == annotated


@pytest.mark.parametrize("pipeline,yields", [(NUMBERS, "int"), (PAIRS, "tuple[str, int]"), (UNKNOWN, "?")])
def test_filter_yields_what_it_is_given(pipeline: Pipeline[Any], yields: str) -> None:
    assert built(pipeline, "filter", bool).plan().stages[-1].yields_text == yields


def test_batch_yields_lists_window_tuples_and_unbatch_and_take_the_items() -> None:
    batches = NUMBERS.batch(2, on=Inline())
    plans: Mapping[str, Any] = {
        "list[int]": batches,
        "int": batches.unbatch(on=Inline()),
        "list[list[int]]": batches.batch(3, on=Inline()),
        "tuple[int, ...]": NUMBERS.window(2, on=Inline()),
        "tuple[tuple[int, ...], ...]": NUMBERS.window(2, on=Inline()).window(2, step=2, on=Inline()),
    }
    assert {text: each.plan().stages[-1].yields_text for text, each in plans.items()} == {text: text for text in plans}
    assert NUMBERS.take(2, on=Inline()).plan().stages[-1].yields_text == "int"
    assert NUMBERS.batch(2, within=1, on=Threads()).plan().stages[-1].yields_text == "list[int]"


def test_the_plan_names_operators_as_their_functions_and_says_where_they_are() -> None:
    pipeline = NUMBERS.map(of_number, on=Inline()).filter(lambda text: text, on=Inline(), name="full").batch(2)
    assert [each.name for each in pipeline.plan().stages] == ["numbers", "of_number", "full", "batch(2)"]
    assert pipeline.plan().stages[1].call.where == line(of_number)
    names = [each.plan().stages[-1].name for each in (NUMBERS.window(3), NUMBERS.window(3, step=2))]
    assert names == ["window(3)", "window(3, step=2)"]


FLAGS = {
    "ordered": lambda value: NUMBERS.map(of_number, ordered=value),
    "may_stop": lambda value: NUMBERS.then(stage(enumerate), may_stop=value),
    "strict": lambda value: Pipeline([1], strict=value),
    "check_items": lambda value: NUMBERS.open(check_items=value),
}


@pytest.mark.parametrize("option", FLAGS)
@pytest.mark.parametrize("value", [None, 1, "yes"])
def test_what_is_on_or_off_is_nothing_else(option: str, value: object) -> None:
    with pytest.raises(StageOptionError, match=rf"(^|: ){option} must be True or False but got: {value!r}\.(\n|$)"):
        FLAGS[option](value)


@pytest.mark.parametrize("name", [3, "", b"load"])
def test_a_name_is_a_text(name: Any) -> None:
    for build in (
        lambda: Pipeline([1], name=name),
        lambda: Pipeline(source(numbers), name=name),
        lambda: NUMBERS.map(of_number, name=name),
        lambda: NUMBERS.then(stage(enumerate), name=name),
        lambda: NUMBERS.into(sum, name=name),
        lambda: Pipeline.concat(NUMBERS, name=name),
    ):
        with pytest.raises(StageOptionError, match=rf"^name must be a text but got: {name!r}\."):
            build()


def test_a_time_for_batches_is_refused_where_nobody_could_wait() -> None:
    with pytest.raises(
        StageOptionError, match=r"^batch: within=0\.5 does nothing on Inline\(\) behind 'numbers', which"
    ):
        NUMBERS.batch(2, within=0.5, on=Inline())
    assert NUMBERS.map(of_number, on=Threads()).batch(2, within=0.5, on=Inline())
    assert NUMBERS.batch(2, within=0.5, on=Threads())


def test_a_builtin_is_not_async() -> None:
    with pytest.raises(StageTypeError, match=r"^\.map\(abs\) is not async, and Tasks runs async functions"):
        NUMBERS.map(abs, on=Tasks(3))


# ------------------------------------------------------------------------------------------------ policies that split


def length(batch: list[int]) -> int:
    return len(batch)


def halves(batch: list[int]) -> list[float]:
    return [number / 2 for number in batch]


def test_only_batches_are_split_and_only_results_that_make_a_batch_are_joined() -> None:
    batches, policy = NUMBERS.batch(2, on=Inline()), Retry(1, otherwise=DeadLetter(split=True))
    assert batches.map(halves, on_error=policy).plan().stages[-1].yields == list[float]
    assert UNKNOWN.map(length, on_error=Skip()).plan()
    with pytest.raises(
        StageTypeError, match=r"^stage 'of_number': split=True splits batches, but 'numbers' yields int"
    ):
        NUMBERS.map(of_number, on_error=policy)
    with pytest.raises(StageTypeError, match=r"^stage 'length': split=True joins the results .*, but each is int\.\n"):
        batches.map(length, on_error=policy)
    # The results of these do not matter.
    batches.tap(length, on_error=policy).filter(length, on_error=policy).each(length, on_error=policy)

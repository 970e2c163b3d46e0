"""What is found while a pipeline is built, and the texts that say so."""

from __future__ import annotations

import asyncio
import functools
import sqlite3
import sys
import textwrap
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import pytest

from chainpump.building.checks import check_count, check_iterable, check_sink, check_source, check_stage, check_travels
from chainpump.building.problems import Problems
from chainpump.errors import StageOptionError, StageTypeError
from chainpump.hints.classes import UNKNOWN
from chainpump.hints.objects import name_of, where_of
from chainpump.plan.bound import Bound, Stage, sink, source, stage

if TYPE_CHECKING:
    from nowhere import Ghost

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
S = TypeVar("S")
Number = TypeVar("Number", bound=float)


class Image: ...


def after(hint: object, bound: Bound, *, name: str = "load", where: str | None = "app.py:3") -> Any:
    return found(check_stage, bound, bound.name, hint, name, where)


def ending(hint: object, bound: Bound) -> Any:
    return found(check_sink, bound, bound.name, hint, "load", "app.py:3")


def starting(bound: Bound) -> Any:
    return found(check_source, bound, bound.name)


def found(check: Callable[..., Any], *args: object) -> Any:
    """What a check finds out; what is wrong is raised."""
    problems = Problems()
    hint = check(*args, problems)
    problems.tell()
    return hint


def message_of(check: Callable[..., object], *args: object) -> str:
    with pytest.raises(StageTypeError) as caught:
        check(*args)
    return str(caught.value)


def here(function: object) -> str:
    return f"{__file__}:{function.__code__.co_firstlineno}"


# --- functions of every kind ----------------------------------------------------------------------


def paths(folder: str, *, suffix: str = ".jpg") -> Iterator[Path]:
    yield Path(folder, suffix)


def infer(images: Iterable[Image], weights: str, *, device: str = "cpu") -> Iterator[float]:
    yield 0.5


def batch(items: Iterable[T], n: int) -> Iterator[list[T]]:
    yield list(items)[:n]


def unbatch(batches: Iterable[Iterable[T]]) -> Iterator[T]:
    for each in batches:
        yield from each


def scale(values: Iterable[Number]) -> Iterator[Number]:
    yield from values


def total(values: Iterable[float]) -> float:
    return sum(values)


def bare(items, size=3):
    yield items, size


def logged(function: Callable[P, R]) -> Callable[P, R]:
    @functools.wraps(function)
    def inner(*args: P.args, **kwargs: P.kwargs) -> R:
        return function(*args, **kwargs)

    return inner


class Scorer:
    def __init__(self, weight: float = 1.0) -> None:
        self.weight = weight

    def score(self, images: Iterable[Image]) -> Iterator[float]:
        yield from (self.weight for _ in images)

    def __call__(self, images: Iterable[Image]) -> Iterator[str]:
        yield from (str(self.weight) for _ in images)

    @classmethod
    def of_class(cls, images: Iterable[Image]) -> Iterator[bool]:
        yield from (each is not cls for each in images)

    @staticmethod
    def static(images: Iterable[Image]) -> Iterator[bytes]:
        yield from (b"" for _ in images)


class Rows:
    def __init__(self, table: str) -> None:
        self.table = table

    def __iter__(self) -> Iterator[Image]:
        yield Image()


@pytest.mark.parametrize(
    "bound, hint",
    [
        (source(paths, "/data"), Path),
        (source(range, 3), int),
        (source(Rows, "images"), Image),
        (source(enumerate, "abc"), tuple[int, str]),
        (source(functools.partial(paths, suffix=".png"), "/data"), Path),
        (source(logged(paths), "/data"), Path),
        (source(sqlite3.connect, ":memory:"), UNKNOWN),
        (source(reversed, [1]), UNKNOWN),
    ],
    ids=repr,
)
def test_a_source_yields_what_its_function_says(bound: Bound, hint: object) -> None:
    assert starting(bound) == hint


@pytest.mark.parametrize(
    "bound, hint",
    [
        (stage(infer, "m.pt"), float),
        (stage(infer, weights="m.pt", device="cuda"), float),
        (stage(functools.partial(infer, weights="m.pt")), float),
        (stage(functools.partial(functools.partial(infer, device="cuda"), weights="m.pt")), float),
        (stage(logged(infer), "m.pt"), float),
        (stage(logged(functools.partial(infer, weights="m.pt"))), float),
        (stage(Scorer().score), float),
        (stage(Scorer()), str),
        (stage(Scorer.of_class), bool),
        (stage(Scorer.static), bytes),
        (stage(batch, 3), list[Image]),
        (stage(enumerate), tuple[int, Image]),
        (stage(list), Image),
    ],
    ids=repr,
)
def test_a_stage_of_any_kind_of_callable_yields_what_it_says(bound: Bound, hint: object) -> None:
    assert after(Image, bound) == hint


@pytest.mark.parametrize(
    "bound, hint",
    [
        (sink(total), float),
        (sink(sum), int),
        (sink(list), list[int]),
        (sink(sorted, reverse=True), list[int]),
        (sink(print), type(None)),
        (sink(lambda items: max(items, default=0)), UNKNOWN),
        (sink(functools.partial(functools.reduce, lambda a, b: a + b)), UNKNOWN),
    ],
    ids=repr,
)
def test_a_sink_returns_what_it_says_and_builtins_what_is_known_of_them(bound: Bound, hint: object) -> None:
    assert ending(int, bound) == hint


def test_type_variables_carry_through_a_chain() -> None:
    numbers = starting(source(range, 9))
    pairs = after(numbers, stage(batch, 2))
    quads = after(pairs, stage(batch, 2))
    assert quads == list[list[int]]
    assert after(after(quads, stage(unbatch)), stage(unbatch)) is int
    assert after(int, stage(scale)) is int
    assert ending(after(quads, stage(unbatch)), sink(last)) == list[int]


def last(items: Iterable[T]) -> T:
    return list(items)[-1]


def test_what_the_input_does_not_tell_is_unknown() -> None:
    def convert(items: Iterable[T], to: Callable[[T], S]) -> Iterator[tuple[T, S]]:
        for each in items:
            yield each, to(each)

    assert after(int, stage(convert, lambda number: number)) == tuple[int, Any]
    assert after(int, stage(convert, str)) == tuple[int, str]
    assert after(UNKNOWN, stage(batch, 3)) == list[Any]
    assert after(UNKNOWN, stage(unbatch)) is UNKNOWN
    assert after(UNKNOWN, stage(infer, "m.pt")) is float


# --- junctions ------------------------------------------------------------------------------------


def test_a_junction_that_does_not_fit_shows_both_hints_and_both_places() -> None:
    assert message_of(after, list[Image], stage(infer, "m.pt")) == (
        "stage 'infer' cannot follow 'load':\n"
        "  'load' yields     list[Image]  (app.py:3)\n"
        f"  'infer' expects   Image        (parameter 'images', {here(infer)})\n"
        "  Let 'infer' take Iterable[list[Image]], let 'load' yield Image, or put a stage between them."
    )


def test_a_sink_is_checked_like_a_stage() -> None:
    with pytest.raises(StageTypeError, match=r"^sink 'total' cannot follow 'load':\n  'load' yields     str"):
        ending(str, sink(total))


def test_nobody_is_asked_to_change_what_has_no_place() -> None:
    bound = stage(infer, "m.pt")
    with pytest.raises(StageTypeError) as caught:
        after(int, bound, name="range", where=None)
    assert "  'range' yields    int\n" in str(caught.value)
    assert str(caught.value).endswith("\n  Let 'infer' take Iterable[int], or put a stage between them.")


def test_two_classes_of_one_name_are_told_apart_by_their_modules() -> None:
    other = type("Image", (), {"__module__": "other"})
    text = message_of(after, other, stage(infer, "m.pt"))
    assert "  'load' yields     other.Image " in text
    assert f"  'infer' expects   {__name__}.Image " in text


def test_a_bound_shows_what_a_variable_can_be() -> None:
    with pytest.raises(StageTypeError, match=r"'scale' expects   Number: float  \(parameter 'values', "):
        after(str, stage(scale))


def test_the_error_comes_without_a_chain_of_internal_ones() -> None:
    with pytest.raises(StageTypeError) as caught:
        after(Image, stage(infer))
    assert caught.value.__suppress_context__


# --- hints that are hard to find ------------------------------------------------------------------


def test_hints_may_name_classes_local_to_a_function_that_is_running() -> None:
    class Local: ...

    def make() -> Iterator[Local]:
        yield Local()

    def take(items: Iterable[Local]) -> Iterator[Local]:
        yield from items

    assert starting(source(make)) is Local
    assert after(Local, stage(take)) is Local


def test_hints_may_name_what_a_function_that_has_returned_left_in_the_closure() -> None:
    def build() -> Callable[[Iterable[Any]], Iterator[Any]]:
        class Local: ...

        def take(items: Iterable[Local]) -> Iterator[Local]:
            for _ in items:
                yield Local()

        return take

    assert after(UNKNOWN, stage(build())).__name__ == "Local"


def test_a_variable_that_is_assigned_further_down_is_in_nobody_s_way() -> None:
    def take(items: Iterable[int]) -> Iterator[int]:
        yield from (item + later for item in items)

    assert after(int, stage(take)) is int
    later = 1


def ghosts(items: Iterable[Ghost]) -> Iterator[int]:
    yield 1


def busts(items: Iterable[int]) -> Iterator[Ghost]:
    yield from ()


def test_a_name_that_only_the_type_checker_imports_is_named_with_what_to_do() -> None:
    assert message_of(after, int, stage(ghosts)) == (
        "stage 'ghosts' has a hint that cannot be read: Iterable[Ghost] of parameter 'items'"
        f" ({here(ghosts)}).\n"
        "  There is no 'Ghost' where the function is defined.\n"
        "  If it is imported under `if TYPE_CHECKING:`, import it without; if it is local to a function"
        " that has returned, move it to the module."
    )
    with pytest.raises(StageTypeError, match=r"cannot be read: Iterator\[Ghost\] of its result"):
        after(int, stage(busts))


def test_a_hint_that_is_nobody_s_business_is_not_read() -> None:
    def load(items: Iterable[int], logger: Ghost | None = None) -> Iterator[int]:
        yield from items

    assert after(int, stage(load)) is int


def test_a_hint_that_is_no_hint_is_an_error_of_ours_with_its_reason() -> None:
    def odd(items: Iterable[int]) -> Iterator[1 / 0]:  # type: ignore[valid-type]  # that is the point
        yield from items

    with pytest.raises(StageTypeError, match=r"(?s)^stage 'odd' has a hint that .*It is no type hint: div"):
        after(int, stage(odd))


@pytest.mark.skipif(sys.version_info < (3, 12), reason="type parameters came with 3.12")
@pytest.mark.parametrize("first_line", ["", "from __future__ import annotations"])
def test_type_parameters_of_functions_and_classes_carry_through(first_line: str) -> None:
    names: dict[str, Any] = {}
    code = """
    from collections.abc import Iterable, Iterator
    def batch[X](items: Iterable[X], n: int) -> Iterator[list[X]]:
        yield list(items)
    class Numbered[X]:
        def pairs(self, items: Iterable[X]) -> Iterator[tuple[int, X]]:
            yield from enumerate(items)
    def haunt[X: Ghost](items: Iterable[X]) -> Iterator[X]:
        yield from items
    type Spook = Ghost
    def alias(items: Iterable[Spook]) -> Iterator[Spook]:
        yield from items
    def numbers() -> Iterator[int]:
        class Local: ...
        def make[X: Local](items: Iterable[X]) -> Iterator[X]:
            yield from items
        return make, Local
    """
    exec(compile(first_line + textwrap.dedent(code), "<test>", "exec", dont_inherit=True), names)
    assert after(int, stage(names["batch"], 3)) == list[int]
    assert after(int, stage(names["Numbered"]().pairs)) == tuple[int, int]
    make, local = names["numbers"]()
    assert after(local, stage(make)) is local
    with pytest.raises(StageTypeError, match=r"'make' expects   X: Local"):
        after(int, stage(make))
    assert after(int, stage(names["haunt"])) is int, "what a bound or an alias names may not exist here"
    assert after(int, stage(names["alias"])) is UNKNOWN


# --- functions that are no stages -----------------------------------------------------------------


def test_a_stage_without_hints_is_shown_how_to_write_them() -> None:
    assert message_of(after, Image, stage(bare, size=4)) == (
        f"stage 'bare' has no type hint for what it takes and what it yields ({here(bare)}).\n"
        "  Annotate it, so that its neighbours can be checked (from collections.abc):\n"
        "    def bare(items: Iterable[Image], size=3) -> Iterator[...]:"
    )


def test_only_the_missing_hint_is_asked_for() -> None:
    def half(items: Iterable[int], *, size: int = 3):
        yield from items

    text = message_of(after, int, stage(half))
    assert text.startswith("stage 'half' has no type hint for what it yields (")
    assert text.endswith("    def half(items: Iterable[int], *, size: int = 3) -> Iterator[...]:")
    with pytest.raises(StageTypeError, match=r"source 'bare' has no type hint for what it yields \("):
        starting(source(bare, 1))
    with pytest.raises(StageTypeError, match=r"sink 'keep' has no type hint for what it takes \("):
        ending(int, sink(keep))


def keep(items) -> int:
    return len(items)


def test_a_lambda_as_a_stage_is_asked_to_become_a_function() -> None:
    text = message_of(after, int, stage(lambda values: (v + 1 for v in values)))
    assert text.endswith("    def stage(values: Iterable[int]) -> Iterator[...]:")


def decode(data: bytes) -> Image:
    return Image()


def words(line: str) -> list[str]:
    return line.split()


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def test_a_function_of_one_item_is_shown_the_loop_around_it() -> None:
    assert message_of(after, bytes, stage(decode)) == (
        "stage 'decode' takes bytes (parameter 'data'), but is given an iterator over all items"
        f" ({here(decode)}).\n"
        "  A stage takes all items; around a function of one item, write a loop:\n"
        "    def decode_all(items: Iterable[bytes]) -> Iterator[Image]:\n"
        "        for item in items:\n"
        "            yield decode(item)"
    )


@pytest.mark.parametrize("function, hint", [(words, str), (mean, list[float]), (decode, UNKNOWN)], ids=name_of)
def test_a_function_of_one_item_that_can_be_iterated_is_seen_too(function: Any, hint: object) -> None:
    assert f"yield {function.__name__}(item)" in message_of(after, hint, stage(function))
    assert message_of(ending, hint, sink(function)).endswith(f" {function.__name__}(item)")


def test_a_stage_that_wants_a_list_is_told_to_take_an_iterable() -> None:
    def rank(scores: list[float]) -> Iterator[float]:
        yield from sorted(scores)

    assert message_of(after, float, stage(rank)) == (
        "stage 'rank' takes list[float] (parameter 'scores'), but is given an iterator over all items"
        f" ({here(rank)}).\n"
        "  Annotate it as Iterable[float]; if it needs all items at once, list(...) them."
    )


def test_a_stage_may_take_an_iterator_rather_than_an_iterable() -> None:
    def pairs(items: Iterator[int]) -> Iterator[tuple[int, int]]:
        yield from zip(items, items, strict=False)

    assert after(int, stage(pairs)) == tuple[int, int]


def test_a_source_that_may_return_none_is_told_that_its_stream_is_optional() -> None:
    def rows() -> list[int] | None:
        return None

    assert message_of(starting, source(rows)) == (
        f"source 'rows' returns an optional stream, list[int] | None, and None cannot be iterated ({here(rows)}).\n"
        "  Let it yield nothing instead of returning None: def rows(...) -> list[int]."
    )


def test_a_result_that_cannot_be_iterated_is_an_error_of_sources_and_stages() -> None:
    def count(items: Iterable[int]) -> int:
        return len(list(items))

    assert message_of(starting, source(decode, b"")) == (
        f"source 'decode' returns Image, which cannot be iterated ({here(decode)}).\n"
        "  Let it yield what it makes: def decode(...) -> Iterator[Image]."
    )
    with pytest.raises(StageTypeError, match=r"stage 'count' returns int, which cannot be iterated \("):
        after(int, stage(count))
    assert "yield count(item)" in message_of(after, list[int], stage(count)), "it may have meant one list"


def test_a_text_as_a_result_is_a_mistake() -> None:
    def read(path: str) -> str:
        return path

    assert message_of(starting, source(read, "/etc/hosts")) == (
        f"source 'read' returns str, which would be sent one character at a time ({here(read)}).\n"
        "  Let it yield what it makes: def read(...) -> Iterator[str]."
    )


def test_a_generator_annotated_with_its_item_is_told_so() -> None:
    def load(items: Iterable[int]) -> int:
        yield from items

    assert message_of(after, int, stage(load)) == (
        f"stage 'load' yields, but says that it returns int ({here(load)}).\n"
        "  A generator is annotated with what iterating it gives: -> Iterator[int]."
    )


def test_a_generator_as_a_sink_would_never_run() -> None:
    text = message_of(ending, Image, sink(Scorer().score))
    assert text.startswith("sink 'score' is a generator function, which would never run: nobody iterates ")
    assert ".then(score)" in text


async def fetch(urls: Iterable[str]) -> AsyncIterator[bytes]:
    yield b""


async def fetch_all(urls: Iterable[str]) -> list[bytes]:
    return []


def fetcher(urls: Iterable[str]) -> AsyncIterator[bytes]:
    return fetch(urls)


@pytest.mark.parametrize("function", [fetch, fetch_all, fetcher, functools.partial(fetch)], ids=name_of)
def test_a_stage_of_all_items_cannot_be_async(function: Any) -> None:
    name = name_of(function)
    advice = r"\n  A stage of all items is a plain function; on Tasks, \.map\(\) and the like run async ones\.$"
    with pytest.raises(StageTypeError, match=rf"^stage '{name}' is async \(.*\)\.{advice}"):
        after(str, stage(function))
    with pytest.raises(StageTypeError, match=rf"^source '{name}' is async"):
        starting(source(function, ["a"]))


def test_a_decorator_may_turn_an_async_function_or_a_generator_into_a_plain_one() -> None:
    @synchronous
    async def pages(urls: Iterable[str]) -> list[bytes]:
        return []

    @collected
    def rows(items: Iterable[int]) -> Iterator[int]:
        yield from items

    assert after(str, stage(pages)) is bytes
    assert ending(int, sink(rows)) == list[int]
    with pytest.raises(StageTypeError, match=r"'pages' expects   str"):
        after(int, stage(pages))


def synchronous(function: Callable[P, Coroutine[Any, Any, R]]) -> Callable[P, R]:
    return functools.wraps(function)(lambda *args, **kwargs: asyncio.run(function(*args, **kwargs)))


def collected(function: Callable[P, Iterable[R]]) -> Callable[P, list[R]]:
    return functools.wraps(function)(lambda *args, **kwargs: list(function(*args, **kwargs)))


def test_a_function_that_was_called_already_is_no_function() -> None:
    text = message_of(after, Image, Stage(infer([], "m.pt")))
    assert text.startswith("stage 'infer' must be a function but got: <generator object infer at ")
    assert text.endswith(".\n  Give the function and its arguments, without calling it: stage(infer, argument).")


def test_a_sink_as_a_stage_is_told_its_place() -> None:
    assert message_of(after, int, sink(sum, start=3)) == (
        ".then(...) takes a stage but got: sink(sum, start=3).\n  A sink goes last: .into(sink(sum, start=3))."
    )


def test_a_stage_needs_a_parameter_for_its_items() -> None:
    def make(*, size: int = 1) -> Iterator[int]:
        yield size

    text = message_of(after, str, stage(make))
    assert text.startswith("stage 'make' has no parameter for its items (")
    assert text.endswith("make(items: Iterable[str], *, size: int = 1) -> Iterator[int]")


# --- arguments ------------------------------------------------------------------------------------


def test_a_misspelt_argument_gets_a_suggestion() -> None:
    assert message_of(after, Image, stage(infer, wieghts="m.pt")) == (
        f"stage 'infer' has no parameter 'wieghts' ({here(infer)}).\n"
        "  Did you mean 'weights'?\n"
        "  It is defined as"
        " infer(images: Iterable[Image], weights: str, *, device: str = 'cpu') -> Iterator[float]."
    )
    assert "Did you mean" not in message_of(after, Image, stage(infer, "m.pt", zzz=1))


@pytest.mark.parametrize(
    "bound, problem",
    [
        (stage(infer), "missing a required argument: 'weights'"),
        (stage(infer, "m.pt", "cuda"), "too many positional arguments"),
        (stage(infer, "m.pt", weights="m.pt"), "multiple values for argument 'weights'"),
        (stage(infer, "m.pt", images=[]), "multiple values for argument 'images'"),
        (stage(infer, "m.pt", 3, zzz=1), "too many positional arguments"),
    ],
    ids=repr,
)
def test_arguments_must_bind(bound: Bound, problem: str) -> None:
    first, *advice = message_of(after, Image, bound).splitlines()
    assert first == f"stage 'infer' cannot be called with its items and its arguments: {problem} ({here(infer)})."
    assert advice[0] == "  Arguments are bound next to the function: stage(infer, ...)."
    assert advice[1].startswith("  It is defined as infer(images: Iterable[Image], weights: str, ")


def test_arguments_of_sources_and_sinks_must_bind_too() -> None:
    with pytest.raises(StageTypeError, match=r"^source 'paths' cannot be called with its arguments: "):
        starting(source(paths))
    with pytest.raises(StageTypeError, match=r"^sink 'total' has no parameter 'table' \("):
        ending(int, sink(total, table="t"))


def test_a_partial_is_checked_against_what_is_left_of_it() -> None:
    bound = stage(functools.partial(infer, weights="m.pt"), dvice="cuda")
    assert f"stage 'infer' has no parameter 'dvice' ({here(infer)})" in message_of(after, Image, bound)
    assert where_of(functools.partial(infer, weights="m.pt")) == here(infer)


# --- Pipeline(iterable) ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value, hint",
    [
        (range(3), int),
        ([1, 2], UNKNOWN),
        ({"a": 1}, UNKNOWN),
        ({1}, UNKNOWN),
        (iter("ab"), UNKNOWN),
        ((n for n in [1]), UNKNOWN),
        (Rows("t"), Image),
        (enumerate([1]), tuple[int, Any]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_iterable_says_what_its_class_says(value: object, hint: object) -> None:
    assert check_iterable(value) == hint


def test_no_item_is_read_to_learn_its_type() -> None:
    items = iter([1, 2])
    check_iterable(items)
    assert list(items) == [1, 2]


def test_an_object_that_is_only_indexed_can_be_iterated() -> None:
    class Indexed:
        def __getitem__(self, index: int) -> int:
            raise IndexError

    assert check_iterable(Indexed()) is UNKNOWN


def test_what_cannot_be_iterated_is_refused() -> None:
    with pytest.raises(StageTypeError, match=r"^Pipeline\(\.\.\.\) must be given an iterable but got: 10\.$"):
        check_iterable(10)


def test_a_function_is_refused_with_the_way_to_write_it() -> None:
    assert message_of(check_iterable, paths) == (
        "Pipeline(...) must be given an iterable but got: paths.\n"
        "  A function that makes the items is a source: Pipeline(source(paths, ...))."
    )


def test_an_async_iterable_is_refused() -> None:
    with pytest.raises(
        StageTypeError,
        match=r"\n  An async generator function is a source: Pipeline\(source\(function, \.\.\.\), on=Tasks\(\)\)\.$",
    ):
        check_iterable(fetch([]))


@pytest.mark.parametrize("value, unit", [("text", "character"), (b"text", "byte"), (bytearray(b"t"), "byte")])
def test_a_text_is_refused_as_it_is_nearly_always_a_forgotten_list(value: object, unit: str) -> None:
    assert message_of(check_iterable, value) == (
        f"Pipeline(...) would read this {type(value).__name__} one {unit} at a time.\n"
        "  If it is one item, write Pipeline([value]); if that is meant, Pipeline(list(value))."
    )


def test_a_stage_cannot_begin_a_pipeline() -> None:
    with pytest.raises(StageTypeError, match=r"^Pipeline\(\.\.\.\) begins with a source but got: stage\(batch, 3\)\."):
        check_iterable(stage(batch, 3))


# --- what travels ---------------------------------------------------------------------------------


class Database:
    def __init__(self) -> None:
        self.handle = sqlite3.connect(":memory:")


@pytest.fixture
def database() -> Iterator[Database]:
    found = Database()
    yield found
    found.handle.close()


ADVICE = "  Open it inside the function, so that each worker has its own, or run this on Threads."


def test_functions_closures_and_their_arguments_travel() -> None:
    scale_by = 3

    def scaled(items: Iterable[int]) -> Iterator[int]:
        return (item * scale_by for item in items)

    check_travels(stage(scaled), "scaled")
    check_travels(stage(infer, weights="m.pt"), "infer")
    check_travels(source(lambda: [1, 2]), "<lambda>")


def test_an_argument_that_cannot_travel_is_named_with_the_attribute_at_fault(database: Database) -> None:
    text = message_of(check_travels, stage(infer, database), "infer")
    assert text.startswith(f"stage 'infer' cannot be sent to another process ({here(infer)}):\n")
    assert "\n  argument weights.handle: cannot pickle 'sqlite3.Connection' object" in text
    text = message_of(check_travels, stage(infer, "m.pt", device=[database]), "infer")
    assert "\n  argument device[0].handle: cannot pickle 'sqlite3.Connection' object" in text
    assert text.endswith(ADVICE)


def test_an_argument_of_a_source_is_named(database: Database) -> None:
    with pytest.raises(StageTypeError, match=r"\n  argument folder\.handle: cannot pickle"):
        check_travels(source(paths, database), "paths")


def test_a_captured_variable_that_cannot_travel_is_named(database: Database) -> None:
    def look_up(keys: Iterable[str]) -> Iterator[str]:
        for key in keys:
            yield str(database.handle.execute(key))

    text = message_of(check_travels, stage(look_up), "look_up")
    assert "\n  function look_up (captured variable 'database').handle: cannot pickle 'sqlite3" in text


def test_a_bound_method_of_what_cannot_travel_is_named(database: Database) -> None:
    database.query = functools.partial(infer, weights=database)  # type: ignore[attr-defined]
    with pytest.raises(StageTypeError, match=r"\n  function infer.*: cannot pickle 'sqlite3\.Connection'"):
        check_travels(stage(database.query), "infer")  # type: ignore[attr-defined]


# --- counts ---------------------------------------------------------------------------------------


def test_a_count_is_returned_as_an_int() -> None:
    assert check_count(3, "infer", "in_flight") == 3
    assert check_count(0, "infer", "restarts", least=0) == 0


@pytest.mark.parametrize("value", [True, 2.0, "3", None])
def test_a_count_must_be_an_int(value: object) -> None:
    with pytest.raises(StageOptionError) as caught:
        check_count(value, "infer", "in_flight", advice="Leave it out to bound the channel by bytes.")
    assert str(caught.value) == (
        f"stage 'infer': in_flight must be an int but got: {value!r}.\n  Leave it out to bound the channel by bytes."
    )


def test_a_count_has_a_least_value() -> None:
    with pytest.raises(StageOptionError, match=r"^stage 'infer': in_flight must be at least 1 but got: 0\.$"):
        check_count(0, "infer", "in_flight")

"""What `per_worker` refuses while a pipeline is built, and what is known of the function that a factory makes."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from typing import Any, Generic, Self, TypeVar

import pytest

from chainpump import Inline, Pipeline, PlanError, Processes, StageTypeError, Tasks, Threads, per_worker, source, stage

T = TypeVar("T")

HERE = __file__


def numbers() -> Iterator[int]:
    yield from range(3)


NUMBERS = Pipeline(source(numbers), on=Inline())


class Model:
    def __init__(self, path: str, *, size: int = 3) -> None:
        self.path = path

    def __call__(self, number: int) -> str:
        return self.path * number


class Session(Model):
    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...


class Client:
    async def __aenter__(self) -> Callable[[int], Awaitable[str]]:
        return fetch

    async def __aexit__(self, *_: object) -> None: ...


class Generic1(Generic[T]):
    def __call__(self, item: T) -> list[T]:
        return [item]


class Module:
    """As `torch.nn.Module`: its subclasses define `forward`."""

    __call__: Callable[..., Any] = print


class Net(Module):
    def forward(self, number: int) -> str:
        return str(number)


class Yields:
    def __call__(self, number: int) -> Iterator[str]:
        yield str(number)


def load(path: str) -> Callable[[int], str]:
    return Model(path)


def of_text() -> Callable[[str], str]:
    return str.upper


def managed() -> AbstractContextManager[Callable[[int], str]]:
    return Session("a")


@contextmanager
def opened(path: str) -> Iterator[Callable[[int], str]]:
    yield Model(path)


@asynccontextmanager
async def connected() -> AsyncIterator[Callable[[int], Awaitable[str]]]:
    yield fetch


async def logged_in() -> Callable[[int], Awaitable[str]]:
    return fetch


async def fetch(number: int) -> str:
    return str(number)


def unknown():
    return abs


def undecorated(path: str) -> Iterator[Callable[[int], str]]:
    yield Model(path)


def score(number: int) -> float:
    return 0.5


def line(function: Any) -> str:
    """Where a function is defined."""
    return f"{HERE}:{function.__code__.co_firstlineno}"


def refusal(method: Any, *args: Any, **options: Any) -> str:
    with pytest.raises(PlanError) as refused:
        method(*args, **options)
    return str(refused.value)


@pytest.mark.parametrize(
    "made, on",
    [
        (per_worker(Model, "a"), Processes()),
        (per_worker(Session, "a"), Processes()),
        (per_worker(load, path="a"), Threads(2)),
        (per_worker(managed), Inline()),
        (per_worker(opened, "a"), Processes()),
        (per_worker(connected), Tasks(3)),
        (per_worker(logged_in), Tasks(3)),
        (per_worker(Client), Tasks(3)),
    ],
    ids=str,
)
def test_the_type_of_the_results_is_known(made: Any, on: Any) -> None:
    pipeline = NUMBERS.map(made, on=on)
    assert pipeline.plan().stages[-1].yields is str
    assert "cannot follow" in refusal(pipeline.map, score)


def test_a_generic_function_is_bound_by_its_items() -> None:
    assert NUMBERS.map(per_worker(Generic1), on=Inline()).plan().stages[-1].yields_text == "list[int]"


def test_a_factory_without_hints_makes_a_function_of_unknown_type() -> None:
    assert NUMBERS.map(per_worker(unknown)).plan().stages[-1].yields_text == "?"
    assert NUMBERS.map(per_worker(unknown), returns=int).plan().stages[-1].yields is int
    strict = Pipeline(source(numbers), strict=True)
    assert ".map(unknown, returns=...)" in refusal(strict.map, per_worker(unknown))


def test_a_call_that_is_an_annotated_attribute_is_a_call() -> None:
    assert NUMBERS.map(per_worker(Net)).plan().stages[-1].yields_text == "?"


def test_a_stage_has_the_name_of_the_factory() -> None:
    stage = NUMBERS.map(per_worker(Model, "a")).plan().stages[-1]
    assert (stage.name, stage.call.where) == ("Model", line(Model.__init__))
    assert repr(stage.call.function) == "per_worker(Model, 'a')"


def test_items_that_do_not_fit_the_function_are_refused() -> None:
    assert refusal(NUMBERS.map, per_worker(of_text)) == (
        ".map(of_text) cannot follow 'numbers':\n"
        f"  'numbers' yields    int  ({line(numbers)})\n"
        f"  'of_text' expects   str  (its item, {line(of_text)})\n"
        "  Let 'of_text' take int, let 'numbers' yield str, or put a stage between them."
    )
    assert "parameter 'number'" in refusal(Pipeline(["a"]).tap(print).map(str.upper).map, per_worker(Model, "a"))


@pytest.mark.parametrize(
    "made, message",
    [
        (per_worker(Model, "a", speed=3), "per_worker(Model) has no parameter 'speed'"),  # type: ignore[call-overload]
        (per_worker(Model, "a", "b"), "per_worker(Model) cannot be called with its arguments: too many positional"),  # type: ignore[call-overload]
        (per_worker(load, 3), "per_worker(load) is given int as 'path', and expects str"),  # type: ignore[call-overload]
        (per_worker(undecorated, "a"), "Decorate it with contextlib.contextmanager."),
        (per_worker(3), "per_worker(int) must be a function but got: 3"),  # type: ignore[call-overload]
        (per_worker(connected), "which only an event loop can await or enter"),
        (per_worker(logged_in), "per_worker(logged_in) is async"),
        (per_worker(lambda: fetch), None),
    ],
    ids=str,
)
def test_a_factory_that_cannot_be_used_is_refused(made: Any, message: str | None) -> None:
    if message is None:
        # Nothing is known of what a lambda makes.
        NUMBERS.map(made, on=Threads())
    else:
        assert message in refusal(NUMBERS.map, made, on=Threads())


def test_the_function_of_an_item_as_its_own_factory_is_told_of() -> None:
    assert refusal(NUMBERS.map, per_worker(score)) == (
        "per_worker(score) cannot be called without arguments: missing a required argument: 'number' "
        f"({line(score)}).\n"
        "  Arguments of the factory come after it: per_worker(score, ...).\n"
        "  The factory makes the function of one item; if 'score' is that function, pass it as it is: .map(score)."
    )
    made: Any = per_worker(score, 3)  # type: ignore[type-var]
    assert refusal(NUMBERS.filter, made) == (
        f"per_worker(score) returns float, which cannot be called with an item ({line(score)}).\n"
        "  It makes the function of one item, once in each worker; if 'score' is that function, pass it as it is: "
        ".filter(score)."
    )


def test_a_function_that_is_not_async_is_refused_on_tasks_and_the_other_way_round() -> None:
    assert "makes a function that is not async" in refusal(NUMBERS.map, per_worker(load, "a"), on=Tasks(3))

    def makes_async() -> Callable[[int], Awaitable[str]]:
        return fetch

    assert "makes an async function" in refusal(NUMBERS.map, per_worker(makes_async), on=Threads(3))


def test_a_generator_as_the_function_of_map_is_refused() -> None:
    assert ".map(Yields) is a generator function" in refusal(NUMBERS.map, per_worker(Yields))
    assert NUMBERS.flat_map(per_worker(Yields)).plan().stages[-1].yields is str


@pytest.mark.parametrize("method, what", [("then", "a generator stage"), ("into", "a sink")])
def test_stages_of_all_items_set_up_before_their_loop(method: str, what: str) -> None:
    assert refusal(getattr(NUMBERS, method), per_worker(load, "a")) == (
        f".{method}(...) takes {what} but got: per_worker(load, 'a').\n"
        f"  {what[0].upper()}{what[1:]} needs no factory: code before its loop runs once in each worker.\n"
        "  A function of one item, and a factory of it, go into .map(), .filter(), .flat_map(), .tap() or .each()."
    )


def test_other_bound_functions_are_still_refused() -> None:
    with pytest.raises(StageTypeError, match=r"is to be given as it is but got: stage\(numbers\)"):
        NUMBERS.map(stage(numbers))  # type: ignore[arg-type,call-overload]


def test_a_factory_that_cannot_be_pickled_is_refused_for_processes() -> None:
    def guarded(lock: threading.Lock) -> Callable[[int], int]:
        with lock:
            return abs

    lock = threading.Lock()
    told = refusal(NUMBERS.map, per_worker(guarded, lock), on=Processes(), name="score")
    assert "map 'score' cannot be sent to another process" in told
    assert "argument lock: cannot pickle '_thread.lock' object" in told
    assert NUMBERS.map(per_worker(guarded, lock), on=Threads())

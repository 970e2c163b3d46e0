"""Functions of every kind, and chains of them: what the build, mypy and pyright are asked about by `chains.py`.

PIPELINES x ITEM_FUNCTIONS, x STAGES and x SINKS are combined; CHAINS are as they are.
"""

# ruff: noqa: F401  # the chains use what is imported

from __future__ import annotations

import enum
import functools
import itertools
import json
import operator
import os
import random
from collections import Counter, deque
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
    Sized,
)
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import (
    Any,
    Concatenate,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    ParamSpec,
    Protocol,
    Self,
    TypeGuard,
    TypeVar,
    overload,
)

from typing_extensions import TypeIs

from chainpump import DeadLetter, Pipeline, Processes, Retry, Skip, Tasks, Threads, per_worker, sink, source, stage

T = TypeVar("T")
S = TypeVar("S")
R = TypeVar("R")
P = ParamSpec("P")
F = TypeVar("F", bound=Callable[..., Any])
N = TypeVar("N", int, str)
B = TypeVar("B", bound=float)
UserId = NewType("UserId", int)


class Base: ...


class Png(Base): ...


class HasLength(Protocol):
    def __len__(self) -> int: ...


class Named(Protocol):
    @property
    def name(self) -> str: ...


class Colour(enum.Enum):
    RED = 1


class Pair(NamedTuple):
    left: int
    right: str = ""


class Box(Generic[T]):
    def __init__(self, item: T) -> None:
        self.item = item

    def get(self) -> T:
        return self.item

    def same(self) -> Self:
        return self

    def put(self, item: T) -> T:
        return item

    def pair(self, item: S) -> tuple[T, S]:
        return self.item, item


class IntBox(Box[int]): ...


@dataclass
class Page:
    number: int

    def text(self) -> str:
        return ""

    @property
    def title(self) -> str:
        return ""

    @classmethod
    def of(cls, number: int) -> Page:
        return cls(number)

    @staticmethod
    def parse(text: str) -> Page:
        return Page(len(text))

    async def load(self) -> bytes:
        return b""


class Caller:
    def __call__(self, number: int) -> str:
        return ""

    def method(self, number: int) -> bytes:
        return b""

    async def fetch(self, number: int) -> str:
        return ""

    @overload
    def read(self, item: int) -> str: ...
    @overload
    def read(self, item: str) -> int: ...
    def read(self, item: Any) -> Any:
        return item


class AsyncCaller:
    async def __call__(self, number: int) -> str:
        return ""


# ------------------------------------------------------------------------------------------------------ decorators


def listed(function: Callable[P, Iterable[R]]) -> Callable[P, list[R]]:
    @functools.wraps(function)
    def inner(*args: P.args, **kwargs: P.kwargs) -> list[R]:
        return list(function(*args, **kwargs))

    return inner


def optional(times: int) -> Callable[[Callable[P, R]], Callable[P, R | None]]:
    def decorate(function: Callable[P, R]) -> Callable[P, R | None]:
        @functools.wraps(function)
        def inner(*args: P.args, **kwargs: P.kwargs) -> R | None:
            return function(*args, **kwargs)

        return inner

    return decorate


def timed(function: F) -> F:
    @functools.wraps(function)
    def inner(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return inner  # type: ignore[return-value]


def from_text(function: Callable[[int], R]) -> Callable[[str], R]:
    @functools.wraps(function)
    def inner(text: str) -> R:
        return function(int(text))

    return inner


def connected(function: Callable[Concatenate[int, P], R]) -> Callable[P, R]:
    @functools.wraps(function)
    def inner(*args: P.args, **kwargs: P.kwargs) -> R:
        return function(1, *args, **kwargs)

    return inner


def retried(function: Callable[P, Awaitable[R]]) -> Callable[P, Coroutine[Any, Any, R]]:
    @functools.wraps(function)
    async def inner(*args: P.args, **kwargs: P.kwargs) -> R:
        return await function(*args, **kwargs)

    return inner


def loose(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def inner(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return inner


class Memo(Generic[P, R]):
    def __init__(self, function: Callable[P, R]) -> None:
        functools.update_wrapper(self, function)
        self.function = function

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.function(*args, **kwargs)


# --------------------------------------------------------------------------------------------- functions of one item


def int_to_str(number: int) -> str:
    return ""


def str_to_int(text: str) -> int:
    return 0


def float_to_float(number: float) -> float:
    return number


def opt_to_int(number: int | None) -> int:
    return 0


def int_to_opt(number: int) -> int | None:
    return number


def path_to_bytes(path: Path) -> bytes:
    return b""


def to_page(number: int, size: int = 3, *, unit: str = "") -> Page:
    return Page(number)


def two(number: int, other: int) -> int:
    return number


def ints_to_int(numbers: Sequence[int]) -> int:
    return 0


def ints_sum(numbers: list[int]) -> int:
    return 0


def sized_to_int(item: Sized) -> int:
    return len(item)


def mapping_to_list(mapping: Mapping[str, int]) -> list[int]:
    return []


def object_to_str(item: object) -> str:
    return ""


def any_to_any(item: Any) -> Any:
    return item


def same(item: T) -> T:
    return item


def boxed(item: T) -> Box[T]:
    return Box(item)


def first(items: Sequence[T]) -> T:
    return items[0]


def swapped(pair: tuple[T, S]) -> tuple[S, T]:
    return pair[1], pair[0]


def constrained(item: N) -> N:
    return item


def limited(item: B) -> B:
    return item


def named(item: Named) -> str:
    return item.name


def has_length(item: HasLength) -> int:
    return len(item)


def literal(item: Literal["a", "b"]) -> int:
    return 0


def user(item: UserId) -> int:
    return 0


def int_to_user(number: int) -> UserId:
    return UserId(number)


def repeated(number: int) -> Iterator[int]:
    yield number


def split_text(text: str) -> list[str]:
    return []


def is_int(item: object) -> TypeGuard[int]:
    return True


def is_text(item: int | str) -> TypeIs[str]:
    return True


def truth(number: int) -> bool:
    return True


def nothing(number: int) -> None: ...


async def fetch(number: int) -> str:
    return ""


async def fetch_same(item: T) -> T:
    return item


def requested(number: int) -> Awaitable[str]:
    return fetch(number)


def begun(number: int) -> Coroutine[Any, Any, bytes]:
    raise NotImplementedError


async def lines(number: int) -> AsyncIterator[str]:
    yield ""


async def listing(number: int) -> list[str]:
    return []


@overload
def parsed(item: int) -> str: ...
@overload
def parsed(item: str) -> bytes: ...
@overload
def parsed(item: list[T]) -> T: ...
def parsed(item: Any) -> Any:
    return item


@listed
def words(text: str) -> Iterator[str]:
    yield text


class Model:
    def __init__(self, path: str, *, size: int = 3) -> None:
        self.path = path

    def __call__(self, number: int) -> str:
        return ""


class Session(Model):
    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...


class AsyncSession(AsyncCaller):
    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...


class Both(Generic[T]):
    def __init__(self, item: T) -> None:
        self.item = item

    def __call__(self, item: T) -> list[T]:
        return [item]


def load(path: str) -> Callable[[int], str]:
    return Model(path)


def load_reader(path: str) -> Callable[[int], Iterable[str]]:
    raise NotImplementedError


def entering(path: str) -> AbstractContextManager[Callable[[int], str]]:
    return Session(path)


@contextmanager
def opened(path: str) -> Iterator[Callable[[int], str]]:
    yield Model(path)


@contextmanager
def generated(path: str) -> Generator[Model]:
    yield Model(path)


@asynccontextmanager
async def opened_async(path: str) -> AsyncIterator[Callable[[int], Coroutine[Any, Any, str]]]:
    yield fetch


async def loaded(path: str) -> Callable[[int], Awaitable[str]]:
    return fetch


@optional(3)
def maybe(number: int) -> str:
    return ""


@timed
def identity_of(number: int) -> str:
    return ""


@from_text
def of_digits(number: int) -> bytes:
    return b""


@connected
def with_connection(connection: int, text: str) -> float:
    return 0.0


@loose
def loosened(number: int) -> str:
    return ""


@Memo
def memoised(number: int) -> str:
    return ""


@functools.cache
def cached(number: int) -> str:
    return ""


@functools.lru_cache(maxsize=3)
def lru(number: int) -> str:
    return ""


@functools.singledispatch
def dispatched(item: int) -> str:
    return ""


@retried
async def fetched_again(number: int) -> str:
    return ""


@timed
async def fetched_timed(number: int) -> str:
    return ""


def keyed(key: S, item: T) -> tuple[S, T]:
    return key, item


# ------------------------------------------------------------------------------------------------- sources and stages


def numbers(limit: int = 3) -> Iterator[int]:
    yield from range(limit)


def numbers_or_texts() -> list[int] | list[str]:
    return [1]


def nested() -> Generator[list[int], None, None]:
    yield [1]


async def async_numbers() -> AsyncIterator[int]:
    yield 1


def doubled(items: Iterable[int]) -> Iterator[int]:
    yield from items


def by_twos(items: Iterator[int]) -> Iterator[tuple[int, int]]:
    for item in items:
        yield item, next(items)


def any_items(items: Iterable[T]) -> Iterator[T]:
    yield from items


def any_iterator(items: Iterator[T]) -> Iterator[T]:
    yield from items


def grouped(items: Iterable[T], n: int) -> Iterator[list[T]]:
    yield list(items)[:n]


def flat(items: Iterable[Iterable[T]]) -> Iterator[T]:
    for each in items:
        yield from each


def texts(items: Iterable[str], prefix: str = "") -> Iterator[str]:
    yield from items


def converted(items: Iterable[T], function: Callable[[T], S]) -> Iterator[S]:
    return map(function, items)


def kept(items: Iterable[T], test: Callable[[T], bool]) -> Iterator[T]:
    return filter(test, items)


def labelled(items: Iterable[T], label: S) -> Iterator[tuple[S, T]]:
    yield from ((label, item) for item in items)


def wanting_list(items: list[int]) -> Iterator[int]:
    yield from items


def as_list(items: Iterable[T]) -> list[T]:
    return list(items)


def floats(items: Iterable[float]) -> Iterator[float]:
    yield from items


@overload
def scaled(items: Iterable[int], factor: int) -> Iterator[int]: ...
@overload
def scaled(items: Iterable[str], factor: int) -> Iterator[str]: ...
def scaled(items: Any, factor: int) -> Any:
    return items


@timed
def timed_stage(items: Iterable[int]) -> Iterator[str]:
    yield ""


@listed
def listed_stage(items: Iterable[int]) -> Iterator[str]:
    yield ""


class Model:
    def infer(self, items: Iterable[int], size: int = 1) -> Iterator[float]:
        yield 0.0

    def __call__(self, items: Iterable[str]) -> Iterator[bytes]:
        yield b""


class Typed(Generic[T]):
    def passed(self, items: Iterable[T]) -> Iterator[T]:
        yield from items


def total(items: Iterable[int]) -> int:
    return 0


def last(items: Iterable[T]) -> T:
    return list(items)[-1]


def folded(items: Iterable[T], function: Callable[[T, T], T]) -> T:
    return functools.reduce(function, items)


def add(a: int, b: int) -> int:
    return a + b


def written(items: Iterator[str], table: str) -> None: ...


def mean(items: Iterable[float]) -> float:
    return 0.0


INTS = Pipeline(source(numbers))
FLOATS = INTS.map(lambda _: 0.0, returns=float)
TEXTS = INTS.map(int_to_str)
BYTES = INTS.map(lambda _: b"", returns=bytes)
PATHS = INTS.map(lambda _: Path(), returns=Path)
LISTS = INTS.map(lambda _: [0], returns=list[int])
TEXT_LISTS = TEXTS.map(split_text)
PAIRS = INTS.map(lambda _: ("", 0), returns=tuple[str, int])
DICTS = INTS.map(lambda _: {"": 0}, returns=dict[str, int])
OPTIONAL = INTS.map(int_to_opt)
EITHER = INTS.map(lambda each: each, returns=int | str)
PAGES = INTS.map(to_page)
BOXES = INTS.map(boxed)
PNGS = INTS.map(lambda _: Png(), returns=Png)
USERS = INTS.map(int_to_user)
ANYTHING = INTS.map(any_to_any)

PIPELINES = [
    "INTS",
    "FLOATS",
    "TEXTS",
    "BYTES",
    "PATHS",
    "LISTS",
    "TEXT_LISTS",
    "PAIRS",
    "DICTS",
    "OPTIONAL",
    "EITHER",
    "PAGES",
    "BOXES",
    "PNGS",
    "USERS",
    "ANYTHING",
]

ITEM_FUNCTIONS = [
    "",
    "int_to_str",
    "float_to_float",
    "opt_to_int",
    "ints_to_int",
    "ints_sum",
    "sized_to_int",
    "mapping_to_list",
    "same",
    "boxed",
    "first",
    "swapped",
    "constrained",
    "limited",
    "named",
    "has_length",
    "literal",
    "user",
    "parsed",
    "words",
    "maybe",
    "of_digits",
    "with_connection",
    "loosened",
    "memoised",
    "cached",
    "dispatched",
    "Page",
    "Pair",
    "Box",
    "IntBox",
    "Page.text",
    "Page.of",
    "Page.parse",
    "Box.get",
    "Caller()",
    "Caller().method",
    "Caller().read",
    "Box(1).put",
    'Box("").pair',
    "IntBox(3).put",
    "functools.partial(to_page)",
    "functools.partial(two, 3)",
    "functools.partial(Page)",
    'functools.partial(keyed, "key")',
    "functools.partial(Caller().method)",
    "str.upper",
    "str.split",
    "len",
    "str",
    "Path",
    "repr",
    "abs",
    "bool",
    "sorted",
    "list",
    "json.loads",
    "os.path.basename",
    "operator.itemgetter(0)",
    "",
][1:-1]

STAGES = [
    "",
    "doubled",
    "by_twos",
    "any_items",
    "any_iterator",
    "stage(grouped, 3)",
    "flat",
    "stage(flat)",
    "texts",
    'stage(texts, prefix="a")',
    "floats",
    "stage(scaled, 3)",
    "timed_stage",
    "listed_stage",
    "Model().infer",
    "Model()",
    "Typed[int]().passed",
    "enumerate",
    "stage(enumerate, 3)",
    "as_list",
    "stage(converted, int_to_str)",
    "stage(kept, truth)",
    'stage(labelled, "label")',
    "functools.partial(grouped, n=3)",
    "",
][1:-1]

SINKS = [
    "",
    "total",
    "last",
    "mean",
    "list",
    "set",
    "sum",
    "sorted",
    'sink(written, "table")',
    "sink(folded, add)",
    '"".join',
    "Counter",
    "deque",
    "",
][1:-1]

CHAINS = [
    "",
    "Pipeline(source(numbers, 3)).map(int_to_str).map(str_to_int)",
    "Pipeline(source(numbers, 3)).map(int_to_str).map(int_to_str)",
    'Pipeline(source(numbers, "3"))',
    "Pipeline(source(range, 3)).map(int_to_str)",
    "Pipeline(source(range, 3)).map(str_to_int)",
    "Pipeline(source(numbers_or_texts)).map(object_to_str)",
    "Pipeline(source(numbers_or_texts)).map(int_to_str)",
    "Pipeline(source(nested)).map(ints_sum)",
    "Pipeline(source(nested)).unbatch().map(int_to_str)",
    "Pipeline(source(nested)).unbatch().map(str_to_int)",
    "Pipeline(source(async_numbers), on=Tasks()).map(int_to_str)",
    "Pipeline(source(async_numbers), on=Tasks()).map(str_to_int)",
    "Pipeline(source(Page(1).text))",
    "Pipeline(source(functools.partial(numbers, 3))).map(int_to_str)",
    "Pipeline(range(3)).map(int_to_str)",
    "Pipeline(range(3)).map(str_to_int)",
    "Pipeline(numbers(3))",
    "Pipeline(3)",
    "INTS.batch(3).map(ints_sum)",
    "INTS.batch(3).map(ints_to_int)",
    "INTS.batch(3).map(int_to_str)",
    "INTS.batch(3).unbatch().map(int_to_str)",
    "INTS.batch(3).unbatch().map(str_to_int)",
    "INTS.batch(2).batch(3).unbatch().map(ints_sum)",
    "INTS.batch(2).batch(3).unbatch().map(int_to_str)",
    "INTS.window(3).map(sum)",
    "INTS.window(3).map(ints_sum)",
    "INTS.window(3, step=2).map(int_to_str)",
    "INTS.window(3).unbatch().map(int_to_str)",
    "INTS.window(3).unbatch().map(str_to_int)",
    "INTS.unbatch()",
    "LISTS.unbatch().map(int_to_str)",
    "DICTS.unbatch().map(str_to_int)",
    "DICTS.unbatch().map(int_to_str)",
    "INTS.take(3).map(int_to_str)",
    "INTS.batch(by=int_to_str, most=3)",
    "INTS.batch(by=float_to_float, most=3).map(ints_sum)",
    "INTS.batch(by=str_to_int, most=3)",
    "INTS.group_by(int_to_str).map(int_to_str)",
    "INTS.group_by(str_to_int)",
    "INTS.tap(int_to_str).map(int_to_str)",
    "INTS.tap(str_to_int)",
    "INTS.skip(3).shuffle(2).map(int_to_str)",
    "INTS.skip(3).shuffle(2).map(str_to_int)",
    "INTS.enumerate().map(int_to_str)",
    "INTS.enumerate().unbatch().map(int_to_str)",
    "INTS.enumerate().unbatch().map(str_to_int)",
    "INTS.take_while(int_to_str).map(int_to_str)",
    "INTS.take_while(str_to_int)",
    "INTS.skip_while(str_to_int)",
    "INTS.distinct().map(int_to_str)",
    "INTS.distinct().map(str_to_int)",
    "INTS.distinct(key=int_to_str).map(int_to_str)",
    "INTS.distinct(key=str_to_int)",
    "LISTS.distinct()",
    "LISTS.distinct(key=len).map(ints_sum)",
    "INTS.take(3).map(str_to_int)",
    "INTS.flat_map(repeated).map(int_to_str)",
    "INTS.flat_map(repeated).map(str_to_int)",
    "INTS.flat_map(int_to_str).map(str_to_int)",
    "INTS.flat_map(nothing)",
    "INTS.flat_map(opt_to_int)",
    "TEXTS.flat_map(split_text).map(str_to_int)",
    "TEXTS.flat_map(split_text).map(int_to_str)",
    "TEXTS.flat_map(str.split).map(str_to_int)",
    "TEXTS.flat_map(words).map(str_to_int)",
    "TEXTS.flat_map(words).map(int_to_str)",
    "INTS.flat_map(range).map(int_to_str)",
    "INTS.flat_map(range).map(str_to_int)",
    "INTS.flat_map(lambda number: [number], returns=list[int]).map(int_to_str)",
    "INTS.flat_map(lambda number: [number], returns=list[int]).map(str_to_int)",
    "INTS.flat_map(lambda number: [number], returns=int)",
    "INTS.map(lambda number: number, returns=int | None).map(opt_to_int)",
    "INTS.map(lambda number: number, returns=int | None).map(int_to_str)",
    'INTS.map(lambda number: "a", returns=Literal["a", "b"]).map(literal)',
    'INTS.map(lambda number: "a", returns=Literal["a", "c"]).map(literal)',
    "INTS.map(lambda number: UserId(1), returns=UserId).map(user)",
    "INTS.map(lambda number: UserId(1), returns=UserId).map(int_to_str)",
    "INTS.map(lambda number: Path(), returns=Named).map(named)",
    "INTS.map(lambda number: Path(), returns=Named).map(path_to_bytes)",
    "INTS.map(int_to_str, returns=object).map(object_to_str)",
    "INTS.map(any_to_any, returns=str).map(str_to_int)",
    "INTS.map(any_to_any, returns=str).map(int_to_str)",
    "INTS.map(loosened, returns=str).map(int_to_str)",
    "INTS.map(loosened).map(int_to_str)",
    "INTS.map(fetch, on=Tasks()).map(str_to_int)",
    "INTS.map(fetch, on=Tasks()).map(int_to_str)",
    "INTS.map(fetch_same, on=Tasks()).map(int_to_str)",
    "INTS.map(fetch_same, on=Tasks()).map(str_to_int)",
    "INTS.map(requested, on=Tasks()).map(str_to_int)",
    "INTS.map(requested, on=Tasks()).map(int_to_str)",
    "INTS.map(begun, on=Tasks()).map(len)",
    "INTS.map(begun, on=Tasks()).map(int_to_str)",
    "INTS.map(fetched_again, on=Tasks()).map(str_to_int)",
    "INTS.map(fetched_again, on=Tasks()).map(int_to_str)",
    "INTS.map(fetched_timed, on=Tasks()).map(str_to_int)",
    "INTS.map(fetched_timed, on=Tasks()).map(int_to_str)",
    "INTS.map(Caller().fetch, on=Tasks()).map(str_to_int)",
    "INTS.map(Caller().fetch, on=Tasks()).map(int_to_str)",
    "INTS.map(AsyncCaller(), on=Tasks()).map(str_to_int)",
    "INTS.map(functools.partial(fetch), on=Tasks()).map(str_to_int)",
    "INTS.map(functools.partial(fetch), on=Tasks()).map(int_to_str)",
    "TEXTS.map(fetch, on=Tasks())",
    "PAGES.map(Page.load, on=Tasks()).map(len)",
    "PAGES.map(Page.load, on=Tasks()).map(int_to_str)",
    "INTS.map(fetch, on=Tasks(3), on_error=Retry(3), timeout=3.0, ordered=False).map(str_to_int)",
    "INTS.flat_map(lines, on=Tasks()).map(str_to_int)",
    "INTS.flat_map(lines, on=Tasks()).map(int_to_str)",
    "INTS.flat_map(listing, on=Tasks()).map(str_to_int)",
    "INTS.flat_map(listing, on=Tasks()).map(int_to_str)",
    "INTS.filter(truth).map(int_to_str)",
    "INTS.filter(truth).map(str_to_int)",
    "INTS.filter(bool).map(int_to_str)",
    "INTS.filter(str_to_int)",
    "EITHER.filter(is_int).map(int_to_str)",
    "EITHER.filter(is_int).map(str_to_int)",
    "EITHER.filter(is_text).map(str_to_int)",
    "EITHER.filter(is_text).map(int_to_str)",
    "OPTIONAL.filter(is_int).map(int_to_str)",
    "OPTIONAL.filter(bool).map(int_to_str)",
    "OPTIONAL.filter(is_text)",
    "EITHER.map(parsed).map(object_to_str)",
    "EITHER.map(parsed).map(str_to_int)",
    "INTS.map(parsed).map(str_to_int)",
    "INTS.map(parsed).map(int_to_str)",
    "LISTS.map(parsed).map(int_to_str)",
    "LISTS.map(parsed).map(str_to_int)",
    "INTS.map(Caller().read).map(str_to_int)",
    "INTS.map(Caller().read).map(int_to_str)",
    "TEXTS.map(words).map(split_text)",
    "TEXTS.map(words).map(first).map(str_to_int)",
    "TEXTS.map(words).map(first).map(int_to_str)",
    "INTS.map(maybe).map(str_to_int)",
    "INTS.map(maybe).map(object_to_str)",
    "TEXTS.map(of_digits).map(len)",
    "TEXTS.map(of_digits).map(int_to_str)",
    "TEXTS.map(with_connection).map(float_to_float)",
    "TEXTS.map(with_connection).map(int_to_str)",
    "INTS.map(cached).map(str_to_int)",
    "INTS.map(cached).map(int_to_str)",
    "INTS.map(lru).map(str_to_int)",
    "INTS.map(memoised).map(str_to_int)",
    "INTS.map(memoised).map(int_to_str)",
    "INTS.map(identity_of).map(str_to_int)",
    "INTS.map(identity_of).map(int_to_str)",
    "INTS.map(Page).map(Page.text).map(str_to_int)",
    "INTS.map(Page).map(Page.text).map(int_to_str)",
    "INTS.map(functools.partial(Page)).map(Page.text)",
    'INTS.map(functools.partial(to_page, unit="a")).map(Page.text)',
    "INTS.map(functools.partial(to_page, unit=3))",
    "INTS.map(functools.partial(to_page, size=3)).map(int_to_str)",
    'INTS.map(functools.partial(keyed, "a")).map(swapped).map(operator.itemgetter(0))',
    'INTS.map(functools.partial(keyed, "a")).map(int_to_str)',
    "INTS.map(boxed).map(Box.get).map(int_to_str)",
    "INTS.map(boxed).map(Box.get).map(str_to_int)",
    "INTS.map(Box).map(Box.get).map(int_to_str)",
    "INTS.map(Box).map(Box.get).map(str_to_int)",
    "BOXES.map(Box.same).map(Box.get).map(int_to_str)",
    "INTS.map(two)",
    "INTS.map(Page(1).text)",
    "INTS.map(to_page).map(Page.text)",
    "INTS.map(repeated)",
    "INTS.map(3)",
    'INTS.map("upper")',
    "INTS.map(numbers)",
    "INTS.then(doubled).map(int_to_str)",
    "INTS.then(doubled).map(str_to_int)",
    "INTS.then(by_twos).map(swapped)",
    "INTS.then(by_twos).map(int_to_str)",
    "INTS.then(stage(grouped, 3)).map(ints_sum)",
    "INTS.then(stage(grouped, 3)).map(int_to_str)",
    "INTS.then(stage(grouped, 3)).then(flat).map(int_to_str)",
    "INTS.then(stage(grouped, 3)).then(flat).map(str_to_int)",
    "INTS.then(stage(grouped, n=3)).then(stage(flat)).then(texts)",
    "INTS.then(stage(grouped))",
    "INTS.then(stage(grouped, 3, 4))",
    "INTS.then(stage(grouped, m=3))",
    'INTS.then(stage(grouped, "3"))',
    "INTS.then(wanting_list)",
    "INTS.then(stage(wanting_list))",
    "INTS.then(int_to_str)",
    'INTS.then(stage(labelled, "a")).map(swapped).map(operator.itemgetter(1))',
    'INTS.then(stage(labelled, "a")).map(int_to_str)',
    "INTS.then(stage(converted, int_to_str)).map(str_to_int)",
    "INTS.then(stage(converted, int_to_str)).map(int_to_str)",
    "INTS.then(stage(converted, str_to_int))",
    "INTS.then(stage(converted, str)).map(str_to_int)",
    "INTS.then(stage(converted, Page)).map(Page.text)",
    "INTS.then(stage(converted, Page)).map(int_to_str)",
    "INTS.then(stage(converted, lambda number: number))",
    "INTS.then(stage(kept, truth)).map(int_to_str)",
    "INTS.then(stage(kept, str_to_int))",
    "TEXTS.then(stage(kept, truth))",
    "TEXTS.then(stage(converted, str_to_int)).map(int_to_str)",
    "TEXTS.then(stage(converted, cached))",
    "INTS.then(stage(scaled, 3)).map(int_to_str)",
    "INTS.then(stage(scaled, 3)).map(str_to_int)",
    "TEXTS.then(stage(scaled, 3)).map(str_to_int)",
    "INTS.then(timed_stage).map(str_to_int)",
    "INTS.then(timed_stage).map(int_to_str)",
    "INTS.then(listed_stage).map(str_to_int)",
    "INTS.then(listed_stage).map(int_to_str)",
    "INTS.then(stage(Model().infer, size=2)).map(float_to_float)",
    "INTS.then(stage(Model().infer, 2)).map(int_to_str)",
    "INTS.then(stage(Model().infer, sise=2))",
    "INTS.then(Typed[str]().passed)",
    "INTS.then(Typed[int]().passed).map(int_to_str)",
    "INTS.then(enumerate).map(swapped).map(int_to_str)",
    "INTS.then(itertools.pairwise)",
    'INTS.then(doubled, may_stop=True, on=Threads(2), in_flight=3, name="a")',
    'INTS.then(doubled, may_stop="yes")',
    "INTS.then(fetch)",
    "INTS.then(lines)",
    "INTS.into(total).run",
    "INTS.into(sink(folded, add))",
    "TEXTS.into(sink(folded, add))",
    'INTS.into(sink(written, "t"))',
    'TEXTS.into(sink(written, "t"))',
    "TEXTS.into(sink(written))",
    "TEXTS.into(sink(written, 3))",
    "INTS.into(int_to_str)",
    "INTS.into(functools.partial(folded, function=add))",
    "INTS.each(nothing)",
    "TEXTS.each(nothing)",
    "INTS.each(print)",
    "INTS.each(fetch, on=Tasks())",
    "TEXTS.each(fetch, on=Tasks())",
    "INTS.each(two)",
    "INTS.map(int_to_str, on=Processes(2), on_error=DeadLetter()).filter(str_to_int, on_error=Skip(ValueError))",
    "INTS.map(int_to_str, ordred=False)",
    "INTS.map(int_to_str, on_error=ValueError)",
    "INTS.map(int_to_str, on=2)",
    "INTS.map(int_to_str, returns=3)",
    "Pipeline.concat(INTS, INTS).map(int_to_str)",
    "Pipeline.concat(INTS, TEXTS).map(int_to_str)",
    "Pipeline.concat(INTS, TEXTS).map(parsed)",
    "Pipeline.merge(INTS, FLOATS).map(float_to_float)",
    "Pipeline.merge(INTS, PAGES).map(int_to_str)",
    "INTS.inline().map(int_to_str)",
    "INTS.inline().map(str_to_int)",
    "PNGS.map(object_to_str)",
    "PATHS.map(path_to_bytes).map(len)",
    "PATHS.map(Path.read_text).map(int_to_str)",
    "PATHS.map(str).map(str_to_int)",
    "PATHS.map(str).map(int_to_str)",
    "PATHS.map(named)",
    "TEXTS.map(str.upper).map(str_to_int)",
    "TEXTS.map(str.upper).map(int_to_str)",
    "TEXTS.map(len).map(int_to_str)",
    "TEXTS.map(len).map(str_to_int)",
    "TEXTS.map(str.split).map(len)",
    "TEXTS.map(str.split).map(str_to_int)",
    "LISTS.map(sum).map(int_to_str)",
    "LISTS.map(sorted).map(ints_sum)",
    "LISTS.map(sorted).map(int_to_str)",
    "LISTS.map(tuple).map(ints_to_int)",
    "LISTS.map(set).map(sized_to_int)",
    "LISTS.map(max).map(int_to_str)",
    "LISTS.map(max).map(str_to_int)",
    "TEXTS.map(int).map(int_to_str)",
    "TEXTS.map(float).map(float_to_float)",
    "TEXTS.map(float).map(int_to_str)",
    "INTS.map(str).map(int_to_str)",
    "INTS.map(bool).map(int_to_str)",
    "INTS.map(abs).map(int_to_str)",
    "INTS.map(hex).map(str_to_int)",
    "INTS.map(chr).map(int_to_str)",
    "PAIRS.map(dict)",
    "INTS.map(list)",
    "TEXTS.map(list).map(first).map(int_to_str)",
    "INTS.map(random.Random)",
    "DICTS.map(dict.keys).map(first)",
    "DICTS.flat_map(dict.items).map(swapped)",
    "DICTS.map(len)",
    *(
        f"{pipeline}.map(per_worker({factory})).map({after})"
        for pipeline in ("INTS", "TEXTS")
        for factory in (
            "Model, 'a', size=3",
            "Model, 3",
            "Model, 'a', speed=3",
            "Model",
            "Session, 'a'",
            "Both[int], 3",
            "Both, 3",
            "load, 'a'",
            "load, path=3",
            "functools.partial(load, 'a')",
            "load_reader, 'a'",
            "entering, 'a'",
            "opened, 'a'",
            "opened, 3",
            "generated, 'a'",
            "int_to_str",
            "int_to_str, 3",
        )
        for after in ("str_to_int", "int_to_str")
    ),
    *(
        f"INTS.map(per_worker({factory}), on=Tasks(3)).map({after})"
        for factory in ("opened_async, 'a'", "loaded, 'a'", "loaded, 3", "AsyncCaller", "AsyncSession")
        for after in ("str_to_int", "int_to_str")
    ),
    "INTS.flat_map(per_worker(load_reader, 'a')).map(str_to_int)",
    "INTS.flat_map(per_worker(load_reader, 'a')).map(int_to_str)",
    "INTS.flat_map(per_worker(load, 'a')).map(int_to_str)",
    "INTS.filter(per_worker(load, 'a')).map(int_to_str)",
    "INTS.filter(per_worker(load, 'a')).map(str_to_int)",
    "INTS.each(per_worker(opened, 'a'))",
    "TEXTS.each(per_worker(opened, 'a'))",
    "INTS.then(per_worker(load, 'a'))",
    "INTS.into(per_worker(load, 'a'))",
    "",
][1:-1]

# Where the build differs from both checkers, and should: by the end of the chain.
ON_PURPOSE = {
    ".map(cached)": "what a cached function takes, which to typeshed is whatever can be hashed",
    "stage(converted, cached))": "the same",
    ".map(repeated)": "a generator function would give a generator for each item, which nobody iterates",
    ".map(numbers)": "the same",
    "source(Page(1).text))": "a text would be sent one character at a time",
    "flat_map(int_to_str).map(str_to_int)": "the same",
    "EITHER.map(parsed).map(object_to_str)": "each member of a union by an overload of its own, as in a plain call",
}

"""What fits what, as a table; each verdict is mypy's unless the line says why not."""

# ruff: noqa: PYI061, UP006, UP007, UP044, UP045  # every spelling of a hint is under test
from __future__ import annotations

import collections
import copy
import enum
import io
import numbers
import os
import pickle
import sys
import textwrap
import typing
from collections.abc import (
    Callable,
    Coroutine,
    Generator,
    Hashable,
    Iterable,
    Iterator,
    Mapping,
    MutableMapping,
    MutableSequence,
    Reversible,
    Sequence,
    Sized,
)
from collections.abc import (
    Set as AbstractSet,
)
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import (
    Annotated,
    Any,
    AnyStr,
    Generic,
    Literal,
    NamedTuple,
    Never,
    NewType,
    NotRequired,
    Optional,
    Protocol,
    SupportsFloat,
    TypedDict,
    TypeVar,
    Union,
    Unpack,
)

import jaxtyping
import numpy as np
import numpy.typing as npt
import pytest
import typing_extensions
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import ReadOnly

from chainpump.hints.assignability import compared, fits
from chainpump.hints.classes import UNKNOWN, as_base, item_of, substitute
from chainpump.hints.display import difference, show

T = TypeVar("T")
S = TypeVar("S")
T_co = TypeVar("T_co", covariant=True)
T_contra = TypeVar("T_contra", contravariant=True)
Real = TypeVar("Real", bound=float)
Q = typing.ParamSpec("Q")
Ts = typing.TypeVarTuple("Ts")
Day = typing_extensions.TypeVar("Day", default=int)


class Base: ...


class Derived(Base): ...


@dataclass
class Image:
    pixels: bytes

    def close(self) -> None: ...


class Png(Image): ...


class Closes(Protocol):
    def close(self) -> None: ...


class Named(Protocol):
    name: str

    def close(self) -> None: ...


class Named2:
    def __init__(self) -> None:
        self.name = "set where nobody can see it"

    def close(self) -> None: ...


class Movie(TypedDict):
    title: str
    year: int


class LongMovie(Movie):
    hours: int


class Song(TypedDict):
    title: str
    artist: str


class Point(NamedTuple):
    x: int
    y: float


class Color(enum.Enum):
    RED = 1
    BLUE = 2


class Box(Generic[T]): ...


class IntBox(Box[int]): ...


class Reader(Generic[T_co]): ...


class Writer(Generic[T_contra]): ...


class Pair(dict[T, list[S]]): ...


class Names(list[str]): ...


class Rows:
    def __iter__(self) -> Iterator[Image]:
        yield Image(b"")


class Cursor(Generic[T]):
    def __iter__(self) -> typing.Self:
        return self

    def __next__(self) -> T:
        raise StopIteration


class Handler:
    def __call__(self, value: int) -> str:
        return str(value)


class HasSize(Protocol):
    size: int


class TellsSize(Protocol):
    @property
    def size(self) -> int: ...


@dataclass
class Box3:
    size: int


@dataclass(frozen=True)
class Frozen:
    size: int


class Measured:
    @property
    def size(self) -> bool:
        return True


class Named3:
    size: str = ""


class Parses(Protocol):
    def parse(self, text: str, strict: bool = False) -> int: ...


class Parser:
    def parse(self, text: object, strict: bool = False, *, retries: int = 0) -> bool:
        return bool(text) and strict and retries > 0


class ParserOfBytes:
    def parse(self, text: bytes, strict: bool = False) -> int:
        return len(text) + strict


class ParserToText:
    def parse(self, text: str, strict: bool = False) -> str:
        return text if strict else ""


class ShortParser:
    def parse(self, text: str) -> int:
        return len(text)


class DemandingParser:
    def parse(self, text: str, strict: bool = False, *, retries: int) -> int:
        return len(text) + strict + retries


class Says(Protocol):
    def __call__(self, value: int, /) -> str: ...


class Converter:
    @typing.overload
    def __call__(self, value: int) -> str: ...
    @typing.overload
    def __call__(self, value: str) -> int: ...
    def __call__(self, value: int | str) -> int | str:
        return value


class Fetches(Protocol):
    async def fetch(self) -> int: ...


class Fetcher:
    async def fetch(self) -> bool:
        return True


class FetchesNow:
    def fetch(self) -> int:
        return 0


class Call(Generic[Q]):
    def call(self, *args: Q.args, **kwargs: Q.kwargs) -> None: ...


class Numbered(Generic[Unpack[Ts]]):
    def numbers(self) -> tuple[Unpack[Ts]]:
        raise NotImplementedError


class Tag(NamedTuple, Generic[T]):
    name: str
    value: T


class IntTag(Tag[int]): ...


class Fixed:
    size: typing.Final[int] = 0


class Gives(Protocol[T_co]):
    def get(self) -> T_co: ...


class Takes(Protocol[T_contra]):
    def put(self, value: T_contra, /) -> None: ...


class Shelf(Generic[T]):
    def get(self) -> T:
        raise NotImplementedError

    def put(self, value: T, /) -> None: ...


class IntShelf(Shelf[int]): ...


class Chained(Protocol):
    def next(self) -> Chained: ...


class Chain:
    def next(self) -> Chain:
        return self


class BrokenChain:
    def next(self) -> int:
        return 0


class Options(TypedDict, total=False):
    title: str
    year: int


class Weather(TypedDict):
    title: str
    year: str


class Draft(TypedDict):
    title: str
    year: NotRequired[int]


class Titled(TypedDict):
    title: ReadOnly[object]


class Page(TypedDict, Generic[T]):
    items: list[T]


class IntPage(Page[int]): ...


class Later(typing_extensions.TypedDict):
    title: str
    year: int


class Dated(Generic[Day]):
    def day(self) -> Day:
        raise NotImplementedError


Two = collections.namedtuple("Two", "a b")  # noqa: PYI024  # as it is written where hints are not
UserId = NewType("UserId", int)
AdminId = NewType("AdminId", UserId)

Numbers = typing_extensions.TypeAliasType("Numbers", list[int])
Floats = jaxtyping.Float[np.ndarray, "n m"]
Float32s = jaxtyping.Float32[np.ndarray, "n m"]

# Fmt: skip.
FITS = [
    # Anything goes where nothing is known, and where nothing is asked.
    (int, Any),
    (Any, int),
    (None, object),
    (list[int], object),
    (Never, int),
    (type, object),
    (Callable[[int], str], object),
    # Classes and the numeric tower.
    (int, int),
    (bool, int),
    (int, float),
    (bool, float),
    (int, complex),
    (float, complex),
    (Derived, Base),
    (Png, Image),
    (Path, PurePath),
    (int, Hashable),
    (str, Sized),
    (None, None),
    (Color, Color),
    (np.float64, float),
    (collections.OrderedDict[str, int], dict[str, int]),
    # Unions.
    (int, Optional[int]),
    (None, Optional[int]),
    (int, int | str),
    (Union[int, str], int | str),
    (int | str, str | int),
    (int | bool, int),
    (int | None, object),
    (int | str, float | str | None),
    (Union[Png, Derived], Image | Base),
    (list[int] | None, Sequence[int] | None),
    (Any, int | str),
    # Literals and enums.
    (Literal[1], int),
    (Literal["a"], str),
    (Literal["a"], Literal["a", "b"]),
    (Literal[1, "a"], int | str),
    (Literal[True], bool),
    (bool, Literal[True, False]),
    (Color, Literal[Color.RED, Color.BLUE]),
    (Literal[Color.RED], Color),
    (None, Literal[None]),
    (Literal[1], float),
    (Literal["a"], Sequence[str]),
    # NewType, Annotated and other clothing.
    (UserId, int),
    (UserId, UserId),
    (AdminId, UserId),
    (AdminId, int),
    (UserId, float),
    (list[UserId], Sequence[int]),
    (Annotated[int, "m"], int),
    (int, Annotated[int, "m"]),
    (Numbers, list[int]),
    (list[int], Numbers),
    (Numbers, Iterable[float]),
    (dict[str, Numbers], dict[str, list[int]]),
    (list[Annotated[int, 1]], list[int]),
    (Annotated[int, []], Annotated[float, {}]),
    (typing.LiteralString, str),
    # Invariant: list, dict, set. Bare and Any arguments are gradual.
    (list[int], list[int]),
    (list, list[int]),
    (list[int], list),
    (list[Any], list[int]),
    (list[int], list[Any]),
    (typing.List[int], list[int]),
    (typing.List, list[int]),
    (dict[str, int], typing.Dict[str, int]),
    (dict[str, Any], dict[str, int]),
    (dict, dict[str, int]),
    (list[int | str], list[str | int]),
    (list[int | None], list[Optional[int]]),
    (list[list[int]], list[list[int]]),
    (set[int], set[int]),
    (collections.defaultdict[str, int], dict[str, int]),
    (collections.Counter[str], dict[str, int]),
    # Covariant: what is only read.
    (list[bool], Sequence[int]),
    (list[int], Iterable[float]),
    (tuple[int, ...], Sequence[int]),
    (frozenset[bool], frozenset[int]),
    (set[bool], AbstractSet[int]),
    (dict[str, bool], Mapping[str, int]),
    (dict[str, int], Iterable[str]),
    (Iterator[bool], Iterable[int]),
    (Generator[int, None, None], Iterator[int]),
    (list[list[int]], Sequence[Sequence[int]]),
    (str, Sequence[str]),
    (str, Iterable[str]),
    (bytes, Iterable[int]),
    (range, Sequence[int]),
    (range, Iterable[float]),
    (collections.deque[int], MutableSequence[int]),
    (list[int], Reversible[int]),
    (enumerate[str], Iterator[tuple[int, str]]),
    (type[bool], type[int]),
    (type[int], type),
    (type[Any], type[int]),
    (typing.ItemsView[str, int], Iterable[tuple[str, int]]),
    (Generator[int, float, str], Generator[float, int, object]),
    (Coroutine[Any, Any, bool], typing.Awaitable[int]),
    # Tuples.
    (tuple[int, str], tuple[int, str]),
    (tuple[bool, str], tuple[int, str]),
    (tuple[int, int], tuple[int, ...]),
    (tuple[()], tuple[int, ...]),
    (tuple[()], tuple[()]),
    (tuple, tuple[int, str]),
    (tuple[int, str], tuple),
    (tuple[int, str], Sequence[int | str]),
    (tuple[int, ...], tuple[float, ...]),
    (Point, tuple[int, float]),
    (Point, Sequence[float]),
    (tuple[Any, ...], tuple[int, int]),
    (typing.Tuple[int, str], tuple[int, str]),
    (tuple[int, Unpack[tuple[str, ...]]], tuple[int, Unpack[tuple[str, ...]]]),
    (tuple[int, str, str], tuple[int, *tuple[str, ...]]),
    (tuple[int], tuple[int, *tuple[str, ...]]),
    (tuple[int, *tuple[str, ...]], tuple[int | str, ...]),
    (tuple[int, *tuple[str, bytes]], tuple[int, str, bytes]),
    (tuple[int, str, bytes], tuple[*tuple[int, ...], str, bytes]),
    (tuple[int, str, *tuple[str, ...], bytes], tuple[int, *tuple[str, ...], bytes]),
    (tuple[int, *tuple[str, ...]], Sequence[int | str]),
    (tuple[None, None], tuple[None, ...]),
    (tuple[None, ...], Iterable[None]),
    # Typed dictionaries.
    (Movie, Movie),
    (LongMovie, Movie),
    (Movie, Mapping[str, object]),
    (Movie, Mapping[str, Any]),
    (Movie, Mapping),
    (Movie, Sized),
    (Draft, Draft),
    (Options, Options),
    (Movie, Titled),
    (Draft, Titled),
    (Page[int], Page[int]),
    (Page[Any], Page[int]),
    (list[Movie], Sequence[Mapping[str, object]]),
    # Callables.
    (Callable[[int], str], Callable[[int], str]),
    (Callable[[float], bool], Callable[[int], int]),
    (Callable[..., int], Callable[[str], int]),
    (Callable[[str], int], Callable[..., Any]),
    (Callable, Callable[[int], int]),
    (Handler, Callable[[int], str]),
    (type[int], Callable[[str], int]),
    (Callable[[int], None], Hashable),
    (Handler, Callable[[bool], object]),
    (Callable[[int], str], Says),
    (Handler, Says),
    (type[Box3], Callable[[int], Box3]),
    (Callable[..., str], Says),
    (Says, Callable[[int], str]),
    # Generic classes, with the variance that they declare.
    (Box[int], Box[int]),
    (IntBox, Box[int]),
    (Box, Box[int]),
    (Box[int], Box),
    (Reader[bool], Reader[int]),
    (Writer[int], Writer[bool]),
    (Pair[str, int], dict[str, list[int]]),
    (Names, Sequence[str]),
    (Rows, Iterable[Image]),
    (Cursor[int], Iterable[int]),
    # Protocols, by their methods.
    (Image, Closes),
    (Png, Closes),
    (io.StringIO, Closes),
    (Named2, Named),
    (int, SupportsFloat),
    (list[int], Sized),
    (Box3, HasSize),
    (Box3, TellsSize),
    (Frozen, TellsSize),
    (Measured, TellsSize),
    (HasSize, TellsSize),
    (Parser, Parses),
    (Parses, Parses),
    (Shelf[int], Gives[int]),
    (Shelf[bool], Gives[int]),
    (IntShelf, Gives[float]),
    (Shelf[float], Takes[int]),
    (Chain, Chained),
    (Shelf, Gives[int]),
    (Shelf[Any], Takes[str]),
    (Sequence[Box3], Sequence[HasSize]),
    (Box3 | Frozen, TellsSize),
    # What is called in several ways, asynchronously, or with any parameters.
    (Converter, Callable[[int], str]),
    (Converter, Callable[[str], int]),
    (Fetcher, Fetches),
    (Call[[int]], Call[[int]]),
    (Call[...], Call[[int]]),
    (Callable[[int], Coroutine[Any, Any, str]], Callable[[int], typing.Awaitable[str]]),
    (Coroutine[str, bytes, int], typing.Awaitable[int]),
    (Numbered[int, str], Numbered[int, str]),
    (Tag[int], tuple[str, int]),
    (IntTag, Tag[int]),
    (IntPage, Page[int]),
    (Later, Movie),
    (Movie, Later),
    (type[Png | Base], type[Image] | type[Base]),
    (io.TextIOWrapper, typing.IO[str]),
    (io.BytesIO, typing.BinaryIO),
    (Path, os.PathLike[str]),
    (Two, tuple[Any, Any]),
    # What stands for a type variable that nobody gave.
    (Dated, Dated[int]),
    (Dated[int], Dated),
    (Dated, Dated),
    # numpy.
    (npt.NDArray[np.float64], npt.NDArray[np.float64]),
    (npt.NDArray[np.float32], npt.NDArray[np.floating[Any]]),
    (npt.NDArray[Any], npt.NDArray[np.uint8]),
    (np.ndarray, npt.NDArray[np.uint8]),
    (npt.NDArray[np.floating[Any]], npt.NDArray[np.float32]),
    (np.floating[Any], np.float32),
    (np.int16, np.integer[Any]),
    (npt.NDArray[np.uint8], np.ndarray),
    (npt.NDArray[np.int32], npt.NDArray[np.generic]),
    (np.float32, np.floating[Any]),
    (np.bool_, np.generic),
]

# What type checkers refuse, and the core takes.
# Fmt: skip.
MORE_FITS = [
    # Not hints for them.
    (int, UNKNOWN),
    (UNKNOWN, int),
    ("Later", int),
    (type(None), None),
    # Registered, which they do not see.
    (int, numbers.Number),
    # Typeshed has the key invariant; whoever only reads it is safe.
    (Mapping[bool, str], Mapping[int, str]),
    # Shapes are nothing to them.
    (Floats, npt.NDArray[np.float32]),
    (npt.NDArray[np.float32], Floats),
    (Float32s, Floats),
    (Floats, Floats),
    # A subclass may take something else; pyright refuses it.
    (type[Box3], Callable[[str], Box3]),
    (jaxtyping.Float[np.ndarray, "3 4"], Floats),
    (Floats, jaxtyping.Shaped[np.ndarray, "..."]),
    (Floats, jaxtyping.Float[np.ndarray, "a 3"]),
    (jaxtyping.Float[np.ndarray, "*n"], Floats),
]

# Fmt: skip.
DOES_NOT_FIT = [
    (str, int),
    (int, str),
    (float, int),
    (complex, float),
    (int, bool),
    (Base, Derived),
    (object, int),
    (None, int),
    (int, None),
    (str, bytes),
    (bytearray, bytes),
    (int, Sized),
    (Image, Base),
    (list[int], Hashable),
    (type, int),
    (int, Never),
    (list[int], Never),
    (Color, Closes),
    # Unions.
    (Optional[int], int),
    (int | str, int),
    (float, int | str),
    (int | str | None, int | str),
    (object, int | str),
    # Literals and enums.
    (str, Literal["a"]),
    (Literal["b"], Literal["a"]),
    (Literal["a", "b"], Literal["a"]),
    (Literal[1], str),
    (Literal[1], Literal[True]),
    (bool, Literal[True]),
    (Color, Literal[Color.RED]),
    (int, Literal[1, 2]),
    (Color, int),
    # NewType, and aliases.
    (Numbers, list[str]),
    (list[bool], Numbers),
    (int, UserId),
    (UserId, AdminId),
    (UserId, str),
    (list[int], list[UserId]),
    (list[UserId], list[int]),
    # Invariant arguments.
    (list[bool], list[int]),
    (list[int], list[float]),
    (list[int], list[str]),
    (list[int], list[int | str]),
    (dict[str, int], dict[str, str]),
    (dict[str, bool], dict[str, int]),
    (dict[int, str], dict[str, str]),
    (set[bool], set[int]),
    (list[list[bool]], list[list[int]]),
    (list[Png], list[Image]),
    (Names, list[int]),
    (list[bool], MutableSequence[int]),
    (dict[str, bool], MutableMapping[str, int]),
    (list[Image], list[Closes]),
    (dict[str, list[bool]], Mapping[str, list[int]]),
    (collections.Counter[str], dict[str, str]),
    # Covariant arguments, and the way up that does not go down.
    (list[int], Sequence[str]),
    (Sequence[int], list[int]),
    (Iterable[int], Iterator[int]),
    (str, Sequence[int]),
    (Mapping[str, int], dict[str, int]),
    (dict[str, int], Iterable[int]),
    (set[int], Sequence[int]),
    (str, list[str]),
    (Iterator[int], Iterable[str]),
    (range, Iterable[str]),
    (type[int], type[str]),
    (type[int], int),
    (int, list[int]),
    (list[int], tuple[int, ...]),
    (enumerate[str], Iterator[tuple[int, int]]),
    (tuple[int, str], Iterable[int]),
    (Generator[int, int, None], Generator[int, str, None]),
    (Rows, Iterable[str]),
    (Cursor[int], Iterable[str]),
    # Tuples.
    (tuple[int, str], tuple[str, int]),
    (tuple[int], tuple[int, int]),
    (tuple[int, ...], tuple[int, int]),
    (tuple[int, str], tuple[int, ...]),
    (tuple[int], tuple[()]),
    (Point, tuple[int, str]),
    (list[int], tuple[int]),
    (tuple[str], tuple[int, *tuple[str, ...]]),
    (tuple[()], tuple[int, *tuple[str, ...]]),
    (tuple[int, *tuple[str, ...]], tuple[int, str]),
    (tuple[int, *tuple[str, ...]], tuple[int, ...]),
    (tuple[int, bytes], tuple[int, *tuple[str, ...]]),
    (tuple[int, ...], tuple[int, *tuple[int, ...]]),
    (tuple[str, ...], tuple[*tuple[str, ...], str]),
    (tuple[None, ...], Iterable[str]),
    (tuple[None, ...], tuple[None]),
    # Typed dictionaries.
    (Movie, Song),
    (Movie, LongMovie),
    (dict[str, int], Movie),
    (Movie, dict[str, Any]),
    (Movie, Mapping[str, int]),
    (int, Movie),
    (Movie, int),
    (list[Movie], list[Song]),
    (Draft, Movie),
    (Movie, Draft),
    (Options, Movie),
    (Movie, Options),
    (Titled, Movie),
    (Page[int], Page[str]),
    (Page[bool], Page[int]),
    (Movie, MutableMapping[str, object]),
    # Callables.
    (Callable[[int], str], Callable[[int], int]),
    (Callable[[int], str], Callable[[int, int], str]),
    (Callable[[bool], int], Callable[[int], int]),
    (int, Callable[[int], int]),
    (Callable[[int], int], int),
    (Handler, Callable[[str], str]),
    (Handler, Callable[[int], int]),
    (Handler, Callable[[], str]),
    (Callable[[str], str], Says),
    (Callable[[int], int], Says),
    (type[Box3], Callable[[int], Frozen]),
    (int, Says),
    # Generic classes.
    (Box[bool], Box[int]),
    (Box[int], Box[str]),
    (IntBox, Box[str]),
    (Box[int], IntBox),
    (Reader[int], Reader[bool]),
    (Writer[bool], Writer[int]),
    (Pair[str, int], dict[str, list[str]]),
    # Protocols.
    (Base, Closes),
    (int, Closes),
    (Base, Named),
    (str, SupportsFloat),
    (Frozen, HasSize),
    (Measured, HasSize),
    (Named3, HasSize),
    (Named3, TellsSize),
    (Base, HasSize),
    (int, HasSize),
    (TellsSize, HasSize),
    (ParserOfBytes, Parses),
    (ParserToText, Parses),
    (ShortParser, Parses),
    (DemandingParser, Parses),
    (Shelf[str], Gives[int]),
    (IntShelf, Gives[str]),
    (Shelf[bool], Takes[int]),
    (BrokenChain, Chained),
    (Gives[int], Shelf[int]),
    (list[Box3], list[HasSize]),
    (Box3 | Named3, TellsSize),
    (Dated, Dated[str]),
    (Dated[str], Dated),
    (Dated[bytes], Dated[int]),
    (Converter, Callable[[int], int]),
    (Converter, Callable[[bytes], str]),
    (FetchesNow, Fetches),
    (Call[[int]], Call[[str]]),
    (Coroutine[int, str, bytes], typing.Awaitable[int]),
    (Numbered[int, str], Numbered[int]),
    (Numbered[int], Numbered[int, str]),
    (Tag[str], tuple[str, int]),
    (IntTag, Tag[str]),
    (IntPage, Page[str]),
    (Fixed, HasSize),
    (type[Png | Base], type[Image]),
    (io.TextIOWrapper, typing.IO[bytes]),
    (Path, os.PathLike[bytes]),
    (Callable[[int], str], Parses),
    (int, type[int]),
    # numpy.
    (float, np.float64),
    (npt.NDArray[np.float64], npt.NDArray[np.int64]),
    (npt.NDArray[np.uint8], list[int]),
    (np.float32, int),
    (npt.NDArray[np.float32], npt.NDArray[np.integer[Any]]),
    (np.integer[Any], np.float32),
    (np.float32, np.float64),
    (npt.NDArray[np.generic], npt.NDArray[np.uint8]),
    (list[int], npt.NDArray[np.int64]),
]

# What they accept, and the core refuses.
# Fmt: skip.
MORE_DOES_NOT_FIT = [
    (jaxtyping.Int[np.ndarray, "n m"], Floats),
    (Floats, Float32s),
    (jaxtyping.Float[np.ndarray, "n"], Floats),
    (jaxtyping.Float[np.ndarray, "3 4"], jaxtyping.Float[np.ndarray, "3 5"]),
    (list[float], Floats),
    # Mypy refuses it, pyright does not.
    (Options, Titled),
]


def texts(pair: tuple[object, object]) -> str:
    return " -> ".join(map(show, pair))


@pytest.mark.parametrize("pair", FITS + MORE_FITS, ids=texts)
def test_fits(pair: tuple[object, object]) -> None:
    assert fits(*pair, {})


@pytest.mark.parametrize("pair", DOES_NOT_FIT + MORE_DOES_NOT_FIT, ids=texts)
def test_does_not_fit(pair: tuple[object, object]) -> None:
    assert not fits(*pair, {})


BINDS = [
    (int, T, {T: int}),
    (list[int], Iterable[T], {T: int}),
    (dict[str, int], Mapping[T, S], {T: str, S: int}),
    (tuple[int, str], tuple[T, S], {T: int, S: str}),
    (tuple[int, str], tuple[T, T], {T: int | str}),
    (tuple[bool, int], tuple[T, T], {T: int}),
    (tuple[int, bool], tuple[T, T], {T: int}),
    (Optional[int], Optional[T], {T: int}),
    (Optional[int], T, {T: Optional[int]}),
    (list[list[str]], list[list[T]], {T: str}),
    (Iterator[tuple[str, list[int]]], Iterable[tuple[T, list[S]]], {T: str, S: int}),
    (bool, Real, {Real: bool}),
    (str, AnyStr, {AnyStr: str}),
    (tuple[bytes, bytes], tuple[AnyStr, AnyStr], {AnyStr: bytes}),
    (IntBox, Box[T], {T: int}),
    (Pair[str, bytes], dict[T, S], {T: str, S: list[bytes]}),
    (Callable[[int], str], Callable[..., T], {T: str}),
    (type[int], type[T], {T: int}),
    (Any, T, {T: UNKNOWN}),
    (tuple[Any, str], tuple[T, T], {T: UNKNOWN}),
    (tuple[str, Any], tuple[T, T], {T: UNKNOWN}),
    (int, list[T] | T, {T: int}),
    (UserId, T, {T: UserId}),
]


@pytest.mark.parametrize("given_hint, expected, bindings", BINDS)
def test_type_variables_are_bound_to_what_is_given(given_hint: Any, expected: Any, bindings: Any) -> None:
    found: dict[TypeVar, Any] = {}
    assert fits(given_hint, expected, found)
    assert found == bindings


CANNOT_BIND = [
    (str, Real),
    (int, AnyStr),
    (str | bytes, AnyStr),
    (tuple[str, bytes], tuple[AnyStr, AnyStr]),
    (dict[str, int], dict[T, T]),
    (tuple[list[int], list[str]], tuple[list[T], list[T]]),
    (list[int], dict[T, T]),
    (list[str], Sequence[Real]),
]


@pytest.mark.parametrize("pair", CANNOT_BIND, ids=texts)
def test_type_variables_keep_their_bound_their_constraints_and_their_first_value(pair: Any) -> None:
    assert not fits(*pair, {})


def test_an_unbound_variable_upstream_is_known_by_its_bound_only() -> None:
    assert fits(T, int, {})
    assert fits(Real, float, {})
    assert not fits(Real, str, {})
    assert not fits(AnyStr, int, {})


def test_the_verdict_on_a_union_member_that_failed_leaves_no_binding() -> None:
    found: dict[TypeVar, Any] = {}
    assert fits(tuple[int, str], tuple[T, int] | tuple[int, T], found)
    assert found == {T: str}


ITEMS = [
    (Iterator[int], int),
    (Iterable[int], int),
    (Generator[int, None, None], int),
    (list[int], int),
    (typing.List[int], int),
    (Sequence[Optional[int]], Optional[int]),
    (set[str], str),
    (dict[str, int], str),
    (tuple[int, ...], int),
    (tuple[int, str], int | str),
    (str, str),
    (bytes, int),
    (range, int),
    (Names, str),
    (Pair[int, str], int),
    (Rows, Image),
    (Cursor[int], int),
    (Point, int | float),
    (Movie, str),
    (type(Color), UNKNOWN),
    (list[int] | set[str], int | str),
    (Annotated[list[int], "note"], int),
    (NewType("Ids", list[int]), int),
    (TypeVar("Listed", bound=list[int]), int),
    (Literal["abc"], str),
    (enumerate, tuple[int, Any]),
    (typing.TextIO, str),
    (Any, UNKNOWN),
    (Iterator, UNKNOWN),
    (list, UNKNOWN),
    (typing.Iterable, UNKNOWN),
    (Iterator[Any], UNKNOWN),
    (io.BytesIO, bytes),
    (io.StringIO, str),
    (T, UNKNOWN),
    (int, None),
    (None, None),
    (Image, None),
    (Optional[list[int]], None),
    (Callable[[], int], None),
]


@pytest.mark.parametrize("hint, item", ITEMS)
def test_item_of(hint: object, item: object) -> None:
    assert item_of(hint) == item


SHOWN = [
    (Callable[Q, T], "Callable[Q, T]"),
    (Callable[typing.Concatenate[int, Q], str], "Callable[Concatenate[int, Q], str]"),
    (Callable[[], None], "Callable[[], None]"),
    (typing.List["Later"], "list[Later]"),
    (typing.ForwardRef("Later"), "Later"),
    (Literal[Color.RED], "Literal[Color.RED]"),
    (list[list[list[list[list[list[list[list[list[int]]]]]]]]], "list[list[list[list[list[list[list[list[...]]]]]]]]"),
    (Literal[tuple(range(14))], "Literal[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, ... (2 more)]"),
    (int, "int"),
    (UNKNOWN, "?"),
    (None, "None"),
    (Any, "Any"),
    (list[Image], "list[Image]"),
    (typing.List[Image], "list[Image]"),
    (Iterator[tuple[int, ...]], "Iterator[tuple[int, ...]]"),
    (tuple[()], "tuple[()]"),
    (tuple[int, *tuple[str, ...]], "tuple[int, *tuple[str, ...]]"),
    (tuple[int, Unpack[tuple[str, ...]]], "tuple[int, *tuple[str, ...]]"),
    (Optional[int], "int | None"),
    (int | str, "int | str"),
    (Literal["a", 1], "Literal['a', 1]"),
    (Callable[[int, str], bool], "Callable[[int, str], bool]"),
    (Callable[..., bool], "Callable[..., bool]"),
    (Annotated[int, "metres"], "int"),
    (UserId, "UserId"),
    (T, "T"),
    (list[T], "list[T]"),
    (Real, "Real: float"),
    (AnyStr, "AnyStr: bytes | str" if AnyStr.__constraints__[0] is bytes else "AnyStr: str | bytes"),
    (Box[int], "Box[int]"),
    (collections.OrderedDict[str, int], "OrderedDict[str, int]"),
    (type[int], "type[int]"),
]


@pytest.mark.parametrize("hint, text", SHOWN)
def test_show_is_what_a_person_writes(hint: object, text: str) -> None:
    assert show(hint) == text


def test_show_leaves_out_the_function_around_a_local_class_and_adds_modules_on_demand() -> None:
    class Local: ...

    assert show(list[Local]) == "list[Local]"
    assert show(list[Path], full=True) == f"list[{Path.__module__}.Path]"


DIFFER = [
    (ParserOfBytes, Parses, "parameter 1 of member 'parse' of Parses: bytes where str is expected."),
    (ParserToText, Parses, "result of member 'parse' of Parses: str where int is expected."),
    (
        ShortParser,
        Parses,
        "member 'parse' of Parses: (text: str) -> int where (text: str, strict: bool = False) -> int is expected.",
    ),
    (Measured, HasSize, "member 'size' of HasSize, which cannot be assigned to in Measured."),
    (Draft, Movie, "key 'year' of Movie: not required in Draft, required in Movie."),
    (Movie, Draft, "key 'year' of Draft: required in Movie, not required in Draft."),
    (
        Page[bool],
        Page[int],
        "item of list, in the key 'items' of Page: bool where exactly int is expected, since a list can be written to.",
    ),
    (tuple[int], tuple[int, int], "length of tuple: 1 items where 2 are expected."),
    (list[int | str], list[int | None], "union, in the item of list: str where int | None is expected."),
    (int, str, ""),
    (list[dict[str, int]], list[dict[str, str]], "value of dict, in the item of list: int where str is expected."),
    (dict[int, str], dict[str, str], "key of dict: int where str is expected."),
    (
        list[bool],
        list[int],
        "item of list: bool where exactly int is expected, since a list can be written to.",
    ),
    (tuple[int, str], tuple[int, bytes], "item 1 of tuple: str where bytes is expected."),
    (tuple[int, str], tuple[int, ...], "item 1 of tuple: str where int is expected."),
    (
        list[tuple[int, list[str]]],
        list[tuple[int, list[int]]],
        "item of list, in the item 1 of tuple, in the item of list: str where int is expected.",
    ),
    (int | None, int, "union: None where int is expected."),
    (
        Iterator[list[int | None]],
        Iterable[Sequence[int]],
        "union, in the item of list, in the item of Iterator: None where int is expected.",
    ),
    (Shelf[int], Shelf[str], "T of Shelf: int where str is expected."),
    (Movie, Song, "key 'artist' of Song, which Movie does not have."),
    (list[Page[int]], list[Movie], "key 'title' of Movie, which Page does not have, in the item of list."),
    (Weather, Movie, "key 'year' of Movie: str where int is expected."),
    (Callable[[int], str], Callable[[int], int], "result of the function: str where int is expected."),
    (Callable[[int], str], Callable[[str], str], "parameter 1 of the function: int where str is expected."),
    (Base, Closes, "member 'close' of Closes, which Base does not have."),
    (Named3, HasSize, "member 'size' of HasSize: str where int is expected."),
    (list[Base], Sequence[Closes], "member 'close' of Closes, which Base does not have, in the item of list."),
]


@pytest.mark.parametrize("given_hint, expected, where", DIFFER)
def test_difference_leads_to_the_part_that_does_not_fit(given_hint: Any, expected: Any, where: str) -> None:
    assert not fits(given_hint, expected, {})
    assert difference(given_hint, expected) == (f"They differ in the {where}" if where else "")


def test_substitute_reaches_every_depth() -> None:
    assert substitute(Iterator[list[T]], {T: int}) == Iterator[list[int]]
    assert substitute(dict[S, Callable[[T], S]], {T: int, S: str}) == dict[str, Callable[[int], str]]
    assert substitute(Optional[T], {T: int}) == Optional[int]
    assert substitute(list[T], {}) == list[T]
    assert substitute(list[T], {T: UNKNOWN}) == list[Any]
    assert substitute(Box, {T: int}) is Box


def test_as_base_finds_the_arguments_through_user_classes() -> None:
    assert as_base(Pair[str, int], Mapping) == Mapping[str, list[int]]
    assert as_base(Names, Iterable) == Iterable[str]
    assert as_base(int, Iterable) is None


def test_unknown_is_one_object_also_after_pickle_and_copy() -> None:
    assert pickle.loads(pickle.dumps(UNKNOWN)) is UNKNOWN
    assert copy.deepcopy(UNKNOWN) is UNKNOWN
    assert repr(UNKNOWN) == "?"


@pytest.mark.skipif(sys.version_info < (3, 12), reason="type statements and parameters came with 3.12")
def test_type_statements_that_name_themselves_are_compared_and_told_apart_in_few_questions() -> None:
    names: dict[str, Any] = {}
    exec(
        "type One = dict[str, One] | list[One] | int; type Other = int | list[Other] | dict[str, Other]\n"
        "type Third = str | list[Third] | dict[str, Third]; type Same = Same; type Grows[X] = list[Grows[list[X]]]",
        names,
    )
    one, other, third = (names[name] for name in ("One", "Other", "Third"))
    known = compared()
    assert fits(one, other, {}, known)
    assert fits(list[other], list[one], {}, known)
    assert not fits(one, third, {}, known)
    assert fits(names["Same"], int, {}, known)
    assert fits(names["Grows"][int], names["Grows"][str], {}, known), "it never ends: nothing is known"
    assert known.count < 1_000
    assert not known.raised
    assert len(difference(one, third)) < 500


@pytest.mark.skipif(sys.version_info < (3, 12), reason="type statements and parameters came with 3.12")
def test_type_statements_are_what_they_stand_for() -> None:
    names: dict[str, Any] = {"Mapping": Mapping}
    exec("type Names = list[str]; type Many[X] = list[X]; type Json = Mapping[str, Json] | int", names)
    exec("class Own[X]: ...", names)
    own, many = names["Own"], names["Many"]
    assert fits(names["Names"], list[str], {})
    assert not fits(names["Names"], list[int], {})
    assert fits(many[int], Sequence[int], {})
    assert not fits(many[int], Sequence[str], {})
    assert fits(dict[str, dict[str, int]], names["Json"], {})
    assert not fits(dict[str, str], names["Json"], {})
    assert fits(names["Json"], names["Json"], {})
    assert show(many[int]) == "Many[int]"
    assert fits(own[bool], own[int], {}), "its variance is inferred from how it is used: not known here"
    assert not fits(own[str], own[int], {})


@pytest.mark.skipif(sys.version_info < (3, 12), reason="type parameters came with 3.12")
def test_variance_is_inferred_from_how_a_class_uses_its_parameter() -> None:
    names: dict[str, Any] = {}
    code = """
    class Gets[X]:
        def get(self) -> X: ...
    class Puts[X]:
        def put(self, value: X) -> None: ...
    class Both[X](Gets[X], Puts[X]):
        def swap(self, value: X) -> X: ...
    class Holds[X]:
        value: X
    class Lists[X](list[X]): ...
    class Made[X](Gets[X]):
        def __init__(self, value: X) -> None: ...
        def __new__(cls, value: X) -> "Made[X]": ...
    class Other[X, Y](Gets[X]):
        def other(self, value: Y) -> X: ...
    """
    exec(textwrap.dedent(code), names)
    gets, puts, both, holds = (names[name] for name in ("Gets", "Puts", "Both", "Holds"))
    lists, made, other = (names[name] for name in ("Lists", "Made", "Other"))
    assert fits(gets[bool], gets[int], {})
    assert not fits(gets[int], gets[bool], {})
    assert fits(puts[int], puts[bool], {})
    assert not fits(puts[bool], puts[int], {})
    assert fits(made[bool], made[int], {}), "how it is made does not count"
    assert not fits(made[int], made[bool], {})
    for exact in (both, holds, lists):
        assert fits(exact[int], exact[int], {})
        assert not fits(exact[bool], exact[int], {})
        assert not fits(exact[int], exact[bool], {})
    assert fits(other[bool, int], other[int, bool], {})
    assert not fits(other[int, int], other[bool, int], {})
    assert not fits(other[int, bool], other[int, int], {})


LEAVES = [
    int,
    bool,
    str,
    float,
    bytes,
    None,
    Any,
    Image,
    Png,
    Base,
    Color,
    Movie,
    UserId,
    Literal["a"],
    T,
    Closes,
]


def compounds(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    one = [list, set, frozenset, Sequence, Iterable, Iterator, Box, Optional, type]
    return st.one_of(
        st.builds(lambda form, hint: form[hint], st.sampled_from(one), inner),
        st.builds(lambda form, *two: form[two], st.sampled_from([dict, Mapping, tuple, Union]), inner, inner),
        st.builds(lambda hint: tuple[hint, ...], inner),
        st.builds(lambda takes, gives: Callable[[takes], gives], inner, inner),
    )


HINTS = st.recursive(st.sampled_from(LEAVES), compounds, max_leaves=8)


@given(HINTS)
def test_every_hint_fits_itself_object_and_any(hint: Any) -> None:
    assert fits(hint, hint, {})
    assert fits(hint, object, {})
    assert fits(hint, Any, {})
    assert fits(Any, hint, {})


@given(HINTS, HINTS)
def test_a_union_takes_each_of_its_members(one: Any, other: Any) -> None:
    assert fits(one, Union[one, other], {})
    assert fits(other, Union[one, other], {})


@given(HINTS, HINTS)
def test_reading_is_covariant_and_writing_is_not(one: Any, other: Any) -> None:
    forth, back = fits(one, other, {}), fits(other, one, {})
    if forth:
        assert fits(list[one], Sequence[other], {})
    if not back:
        assert not fits(list[one], list[other], {}) or any(map(has_variable, (one, other)))


def has_variable(hint: Any) -> bool:
    return hint is T or bool(getattr(hint, "__parameters__", ()))


@given(HINTS)
def test_what_a_variable_is_bound_to_can_be_put_in_its_place(hint: Any) -> None:
    found: dict[TypeVar, Any] = {}
    assert fits(list[hint], Iterable[S], found)
    assert fits(Iterator[hint], substitute(Iterator[S], found), {})
    assert isinstance(show(hint), str)

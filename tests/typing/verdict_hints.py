"""What the pairs of hints in `verdict_pairs` are about: classes of every kind, as users write them."""

# ruff: noqa: SLOT000, UP007, UP044  # they are there for their hints
from __future__ import annotations

import abc
import collections
import contextlib
import dataclasses
import enum
import functools
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass
from typing import (
    Any,
    ClassVar,
    Concatenate,
    Final,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    NotRequired,
    ParamSpec,
    Protocol,
    Required,
    Self,
    TypeVar,
    TypeVarTuple,
    Union,
    Unpack,
    overload,
)
from typing import (
    TypedDict as PlainTypedDict,
)

import attrs
import typing_extensions
from typing_extensions import ReadOnly, TypeAliasType, TypedDict

T = TypeVar("T")
S = TypeVar("S")
K = TypeVar("K")
V = TypeVar("V")
T_co = TypeVar("T_co", covariant=True)
T_contra = TypeVar("T_contra", contravariant=True)
B = TypeVar("B", bound="Animal")
C = TypeVar("C", int, str)
D = typing_extensions.TypeVar("D", default=int)
P = ParamSpec("P")
Ts = TypeVarTuple("Ts")


class Animal:
    name: str = ""

    def speak(self) -> str:
        return ""


class Dog(Animal):
    def fetch(self, thing: str) -> Dog:
        return self


class Puppy(Dog): ...


class Cat(Animal): ...


@dataclass
class Point:
    x: int
    y: int


@dataclass
class Point3(Point):
    z: int = 0


@dataclass(frozen=True)
class Frozen:
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class FrozenSlots:
    x: int


@dataclass
class Box(Generic[T]):
    item: T


@dataclass
class IntBox(Box[int]): ...


@dataclass(frozen=True)
class FrozenBox(Generic[T_co]):
    item: T_co


@attrs.define
class AttrPoint:
    x: int
    y: int


@attrs.frozen
class AttrFrozen:
    x: int


@attrs.define
class AttrBox(Generic[T]):
    item: T


class Source(Generic[T_co]):
    def get(self) -> T_co:
        raise NotImplementedError


class Sink(Generic[T_contra]):
    def put(self, value: T_contra) -> None: ...


class Cell(Generic[T]):
    def get(self) -> T:
        raise NotImplementedError

    def put(self, value: T) -> None: ...


class IntCell(Cell[int]): ...


class Kennel(Generic[B]):
    def get(self) -> B:
        raise NotImplementedError


class Either(Generic[C]):
    def get(self) -> C:
        raise NotImplementedError


class Dated(Generic[D]):
    def day(self) -> D:
        raise NotImplementedError


class Table(Mapping[str, V]):
    pass


class Stack(list[T]): ...


class Registry(dict[str, T]): ...


class Swapped(dict[V, K]): ...


class Names(list[str]): ...


class Text(str): ...


class Number(int): ...


class XY(NamedTuple):
    x: int
    y: int


class XYZ(NamedTuple):
    x: int
    y: int
    z: str = ""


class Tagged(NamedTuple, Generic[T]):
    tag: str
    value: T


class IntTagged(Tagged[int]): ...


class SubXY(XY):
    def norm(self) -> float:
        return 0.0


Loose = collections.namedtuple("Loose", ["a", "b"])  # noqa: PYI024  # pyright: ignore[reportUntypedNamedTuple]


class Movie(TypedDict):
    title: str
    year: int


class PlainMovie(PlainTypedDict):
    title: str
    year: int


class LongMovie(Movie):
    minutes: int


class PartialMovie(TypedDict, total=False):
    title: str
    year: int


class DraftMovie(TypedDict):
    title: str
    year: NotRequired[int]


class RequiredMovie(TypedDict, total=False):
    title: Required[str]
    year: int


class FixedMovie(TypedDict):
    title: ReadOnly[str]
    year: ReadOnly[int]


class FixedOptional(TypedDict):
    title: ReadOnly[str]
    year: NotRequired[ReadOnly[int]]


class AnyTitle(TypedDict):
    title: ReadOnly[object]


class Page(TypedDict, Generic[T]):
    items: list[T]
    total: int


class IntPage(Page[int]):
    pass


class Nested(TypedDict):
    movie: Movie
    tags: list[str]


class Color(enum.Enum):
    RED = 1
    BLUE = 2


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Mode(enum.StrEnum):
    READ = "r"
    WRITE = "w"


class Flags(enum.Flag):
    A = enum.auto()
    B = enum.auto()


class OnlyOne(enum.Enum):
    ONE = 1


UserId = NewType("UserId", int)
AdminId = NewType("AdminId", UserId)
Tags = NewType("Tags", list[str])


class HasName(Protocol):
    name: str


class ReadsName(Protocol):
    @property
    def name(self) -> str: ...


class HasX(Protocol):
    x: int


class ReadsX(Protocol):
    @property
    def x(self) -> int: ...


class ReadsFloatX(Protocol):
    @property
    def x(self) -> float: ...


class HasFloatX(Protocol):
    x: float


class HasItem(Protocol[T]):
    item: T


class ReadsItem(Protocol[T_co]):
    @property
    def item(self) -> T_co: ...


class Speaks(Protocol):
    def speak(self) -> str: ...


class SpeaksLoud(Protocol):
    def speak(self, loud: bool = False) -> str: ...


class Gets(Protocol[T_co]):
    def get(self) -> T_co: ...


class Puts(Protocol[T_contra]):
    def put(self, value: T_contra) -> None: ...


class GetsAndPuts(Protocol[T]):
    def get(self) -> T: ...
    def put(self, value: T) -> None: ...


class PutsItem(Protocol[T_contra]):
    def put(self, item: T_contra) -> None: ...


class PutsAnything(Protocol):
    def put(self, value: object, /) -> None: ...


class Closes(Protocol):
    def close(self) -> None: ...


class Sized2(Protocol):
    def __len__(self) -> int: ...


class Calls(Protocol):
    def __call__(self, value: int) -> str: ...


class CallsByPlace(Protocol):
    def __call__(self, value: int, /) -> str: ...


class CallsWithOption(Protocol):
    def __call__(self, value: int, *, strict: bool = ...) -> str: ...


class CallsMany(Protocol):
    def __call__(self, *values: int) -> str: ...


class CallsT(Protocol[T]):
    def __call__(self, value: T) -> T: ...


class Fetches(Protocol):
    async def fetch(self) -> int: ...


class FetchesLater(Protocol):
    def fetch(self) -> Awaitable[int]: ...


class FetchesCoroutine(Protocol):
    def fetch(self) -> Coroutine[Any, Any, int]: ...


class FetchesNow(Protocol):
    def fetch(self) -> int: ...


class Streams(Protocol):
    def stream(self) -> AsyncIterator[int]: ...


class Comparable(Protocol):
    def __lt__(self, other: Any, /) -> bool: ...


class Adds(Protocol):
    def __add__(self, other: Self, /) -> Self: ...


class Copies(Protocol):
    def copy(self) -> Self: ...


class Linked(Protocol):
    @property
    def next(self) -> Linked | None: ...


class Described(HasName, Speaks, Protocol): ...


class Limits(Protocol):
    limit: ClassVar[int]


class AsyncFetcher:
    async def fetch(self) -> int:
        return 1


class AsyncBoolFetcher:
    async def fetch(self) -> bool:
        return True


class AsyncTextFetcher:
    async def fetch(self) -> str:
        return ""


class SyncFetcher:
    def fetch(self) -> int:
        return 1


class LaterFetcher:
    def fetch(self) -> Awaitable[int]:
        raise NotImplementedError


class Streamer:
    async def stream(self) -> AsyncIterator[int]:
        yield 1


class BadStreamer:
    async def stream(self) -> AsyncIterator[int]:
        raise NotImplementedError


class Named:
    def __init__(self, name: str) -> None:
        self.name = name


class NamedProperty:
    @property
    def name(self) -> str:
        return ""


class NamedSetter:
    @property
    def name(self) -> str:
        return ""

    @name.setter
    def name(self, value: str) -> None: ...


class NamedCached:
    @functools.cached_property
    def name(self) -> str:
        return ""


class NamedFinal:
    name: Final[str] = ""


class NamedClass:
    name: ClassVar[str] = ""


class NamedOptional:
    name: str | None = None


class Quiet:
    def speak(self, volume: int) -> str:
        return ""


class Loud:
    def speak(self, loud: bool = False) -> str:
        return ""


class LoudByName:
    def speak(self, *, loud: bool = False) -> str:
        return ""


class Mute:
    def speak(self) -> None: ...


class AnySpeaker:
    def speak(self, *args: Any, **kwargs: Any) -> str:
        return ""


class StaticSpeaker:
    @staticmethod
    def speak() -> str:
        return ""


class ClassSpeaker:
    @classmethod
    def speak(cls) -> str:
        return ""


class Link:
    def __init__(self) -> None:
        self._next: Link | None = None

    @property
    def next(self) -> Link | None:
        return self._next


class Vector:
    def __add__(self, other: Vector) -> Vector:
        return self

    def copy(self) -> Vector:
        return self

    def __lt__(self, other: Vector) -> bool:
        return False


class SelfCopy:
    def copy(self) -> Self:
        return self


class Handler:
    def __call__(self, value: int) -> str:
        return ""


class HandlerOption:
    def __call__(self, value: int, strict: bool = False) -> str:
        return ""


class HandlerTwo:
    def __call__(self, value: int, other: int) -> str:
        return ""


class HandlerMany:
    def __call__(self, *values: int) -> str:
        return ""


class HandlerOther:
    def __call__(self, number: int) -> str:
        return ""


class HandlerObject:
    def __call__(self, value: object) -> Text:
        return Text()


class Overloaded:
    @overload
    def __call__(self, value: int) -> str: ...
    @overload
    def __call__(self, value: str) -> int: ...
    def __call__(self, value: int | str) -> int | str:
        return value


class Rows:
    def __iter__(self) -> Iterator[Point]:
        raise NotImplementedError


class Cursor:
    def __iter__(self) -> Self:
        return self

    def __next__(self) -> int:
        raise StopIteration


class Old:
    def __getitem__(self, index: int) -> str:
        raise IndexError

    def __len__(self) -> int:
        return 0


class Ints(Sequence[int]):
    pass


class GenRows(Generic[T]):
    def __iter__(self) -> Generator[T, None, None]:
        raise NotImplementedError


class AsyncRows:
    def __aiter__(self) -> AsyncIterator[str]:
        raise NotImplementedError


class AsyncCursor:
    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> int:
        raise StopAsyncIteration


class Promise(Generic[T]):
    def __await__(self) -> Generator[Any, None, T]:
        raise NotImplementedError


class Session:
    def __enter__(self) -> Self:
        return self

    def __exit__(self, *args: object) -> None: ...

    def close(self) -> None: ...


class OpensInt:
    def __enter__(self) -> int:
        return 0

    def __exit__(self, *args: object) -> bool | None:
        return None


class AsyncSession:
    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *args: object) -> None: ...


class Folder:
    def __fspath__(self) -> str:
        return ""


class Holder:
    def __contains__(self, item: object) -> bool:
        return False


class Backwards:
    def __iter__(self) -> Iterator[int]:
        raise NotImplementedError

    def __reversed__(self) -> Iterator[int]:
        raise NotImplementedError


class Hashless:
    __hash__: ClassVar[None]  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return False


class Indexed:
    def __index__(self) -> int:
        return 0

    def __float__(self) -> float:
        return 0.0

    def __int__(self) -> int:
        return 0


class Shape(abc.ABC):
    @abc.abstractmethod
    def area(self) -> float: ...


class Square(Shape):
    def area(self) -> float:
        return 1.0


class Task(Generic[P, T]):
    def run(self, *args: P.args, **kwargs: P.kwargs) -> T:
        raise NotImplementedError


class IntTask(Task[[int], str]): ...


class SubTask(Task[P, T]): ...


class Job(Generic[P]):
    def run(self, *args: P.args, **kwargs: P.kwargs) -> None: ...


class Array(Generic[Unpack[Ts]]):
    def shape(self) -> tuple[Unpack[Ts]]:
        raise NotImplementedError


class Matrix(Array[int, int]): ...


class Meta(type):
    def __iter__(cls) -> Iterator[int]:
        raise NotImplementedError


class WithMeta(metaclass=Meta): ...


class Opens(contextlib.AbstractContextManager[int]):
    def __exit__(self, *args: object) -> None: ...


Ints2 = TypeAliasType("Ints2", list[int])
Lists = TypeAliasType("Lists", list[T], type_params=(T,))
Json: typing_extensions.TypeAlias = Union[dict[str, "Json"], list["Json"], str, int, None]
Maybe = Union[T, None]
Handlers = Callable[[T], str]

KEEP = (dataclasses, Concatenate, Literal, S)

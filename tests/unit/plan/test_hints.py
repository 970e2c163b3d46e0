"""What fits what, as a table; each verdict is mypy's unless the line says why not."""

# ruff: noqa: PYI061, UP006, UP007, UP044, UP045  # every spelling of a hint is under test
from __future__ import annotations

import collections
import copy
import enum
import io
import numbers
import pickle
import sys
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
    Optional,
    Protocol,
    SupportsFloat,
    TypedDict,
    TypeVar,
    Union,
    Unpack,
)

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainpump.plan.fits import fits
from chainpump.plan.hints import UNKNOWN, as_base, item_of, show, substitute

T = TypeVar("T")
S = TypeVar("S")
T_co = TypeVar("T_co", covariant=True)
T_contra = TypeVar("T_contra", contravariant=True)
Real = TypeVar("Real", bound=float)


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


UserId = NewType("UserId", int)
AdminId = NewType("AdminId", UserId)

FITS = [
    # Anything goes where nothing is known, and where nothing is asked.
    (int, Any), (Any, int), (None, object), (list[int], object), (Never, int), (type, object),
    (Callable[[int], str], object),
    # Classes and the numeric tower.
    (int, int), (bool, int), (int, float), (bool, float), (int, complex), (float, complex), (Derived, Base),
    (Png, Image), (Path, PurePath), (int, Hashable), (str, Sized), (None, None),
    (Color, Color), (np.float64, float), (collections.OrderedDict[str, int], dict[str, int]),
    # Unions.
    (int, Optional[int]), (None, Optional[int]), (int, int | str), (Union[int, str], int | str),
    (int | str, str | int), (int | bool, int), (int | None, object), (int | str, float | str | None),
    (Union[Png, Derived], Image | Base), (list[int] | None, Sequence[int] | None), (Any, int | str),
    # Literals and enums.
    (Literal[1], int), (Literal["a"], str), (Literal["a"], Literal["a", "b"]), (Literal[1, "a"], int | str),
    (Literal[True], bool), (bool, Literal[True, False]), (Color, Literal[Color.RED, Color.BLUE]),
    (Literal[Color.RED], Color), (None, Literal[None]), (Literal[1], float), (Literal["a"], Sequence[str]),
    # NewType, Annotated and other clothing.
    (UserId, int), (UserId, UserId), (AdminId, UserId), (AdminId, int), (UserId, float),
    (list[UserId], Sequence[int]), (Annotated[int, "m"], int), (int, Annotated[int, "m"]),
    (list[Annotated[int, 1]], list[int]), (Annotated[int, []], Annotated[float, {}]),
    (typing.LiteralString, str),
    # Invariant: list, dict, set. Bare and Any arguments are gradual.
    (list[int], list[int]), (list, list[int]), (list[int], list), (list[Any], list[int]),
    (list[int], list[Any]), (typing.List[int], list[int]), (typing.List, list[int]),
    (dict[str, int], typing.Dict[str, int]), (dict[str, Any], dict[str, int]), (dict, dict[str, int]),
    (list[int | str], list[str | int]), (list[int | None], list[Optional[int]]),
    (list[list[int]], list[list[int]]), (set[int], set[int]),
    (collections.defaultdict[str, int], dict[str, int]), (collections.Counter[str], dict[str, int]),
    # Covariant: what is only read.
    (list[bool], Sequence[int]), (list[int], Iterable[float]), (tuple[int, ...], Sequence[int]),
    (frozenset[bool], frozenset[int]), (set[bool], AbstractSet[int]), (dict[str, bool], Mapping[str, int]),
    (dict[str, int], Iterable[str]), (Iterator[bool], Iterable[int]),
    (Generator[int, None, None], Iterator[int]), (list[list[int]], Sequence[Sequence[int]]),
    (str, Sequence[str]), (str, Iterable[str]), (bytes, Iterable[int]), (range, Sequence[int]),
    (range, Iterable[float]), (collections.deque[int], MutableSequence[int]), (list[int], Reversible[int]),
    (enumerate[str], Iterator[tuple[int, str]]), (type[bool], type[int]), (type[int], type),
    (type[Any], type[int]), (typing.ItemsView[str, int], Iterable[tuple[str, int]]),
    (Generator[int, float, str], Generator[float, int, object]),
    (Coroutine[Any, Any, bool], typing.Awaitable[int]),
    # Tuples.
    (tuple[int, str], tuple[int, str]), (tuple[bool, str], tuple[int, str]),
    (tuple[int, int], tuple[int, ...]), (tuple[()], tuple[int, ...]), (tuple[()], tuple[()]),
    (tuple, tuple[int, str]), (tuple[int, str], tuple), (tuple[int, str], Sequence[int | str]),
    (tuple[int, ...], tuple[float, ...]), (Point, tuple[int, float]), (Point, Sequence[float]),
    (tuple[Any, ...], tuple[int, int]), (typing.Tuple[int, str], tuple[int, str]),
    (tuple[int, Unpack[tuple[str, ...]]], tuple[int, Unpack[tuple[str, ...]]]),
    # Typed dictionaries.
    (Movie, Movie), (LongMovie, Movie), (Movie, Mapping[str, object]), (Movie, Mapping[str, Any]),
    (Movie, Mapping), (Movie, Sized),
    # Callables.
    (Callable[[int], str], Callable[[int], str]), (Callable[[float], bool], Callable[[int], int]),
    (Callable[..., int], Callable[[str], int]), (Callable[[str], int], Callable[..., Any]),
    (Callable, Callable[[int], int]), (Handler, Callable[[int], str]), (type[int], Callable[[str], int]),
    (Callable[[int], None], Hashable),
    # Generic classes, with the variance that they declare.
    (Box[int], Box[int]), (IntBox, Box[int]), (Box, Box[int]), (Box[int], Box), (Reader[bool], Reader[int]),
    (Writer[int], Writer[bool]), (Pair[str, int], dict[str, list[int]]), (Names, Sequence[str]),
    (Rows, Iterable[Image]), (Cursor[int], Iterable[int]),
    # Protocols, by their methods.
    (Image, Closes), (Png, Closes), (io.StringIO, Closes), (Named2, Named), (int, SupportsFloat),
    (list[int], Sized),
    # numpy.
    (npt.NDArray[np.float64], npt.NDArray[np.float64]),
    (npt.NDArray[np.float32], npt.NDArray[np.floating[Any]]), (npt.NDArray[Any], npt.NDArray[np.uint8]),
    (np.ndarray, npt.NDArray[np.uint8]),
]  # fmt: skip

# What type checkers refuse, and the core takes.
MORE_FITS = [
    (int, UNKNOWN), (UNKNOWN, int), ("Later", int), (type(None), None),  # not hints for them
    (int, numbers.Number),  # registered, which they do not see
    (Mapping[bool, str], Mapping[int, str]),  # typeshed has the key invariant; whoever only reads it is safe
]  # fmt: skip

DOES_NOT_FIT = [
    (str, int), (int, str), (float, int), (complex, float), (int, bool), (Base, Derived), (object, int),
    (None, int), (int, None), (str, bytes), (bytearray, bytes), (int, Sized), (Image, Base),
    (list[int], Hashable), (type, int),
    (int, Never), (list[int], Never), (Color, Closes),
    # Unions.
    (Optional[int], int), (int | str, int), (float, int | str), (int | str | None, int | str),
    (object, int | str),
    # Literals and enums.
    (str, Literal["a"]), (Literal["b"], Literal["a"]), (Literal["a", "b"], Literal["a"]), (Literal[1], str),
    (Literal[1], Literal[True]), (bool, Literal[True]), (Color, Literal[Color.RED]), (int, Literal[1, 2]),
    (Color, int),
    # NewType.
    (int, UserId), (UserId, AdminId), (UserId, str), (list[int], list[UserId]), (list[UserId], list[int]),
    # Invariant arguments.
    (list[bool], list[int]), (list[int], list[float]), (list[int], list[str]), (list[int], list[int | str]),
    (dict[str, int], dict[str, str]), (dict[str, bool], dict[str, int]), (dict[int, str], dict[str, str]),
    (set[bool], set[int]), (list[list[bool]], list[list[int]]), (list[Png], list[Image]), (Names, list[int]),
    (list[bool], MutableSequence[int]), (dict[str, bool], MutableMapping[str, int]),
    (list[Image], list[Closes]), (dict[str, list[bool]], Mapping[str, list[int]]),
    (collections.Counter[str], dict[str, str]),
    # Covariant arguments, and the way up that does not go down.
    (list[int], Sequence[str]), (Sequence[int], list[int]), (Iterable[int], Iterator[int]),
    (str, Sequence[int]), (Mapping[str, int], dict[str, int]), (dict[str, int], Iterable[int]),
    (set[int], Sequence[int]), (str, list[str]), (Iterator[int], Iterable[str]), (range, Iterable[str]),
    (type[int], type[str]), (type[int], int), (int, list[int]), (list[int], tuple[int, ...]),
    (enumerate[str], Iterator[tuple[int, int]]), (tuple[int, str], Iterable[int]),
    (Generator[int, int, None], Generator[int, str, None]), (Rows, Iterable[str]),
    (Cursor[int], Iterable[str]),
    # Tuples.
    (tuple[int, str], tuple[str, int]), (tuple[int], tuple[int, int]), (tuple[int, ...], tuple[int, int]),
    (tuple[int, str], tuple[int, ...]), (tuple[int], tuple[()]), (Point, tuple[int, str]),
    (list[int], tuple[int]),
    # Typed dictionaries.
    (Movie, Song), (Movie, LongMovie), (dict[str, int], Movie), (Movie, dict[str, Any]),
    (Movie, Mapping[str, int]), (int, Movie), (Movie, int), (list[Movie], list[Song]),
    # Callables.
    (Callable[[int], str], Callable[[int], int]), (Callable[[int], str], Callable[[int, int], str]),
    (Callable[[bool], int], Callable[[int], int]), (int, Callable[[int], int]), (Callable[[int], int], int),
    # Generic classes.
    (Box[bool], Box[int]), (Box[int], Box[str]), (IntBox, Box[str]), (Box[int], IntBox),
    (Reader[int], Reader[bool]), (Writer[bool], Writer[int]), (Pair[str, int], dict[str, list[str]]),
    # Protocols.
    (Base, Closes), (int, Closes), (Base, Named), (str, SupportsFloat),
    # numpy.
    (npt.NDArray[np.float64], npt.NDArray[np.int64]), (npt.NDArray[np.uint8], list[int]), (np.float32, int),
]  # fmt: skip


def texts(pair: tuple[object, object]) -> str:
    return " -> ".join(map(show, pair))


@pytest.mark.parametrize("pair", FITS + MORE_FITS, ids=texts)
def test_fits(pair: tuple[object, object]) -> None:
    assert fits(*pair, {})


@pytest.mark.parametrize("pair", DOES_NOT_FIT, ids=texts)
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
    (io.BytesIO, UNKNOWN),
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
    (int, "int"),
    (UNKNOWN, "?"),
    (None, "None"),
    (Any, "Any"),
    (list[Image], "list[Image]"),
    (typing.List[Image], "list[Image]"),
    (Iterator[tuple[int, ...]], "Iterator[tuple[int, ...]]"),
    (tuple[()], "tuple[()]"),
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

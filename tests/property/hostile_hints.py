"""Hints that nobody should write, and some do: unhashable, malformed, endless, or with code that raises."""

# ruff: noqa: UP007, UP044, UP045, PYI024, RUF036  # every spelling of a hint is under test

from __future__ import annotations

import collections
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import GenericAlias
from typing import (
    Annotated,
    Any,
    ForwardRef,
    Generic,
    Literal,
    NamedTuple,
    NoReturn,
    Optional,
    ParamSpec,
    Protocol,
    Self,
    TypedDict,
    TypeVar,
    TypeVarTuple,
    Union,
)

import typing_extensions
from hypothesis import strategies as st

__all__ = ["HOSTILE", "RAISING", "deep", "wide"]

T = TypeVar("T")
P = ParamSpec("P")
Ts = TypeVarTuple("Ts")


class NotHashable:
    """An object that is no hint, and can neither be hashed nor compared."""

    __hash__ = None  # type: ignore[assignment]  # on purpose

    def __eq__(self, other: object) -> bool:
        raise ValueError("not comparable")


class Grows(Protocol[T]):
    def next(self) -> Grows[list[T]]: ...


class Grown(Generic[T]):
    def next(self) -> Grown[list[T]]:
        raise NotImplementedError


class Calls(Generic[P]):
    def call(self, *args: P.args, **kwargs: P.kwargs) -> int:
        raise NotImplementedError


class CallsToo(Calls[P]): ...


class CallsInt(Calls[[int, str]]): ...


class Many(Generic[typing.Unpack[Ts]]): ...


class Page(TypedDict, Generic[T]):
    items: list[T]


class Pair(NamedTuple, Generic[T]):
    first: T
    rest: list[Pair[T]]


class Raises:
    """A descriptor that cannot be read."""

    def __get__(self, *_: object) -> object:
        raise RuntimeError("not readable")


class HasParameters:
    """A class with attributes of its own where generic ones have theirs."""

    __type_params__ = property(lambda _: 1)
    __parameters__ = 3
    __orig_bases__ = "none"
    value: int


class Meta(type):
    __type_params__ = Raises()
    __parameters__ = Raises()
    __annotations__ = Raises()

    def __getattr__(cls, name: str) -> object:
        raise RuntimeError(name)

    def __eq__(cls, other: object) -> bool:
        raise RuntimeError("not comparable")

    def __hash__(cls) -> int:
        raise RuntimeError("not hashable")

    def __subclasscheck__(cls, other: type) -> bool:
        raise RuntimeError("not a base")

    def __instancecheck__(cls, other: object) -> bool:
        raise RuntimeError("not a class")


class WithMeta(metaclass=Meta): ...


class Misspelt(Protocol):
    value: Undefined  # type: ignore[name-defined]  # noqa: F821  # on purpose

    def get(self) -> Undefined: ...  # type: ignore[name-defined]  # noqa: F821  # on purpose


Json = typing_extensions.TypeAliasType(
    "Json",
    dict[str, "Json"] | list["Json"] | int | None,  # type: ignore[misc]  # of itself
)
JsonToo: Any = typing_extensions.TypeAliasType(
    "JsonToo",
    "int | None | list[JsonToo] | dict[str, JsonToo]",  # type: ignore[misc]  # a text
)


def endless() -> list[Any]:
    """Aliases that stand for themselves, as `type A = list[A]` of 3.12 makes them."""

    class Alias:
        __value__: Any

    Alias.__name__ = "TypeAliasType"
    found = [Alias() for _ in range(5)]
    same, lists, other, union, growing = found
    same.__value__ = same
    lists.__value__ = GenericAlias(list, (lists,))
    other.__value__ = GenericAlias(list, (other,))
    union.__value__ = Union[Sequence[GenericAlias(list, (union,))], int]  # type: ignore[misc]
    growing.__type_params__ = (T,)  # type: ignore[attr-defined]
    growing.__value__ = GenericAlias(list, (GenericAlias(growing, (list[T],)),))
    return [*found, GenericAlias(growing, (int,))]


MALFORMED = [
    *(3, 2.5, "int", "no hint (", b"", (), [], {}, ..., NotImplemented, print, typing, NotHashable(), [int, [str]]),
    *(Generic, Protocol, Union, Optional, Literal, Callable, typing.ClassVar, typing.Final, typing.Concatenate),
    *(typing.Unpack, Annotated, Self, NoReturn, typing.LiteralString, type, tuple, list, Ts, P),
    *(P.args, P.kwargs, ForwardRef("Later"), typing.TypeGuard[int], typing.ClassVar[int]),
]
SOUND = [
    *(int, str, None, Any, T, list, Iterator[int | str], int | None, Union[int, str], Literal[1, "a"], Literal[[1]]),
    *(Json, JsonToo, Grows[int], Grown[str], Calls[[int, str]], Calls[...], CallsToo[int], CallsInt, Many[int, str]),
    *(Many, Page, Page[int], Pair, Pair[str], HasParameters, Misspelt, collections.namedtuple("Two", "a b")),
    *(Annotated[int, {"unit": "m"}], Annotated[str, NotHashable()], typing_extensions.ReadOnly[int]),
    *(Callable[P, T], Callable[typing.Concatenate[int, P], T], Callable[[typing.Unpack[Ts]], int], Callable[..., T]),
    *(tuple[()], tuple[int, typing.Unpack[tuple[str, ...]]], tuple[typing.Unpack[Ts]], type[int | str], type[Any]),
]
FORMS: list[Callable[..., Any]] = [
    lambda hint, _: GenericAlias(list, (hint,)),
    lambda hint, _: GenericAlias(Iterator, (hint,)),
    lambda hint, _: GenericAlias(tuple, (hint, ...)),
    lambda hint, _: GenericAlias(type, (hint,)),
    lambda hint, _: Annotated[hint, {}],
    lambda *both: GenericAlias(dict, both),
    lambda *both: GenericAlias(tuple, both),
    lambda *both: GenericAlias(Mapping, both),
    lambda *both: GenericAlias(Iterator, (list(both),)),
    lambda hint, other: Callable[[hint], other],
    lambda *both: Union[both],
    lambda hint, other: hint | other,
    lambda hint, _: Optional[hint],
    lambda hint, _: Grown[hint],
    lambda hint, other: Many[hint, other],
    lambda hint, _: Page[hint],
    lambda hint, other: Calls[[hint, other]],
    lambda hint, _: Literal[hint],
]


def _made(form: Callable[..., Any], one: Any, other: Any) -> Any:
    """A form of two hints; the first of them, where Python itself refuses it."""
    try:
        return form(one, other)
    except Exception:
        # What a hint of these does with others is its own.
        return one


def _compounds(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.builds(_made, _one_of(FORMS), inner, inner)


def _one_of(hints: Sequence[Any]) -> st.SearchStrategy[Any]:
    """One of some hints, none of which is hashed or compared."""
    return st.sampled_from(range(len(hints))).map(hints.__getitem__)


HOSTILE: st.SearchStrategy[Any] = st.recursive(
    _one_of([*MALFORMED, *SOUND, *SOUND, *endless()]), _compounds, max_leaves=6
)
RAISING: st.SearchStrategy[Any] = st.recursive(
    _one_of([WithMeta, WithMeta, *SOUND, *endless()]), _compounds, max_leaves=6
)


def deep(form: Callable[[Any], Any], leaf: Any, depth: int = 200) -> Any:
    """A hint in a hint, and so on."""
    for _ in range(depth):
        leaf = form(leaf)
    return leaf


def wide(count: int = 500, above: Sequence[type] = ()) -> list[type]:
    """Many classes, which may each derive from another one."""
    bases: Iterable[tuple[type, ...]] = [(each,) for each in above] or [()] * count
    return [type(f"Class{number}", base, {}) for number, base in enumerate(bases)]

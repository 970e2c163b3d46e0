"""A function bound to its own arguments: the values that `source`, `stage` and `sink` make."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from types import CodeType, MethodType
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from ..messages.source_files import PACKAGE, file_of

__all__ = [
    "Bound",
    "Sink",
    "Source",
    "Stage",
    "attribute",
    "is_a",
    "name_of",
    "sink",
    "source",
    "stage",
    "underlying",
    "where_of",
]

MADE = ("<string>", "<attrs generated ")  # the files of what dataclasses, named tuples and attrs make for a class

P = ParamSpec("P")
T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")
R = TypeVar("R")
Out_co = TypeVar("Out_co", covariant=True)
In_contra = TypeVar("In_contra", contravariant=True)


def attribute(value: object, name: str) -> Any:  # of whatever a user passes
    """An attribute that an object or its class has; None where only a `__getattr__` would answer, or it raises."""
    try:
        inspect.getattr_static(value.__func__ if type(value) is MethodType else value, name)
    except Exception:  # whatever an object does when it is looked at
        if type(value) is not MethodType or not hasattr(MethodType, name):
            return None
    try:
        return getattr(value, name)
    except Exception:  # a property may raise anything
        return None


def is_a(value: object, kind: type) -> bool:
    """Whether a value is of a class by its type, whatever its `__class__` says or raises."""
    return issubclass(type(value), kind)


def underlying(function: object) -> object:
    """The function whose code runs, seen through partials, methods, decorators, classes, callable objects."""
    inner: object = function
    seen: set[int] = set()  # `__wrapped__` may lead back
    while inner is not None and id(inner) not in seen:
        seen.add(id(inner))
        function = inner
        names = ("func",) if type(function) is functools.partial else ("__wrapped__", "__func__", "__origin__")
        inner = next((each for name in names if (each := attribute(function, name)) is not None), None)
    if attribute(function, "__code__") is not None:
        return function
    is_class = is_a(function, type)
    owner, methods = (function, ("__init__", "__new__")) if is_class else (type(function), ("__call__",))
    candidates = (_unwrapped(attribute(owner, each)) for each in methods)
    return next((each for each in candidates if attribute(each, "__code__") is not None), function)


def _unwrapped(function: Any) -> object:
    try:
        return inspect.unwrap(function)
    except ValueError:  # it leads back to itself
        return function


def name_of(function: object) -> str:
    """The short name of a function or callable object, as messages show it."""
    if type(function) is functools.partial:
        return name_of(function.func)
    name = attribute(attribute(function, "__origin__") or function, "__name__")  # of `Box[int]`, Box
    return name if isinstance(name, str) and name else type(function).__name__


def where_of(function: object) -> str | None:
    """Where a function is defined, as `file:line`, or None for this package's own and where Python cannot tell."""
    code = attribute(underlying(function), "__code__")
    file = file_of(code) if is_a(code, CodeType) else None
    if file is None or file.startswith(PACKAGE):
        return None
    return _place_of_class(function) if file.startswith(MADE) else f"{file}:{code.co_firstlineno}"


def _place_of_class(made: object) -> str | None:
    """The line of a class whose methods were made for it, as those of a dataclass are."""
    try:
        named = attribute(made, "__origin__") or made
        cls: Any = named if is_a(named, type) else type(named)
        return f"{inspect.getsourcefile(cls)}:{inspect.getsourcelines(cls)[1]}"
    except (OSError, TypeError):
        return None


# The function is typed `Callable[..., Any]` here: its real type lives in the generic subclasses and was
# checked where it was bound; what the worker needs is only to call it.
@dataclass(frozen=True)
class Bound:
    """A function and the arguments that follow its input."""

    function: Callable[..., Any]
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The function's short name."""
        return name_of(self.function)

    @property
    def where(self) -> str | None:
        """Where the function is defined, as `file:line`."""
        return where_of(self.function)

    @property
    def within(self) -> tuple[tuple[Any, ...], ...]:
        """The chains of planned stages that run within it. Any: a planned stage is made of a bound function."""
        return ()

    # A method and no `__call__`: a type checker would take every bound function for a `Callable[..., Any]`, and
    # `Pipeline.then` would lose the element types of those that it accepts and accept all others.
    def call(self, *inputs: Any) -> Any:
        """Call the function with its input, if it has one, and its arguments."""
        return self.function(*inputs, *self.args, **self.kwargs)

    def __repr__(self) -> str:
        arguments = [
            self.name,
            *map(repr, self.args),
            *(f"{key}={value!r}" for key, value in self.kwargs.items()),
        ]
        return f"{type(self).__name__.lower()}({', '.join(arguments)})"


@dataclass(frozen=True, repr=False)
class Source(Bound, Generic[Out_co]):
    """A bound generator function that makes a pipeline's items; see `source`."""


@dataclass(frozen=True, repr=False)
class Stage(Bound, Generic[In_contra, Out_co]):
    """A bound generator function from items to items; see `stage`."""


@dataclass(frozen=True, repr=False)
class Sink(Bound, Generic[In_contra, Out_co]):
    """A bound function that takes all items and returns a value; see `sink`."""


@overload
def source(function: Callable[P, AsyncIterable[T]], /, *args: P.args, **kwargs: P.kwargs) -> Source[T]: ...
@overload
def source(function: Callable[P, Iterable[T]], /, *args: P.args, **kwargs: P.kwargs) -> Source[T]: ...
def source(function: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> Source[Any]:
    """Bind a source function to its arguments: a generator function, or an async one, for `Tasks()`.

    >>> source(range, 3)
    source(range, 3)
    """
    return Source(function, args, kwargs)


def stage(
    function: Callable[Concatenate[Iterator[A], P], Iterable[B]], /, *args: P.args, **kwargs: P.kwargs
) -> Stage[A, B]:
    """Bind a generator stage to the arguments that follow its input.

    >>> from collections.abc import Iterable, Iterator
    >>> def scale(values: Iterable[int], factor: int) -> Iterator[int]:
    ...     for value in values:
    ...         yield value * factor
    >>> stage(scale, factor=3)
    stage(scale, factor=3)
    """
    return Stage(function, args, kwargs)


def sink(function: Callable[Concatenate[Iterator[A], P], R], /, *args: P.args, **kwargs: P.kwargs) -> Sink[A, R]:
    """Bind a sink to the arguments that follow its input; what it returns is the run's value.

    >>> sink(sum)
    sink(sum)
    """
    return Sink(function, args, kwargs)

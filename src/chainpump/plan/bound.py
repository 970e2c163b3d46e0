"""A function together with its arguments: the values that `source`, `stage` and `sink` make."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Iterator
from functools import cached_property
from typing import Any, ClassVar, Concatenate, Generic, ParamSpec, Self, TypeVar, overload

from ..hints.objects import name_of, where_of
from ..lazy_dataclass import dataclass, field

__all__ = [
    "Bound",
    "Sink",
    "Source",
    "Stage",
    "sink",
    "source",
    "stage",
]

P = ParamSpec("P")
T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")
R = TypeVar("R")
Out_co = TypeVar("Out_co", covariant=True)
In_contra = TypeVar("In_contra", contravariant=True)


# The field `function` has the type Any. The exact type is in the generic subclasses and is checked when the function is
# bound; a worker only calls it. In an operator it may be a factory, which the worker replaces by the function.
@dataclass(frozen=True)
class Bound:
    """A function and the arguments that follow its input."""

    function: Any
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    # The user's function, if `function` is one of this package that calls it. Messages name the user's function.
    wraps: Any = field(default=None, kw_only=True)
    # The most bytes of an item that it makes, as a pickle, on its way to a process of this machine. None: no limit.
    most_bytes: int | None = field(default=None, kw_only=True)
    # The function that makes such a value; by default the name of the class.
    word: ClassVar[str] = ""

    @property
    def written(self) -> Callable[..., Any]:
        """Return the function as the user has written it: the factory, if the function is made by one."""
        if self.wraps is not None:
            return self.wraps  # type: ignore[no-any-return]  # as `function`
        function: Callable[..., Any] = self.function.written if isinstance(self.function, Bound) else self.function
        return function

    @property
    def name(self) -> str:
        """Return the short name of the function."""
        return name_of(self.written)

    @cached_property
    def where(self) -> str | None:
        """Return where the function is defined, as `file:line`."""
        return where_of(self.written)

    @property
    def within(self) -> tuple[tuple[Any, ...], ...]:
        """Return the chains of planned stages inside it. Any: importing `PlannedStage` would be a circular import."""
        return ()

    @property
    def for_workers(self) -> Self:
        """Return the same without what stays in the main process."""
        return self

    # This is a method and not `__call__`. With `__call__` a type checker would accept every bound function as a
    # `Callable[..., Any]`, and `Pipeline.then` would lose the element types and accept all functions.
    def call(self, *inputs: Any) -> Any:
        """Call the function with its input, if it has one, and its arguments."""
        return self.function(*inputs, *self.args, **self.kwargs)

    def __repr__(self) -> str:
        arguments = [
            self.name,
            *map(repr, self.args),
            *(f"{key}={value!r}" for key, value in self.kwargs.items()),
        ]
        return f"{self.word or type(self).__name__.lower()}({', '.join(arguments)})"


@dataclass(frozen=True, repr=False)
class Source(Bound, Generic[Out_co]):
    """A bound generator function that makes the items of a pipeline; see `source`."""


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
    """Bind a source function to its arguments: a generator function, or an async one for `Tasks()`.

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
    """Bind a sink to the arguments that follow its input; its result is the value of the run.

    >>> sink(sum)
    sink(sum)
    """
    return Sink(function, args, kwargs)

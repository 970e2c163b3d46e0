"""A factory of a function of one item: each worker calls it once, and uses what it returns."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, ClassVar, Generic, ParamSpec, TypeVar, overload

from ..lazy_dataclass import dataclass
from .bound import Bound

__all__ = ["PerWorker", "per_worker"]

P = ParamSpec("P")
F = TypeVar("F", bound=Callable[..., Any])
F_co = TypeVar("F_co", bound=Callable[..., Any], covariant=True)


@dataclass(frozen=True, repr=False)
class PerWorker(Bound, Generic[F_co]):
    """A factory and its arguments, in place of a function of one item; see `per_worker`.

    adapters: are applied to the function that the factory makes, the first one first.
    """

    adapters: tuple[Callable[[Callable[..., Any]], Callable[..., Any]], ...] = ()
    word: ClassVar[str] = "per_worker"

    def adapted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Apply the adapters."""
        for adapt in self.adapters:
            function = adapt(function)
        return function


# The order of the overloads is that in which a worker decides what to do with the result of the factory.
@overload
def per_worker(
    factory: Callable[P, AbstractAsyncContextManager[F]], /, *args: P.args, **kwargs: P.kwargs
) -> PerWorker[F]: ...
@overload
def per_worker(
    factory: Callable[P, AbstractContextManager[F]], /, *args: P.args, **kwargs: P.kwargs
) -> PerWorker[F]: ...
@overload
def per_worker(factory: Callable[P, Awaitable[F]], /, *args: P.args, **kwargs: P.kwargs) -> PerWorker[F]: ...
@overload
def per_worker(factory: Callable[P, F], /, *args: P.args, **kwargs: P.kwargs) -> PerWorker[F]: ...
def per_worker(factory: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> PerWorker[Any]:
    """Let each worker make its own function of one item: a model, a connection, a session.

    >>> from chainpump import Pipeline, Threads
    >>> class Scale:
    ...     def __init__(self, factor: int) -> None:
    ...         self.factor = factor  # once for each worker
    ...     def __call__(self, number: int) -> int:
    ...         return self.factor * number  # for each item
    >>> list(Pipeline([1, 2, 3]).map(per_worker(Scale, 10), on=Threads(2)))
    [10, 20, 30]

    `map`, `filter`, `flat_map`, `tap` and `each` take it in place of a function. Each worker calls the factory with the
    arguments before its first item. If the result is a context manager, the worker enters it, uses what `__enter__`
    returns, and leaves it at its end, also on failure and cancellation, within the grace period of the run. `Tasks`
    also takes async context managers and `async def` factories; its event loop is one worker.
    If the factory raises, the run ends with a StageError that names the stage and the worker.
    """
    return PerWorker(factory, args, kwargs)

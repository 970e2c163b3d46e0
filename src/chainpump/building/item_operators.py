"""The methods of a pipeline that call a function for each item; each of them adds one stage."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterable, Awaitable, Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

# Annotations reach the pipeline, which is made of these methods, through the package.
import chainpump

from ..executors.base import Executor
from ..executors.tasks import Tasks
from ..messages.user_call import user_call
from ..plan.operators import Each, Filter, FlatMap, ItemFunction, Map, Operator, Tap
from ..policies import Policy, Raise
from .stage_builder import DEFAULT

if TYPE_CHECKING:
    # Only type checkers need these names.
    from typing import TypeGuard

    from typing_extensions import TypeForm, TypeIs

__all__ = ["ItemOperators"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

RAISE = Raise()


class ItemOperators(Generic[T_co]):
    """The methods of `Pipeline` that take a function of one item."""

    __slots__ = ()

    @abstractmethod
    def _and(
        self, operator: Operator[Any, Any], on: Executor, in_flight: int | None, name: str | None, returns: Any = None
    ) -> chainpump.Pipeline[Any]:
        """Return the pipeline with one more stage. Raises one error with all problems of the stage."""

    @abstractmethod
    def _ending_in(
        self, operator: Each[Any], on: Executor, in_flight: int | None, name: str | None
    ) -> chainpump.Runnable[None]:
        """Return the pipeline that ends in this stage. Raises one error with all problems of the stage."""

    @overload
    def map(
        self,
        function: ItemFunction[T_co, Any],
        *,
        returns: TypeForm[T],
        on: Executor = ...,
        ordered: bool = ...,
        on_error: Policy = ...,
        timeout: float | None = ...,
        in_flight: int | None = ...,
        name: str | None = ...,
    ) -> chainpump.Pipeline[T]: ...
    @overload
    def map(
        self,
        function: ItemFunction[T_co, Coroutine[Any, Any, T]],
        *,
        on: Tasks,
        ordered: bool = ...,
        on_error: Policy = ...,
        timeout: float | None = ...,
        in_flight: int | None = ...,
        name: str | None = ...,
    ) -> chainpump.Pipeline[T]: ...
    @overload
    def map(
        self,
        function: ItemFunction[T_co, Awaitable[T]],
        *,
        on: Tasks,
        ordered: bool = ...,
        on_error: Policy = ...,
        timeout: float | None = ...,
        in_flight: int | None = ...,
        name: str | None = ...,
    ) -> chainpump.Pipeline[T]: ...
    @overload
    def map(
        self,
        function: ItemFunction[T_co, T],
        *,
        on: Executor = ...,
        ordered: bool = ...,
        on_error: Policy = ...,
        timeout: float | None = ...,
        in_flight: int | None = ...,
        name: str | None = ...,
    ) -> chainpump.Pipeline[T]: ...
    @user_call
    def map(
        self,
        function: ItemFunction[T_co, Any],
        *,
        on: Executor = DEFAULT,
        returns: Any = None,
        ordered: bool = True,
        on_error: Policy = RAISE,
        timeout: float | None = None,
        in_flight: int | None = None,
        name: str | None = None,
    ) -> chainpump.Pipeline[Any]:
        """Call a function for each item; its result replaces the item.

        >>> from chainpump import Threads
        >>> list(Pipeline(["1", "2"]).map(int, on=Threads(2)))
        [1, 2]

        A result is sent shortly after the function has returned, together with other results. So the function should
        return a new object each time; it should not change an object that it has returned.
        on, in_flight, name: as for `then`.
        returns: the type of the result, for a lambda, which has no annotations.
        ordered: whether results keep the order of the source; otherwise each result is sent as soon as it is ready.
        on_error: what happens to an item on which the function raises: `Raise()`, `Skip()`, `Retry(...)` or
        `DeadLetter()`.
        timeout: seconds that the function may take for one item, on Processes and Tasks. Then the call is stopped, and
        the policy gets the item as an ItemTimeoutError.
        """
        operator: Map[Any, Any] = Map(function, (), {}, on_error, ordered, timeout)
        return self._and(operator, on, in_flight, name, returns)

    @overload
    def filter(
        self,
        function: Callable[[T_co], TypeIs[T]],
        *,
        on: Executor = ...,
        ordered: bool = ...,
        on_error: Policy = ...,
        timeout: float | None = ...,
        in_flight: int | None = ...,
        name: str | None = ...,
    ) -> chainpump.Pipeline[T]: ...
    @overload
    def filter(
        self,
        function: Callable[[T_co], TypeGuard[T]],
        *,
        on: Executor = ...,
        ordered: bool = ...,
        on_error: Policy = ...,
        timeout: float | None = ...,
        in_flight: int | None = ...,
        name: str | None = ...,
    ) -> chainpump.Pipeline[T]: ...
    @overload
    def filter(
        self,
        function: ItemFunction[T_co, object],
        *,
        on: Executor = ...,
        ordered: bool = ...,
        on_error: Policy = ...,
        timeout: float | None = ...,
        in_flight: int | None = ...,
        name: str | None = ...,
    ) -> chainpump.Pipeline[T_co]: ...
    @user_call
    def filter(
        self,
        function: ItemFunction[T_co, object],
        *,
        on: Executor = DEFAULT,
        ordered: bool = True,
        on_error: Policy = RAISE,
        timeout: float | None = None,
        in_flight: int | None = None,
        name: str | None = None,
    ) -> chainpump.Pipeline[Any]:
        """Keep the items for which a function returns a true value. The options are those of `map`.

        If the function returns `TypeGuard[B]` or `TypeIs[B]`, the remaining items have the type B.

        >>> list(Pipeline(range(6)).filter(lambda number: number % 2, on=Inline()))
        [1, 3, 5]
        """
        operator: Filter[Any] = Filter(function, (), {}, on_error, ordered, timeout)
        return self._and(operator, on, in_flight, name)

    @overload
    def flat_map(
        self,
        function: ItemFunction[T_co, Any],
        *,
        returns: TypeForm[Iterable[T]],
        on: Executor = ...,
        ordered: bool = ...,
        on_error: Policy = ...,
        timeout: float | None = ...,
        in_flight: int | None = ...,
        name: str | None = ...,
    ) -> chainpump.Pipeline[T]: ...
    @overload
    def flat_map(
        self,
        function: ItemFunction[T_co, AsyncIterable[T] | Awaitable[Iterable[T]]],
        *,
        on: Tasks,
        ordered: bool = ...,
        on_error: Policy = ...,
        timeout: float | None = ...,
        in_flight: int | None = ...,
        name: str | None = ...,
    ) -> chainpump.Pipeline[T]: ...
    @overload
    def flat_map(
        self,
        function: ItemFunction[T_co, Iterable[T]],
        *,
        on: Executor = ...,
        ordered: bool = ...,
        on_error: Policy = ...,
        timeout: float | None = ...,
        in_flight: int | None = ...,
        name: str | None = ...,
    ) -> chainpump.Pipeline[T]: ...
    @user_call
    def flat_map(
        self,
        function: ItemFunction[T_co, Any],
        *,
        on: Executor = DEFAULT,
        returns: Any = None,
        ordered: bool = True,
        on_error: Policy = RAISE,
        timeout: float | None = None,
        in_flight: int | None = None,
        name: str | None = None,
    ) -> chainpump.Pipeline[Any]:
        """Call a function for each item; all its results, returned or yielded, replace the item.

        >>> list(Pipeline(["a b", "c"]).flat_map(str.split, on=Inline()))
        ['a', 'b', 'c']

        The options are those of `map`; for a lambda, `returns=list[str]` declares the type of its result. Results are
        sent as they are made. With a policy other than `Raise()`, and on `Processes` with `restarts=` or `timeout=`,
        they are sent when the function has finished the item, so that an item that fails leaves no results. Until then
        the worker holds all of them, without a bound: split an item that makes gigabytes in an earlier stage.
        """
        operator: FlatMap[Any, Any] = FlatMap(function, (), {}, on_error, ordered, timeout)
        return self._and(operator, on, in_flight, name, returns)

    @user_call
    def tap(
        self,
        function: ItemFunction[T_co, object],
        *,
        on: Executor = DEFAULT,
        ordered: bool = True,
        on_error: Policy = RAISE,
        timeout: float | None = None,
        in_flight: int | None = None,
        name: str | None = None,
    ) -> chainpump.Pipeline[T_co]:
        """Call a function for each item, and pass the item on. The options are those of `map`.

        >>> seen = []
        >>> list(Pipeline(range(3)).tap(seen.append, on=Inline())), seen
        ([0, 1, 2], [0, 1, 2])

        It is a side output, for a log, a metric or a second destination. The result of the function is ignored. An item
        is passed on when the function has returned. If it raises, `on_error` decides, and an item that is skipped does
        not go on. A worker process has its own copy of the function and of all that it changes.
        """
        operator: Tap[Any] = Tap(function, (), {}, on_error, ordered, timeout)
        return self._and(operator, on, in_flight, name)

    @user_call
    def each(
        self,
        function: ItemFunction[T_co, object],
        *,
        on: Executor = DEFAULT,
        on_error: Policy = RAISE,
        timeout: float | None = None,
        in_flight: int | None = None,
        name: str | None = None,
    ) -> chainpump.Runnable[None]:
        """End the pipeline with a function that is called for each item. The options are those of `map`.

        >>> Pipeline(["a", "b"]).each(print, on=Inline()).run().value
        a
        b

        On one worker the calls come in the order of the source. The exception is a worker that may be replaced
        (`restarts=`, or `timeout=` on Processes) behind several workers; `plan()` shows it.
        """
        operator: Each[Any] = Each(function, (), {}, on_error, True, timeout)
        return self._ending_in(operator, on, in_flight, name)

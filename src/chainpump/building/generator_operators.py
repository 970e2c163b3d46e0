"""The methods of a pipeline that add the generator stages of the library; each checks its arguments, then adds one."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Hashable, Iterable
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

# Annotations reach the pipeline, which is made of these methods, through the package.
import chainpump

from ..errors import StageOptionError, StageTypeError
from ..executors.base import Executor
from ..hints.annotations import Hint, is_unknown
from ..hints.assignability import fits
from ..hints.objects import name_of
from ..messages.user_call import user_call
from ..plan.bound import Stage
from ..plan.generator_stages import (
    batch,
    batch_by,
    batch_within,
    distinct,
    group_by,
    numbered,
    shuffle,
    skip,
    skip_while,
    take,
    take_while,
    unbatch,
    window,
)
from ..plan.placement import check_seconds
from ..plan.planned_stage import PlannedStage
from .checks import check_count, check_weight
from .stage_builder import DEFAULT, MIN_WAIT, check_part

if TYPE_CHECKING:
    # Only type checkers need these names.
    from typing import TypeGuard

    from typing_extensions import TypeIs

__all__ = ["GeneratorOperators"]

T = TypeVar("T")
K = TypeVar("K")
T_co = TypeVar("T_co", covariant=True)


class GeneratorOperators(Generic[T_co]):
    """The methods of `Pipeline` that group, select, number and order items."""

    __slots__ = ()

    _stages: tuple[PlannedStage, ...]

    @abstractmethod
    @user_call
    def then(
        self,
        stage: Stage[T_co, T],
        *,
        on: Executor = DEFAULT,
        in_flight: int | None = None,
        may_stop: bool = False,
        name: str | None = None,
    ) -> chainpump.Pipeline[T]:
        """Add a generator stage; see `Pipeline.then`."""

    @abstractmethod
    def _yielding(self, hint: Hint) -> chainpump.Pipeline[Any]:
        """Return the same pipeline with another hint of its items."""

    @overload
    def batch(
        self,
        n: int,
        *,
        within: float | None = ...,
        on: Executor = ...,
        in_flight: int | None = ...,
        name: str | None = ...,
    ) -> chainpump.Pipeline[list[T_co]]: ...
    @overload
    def batch(
        self,
        n: int | None = ...,
        *,
        by: Callable[[T_co], float],
        most: float,
        within: float | None = ...,
        on: Executor = ...,
        in_flight: int | None = ...,
        name: str | None = ...,
    ) -> chainpump.Pipeline[list[T_co]]: ...
    @user_call
    def batch(
        self,
        n: int | None = None,
        *,
        by: Callable[[T_co], float] | None = None,
        most: float | None = None,
        within: float | None = None,
        on: Executor = DEFAULT,
        in_flight: int | None = None,
        name: str | None = None,
    ) -> chainpump.Pipeline[list[T_co]]:
        """Make lists of n items, or of items that weigh at most `most` together; the last list may be shorter.

        >>> list(Pipeline("a b c".split()).batch(2, on=Inline()))
        [['a', 'b'], ['c']]
        >>> list(Pipeline("to be or not".split()).batch(by=len, most=5, on=Inline()))
        [['to', 'be'], ['or', 'not']]

        by, most: a function that returns the weight of one item, such as its length, bytes or tokens, and the most that
        a batch may weigh. With n, a batch has at most n items as well. An item that weighs more than `most` is a batch
        of its own: nothing is dropped.
        within: seconds after which an incomplete batch is sent, counted from its first item. On Inline behind another
        Inline stage no worker can wait: there an incomplete batch is sent at the end only, and `within` is refused.
        """
        options: list[str] = []
        is_weighed = by is not None or most is not None
        if n is not None or not is_weighed:
            n = check_count(n, name or "batch", "n")
            options.append(str(n))
        if is_weighed:
            options += self._weighed(by, most, name or "batch")
        if within is not None:
            check_seconds(within, "batch: within", least=MIN_WAIT)
            options.append(f"within={within:g}")
        made = self.then(
            _batching(n, by, most, within), on=on, in_flight=in_flight, name=name or f"batch({', '.join(options)})"
        )
        before, last = made.plan().stages[-2:]
        if within is not None and before.shares_worker_with(last):
            raise StageOptionError(
                f"batch: within={within:g} does nothing on {on!r} behind '{before.name}', which runs there"
                " too: the same thread makes the items.\n  Leave it out, or give one of the two an executor of its own."
            )
        return made

    def _weighed(self, by: Callable[[T_co], float] | None, most: float | None, name: str) -> list[str]:
        """Check the weights of a batch. Returns both options as text."""
        if by is None or most is None:
            given, missing = ("most", "by") if by is None else ("by", "most")
            raise StageOptionError(
                f"stage {name!r}: {given}= does nothing without {missing}=.\n  For example .batch(by=len, most=8192)."
            )
        check_part(by, "batch", self._stages[-1], option="by=")
        check_weight(most, name, "most")
        return [f"by={name_of(by)}", f"most={most}"]

    @user_call
    def group_by(
        self,
        key: Callable[[T_co], K],
        *,
        most: int | None = None,
        on: Executor = DEFAULT,
        in_flight: int | None = None,
        name: str | None = None,
    ) -> chainpump.Pipeline[tuple[K, list[T_co]]]:
        """Make pairs of a key and the list of neighbouring items that have it. Equal keys elsewhere make another pair.

        >>> list(Pipeline("apple avocado banana".split()).group_by(lambda word: word[0], on=Inline()))
        [('a', ['apple', 'avocado']), ('b', ['banana'])]

        key: a function of one item.
        most: the most items of a list. A longer group comes in several pairs with the same key, so that the memory is
        bounded; by default a list holds its whole group.
        `group_by` has one worker.
        """
        check_part(key, "group_by", self._stages[-1])
        options = [name_of(key)]
        if most is not None:
            most = check_count(most, name or "group_by", "most")
            options.append(f"most={most}")
        stage: Stage[T_co, tuple[K, list[T_co]]] = Stage(group_by, (key, most))
        return self.then(stage, on=on, in_flight=in_flight, name=name or f"group_by({', '.join(options)})")

    @user_call
    def window(
        self,
        n: int,
        *,
        step: int = 1,
        on: Executor = DEFAULT,
        in_flight: int | None = None,
        name: str | None = None,
    ) -> chainpump.Pipeline[tuple[T_co, ...]]:
        """Make sliding windows: tuples of n neighbouring items, in the order in which they arrive.

        >>> list(Pipeline(range(5)).window(3, on=Inline()))
        [(0, 1, 2), (1, 2, 3), (2, 3, 4)]

        step: how many items lie between the beginnings of two windows. With `step=n` windows do not overlap; with a
        larger step the items between two windows are skipped.
        Every window has n items. Fewer than n items make no window, and items that do not fill a window at the end are
        dropped; use `batch` to keep them. Between processes an item is sent again with every window that contains it.
        If items are large, run `window` and the stage after it in one thread, or on `Inline()`. `window` has one
        worker.
        """
        n = check_count(n, name or "window", "n")
        step = check_count(step, name or "window", "step")
        by = f", step={step}" if step != 1 else ""
        return self.then(Stage(window, (n, step)), on=on, in_flight=in_flight, name=name or f"window({n}{by})")

    @user_call
    def unbatch(
        self: GeneratorOperators[Iterable[T]],
        *,
        on: Executor = DEFAULT,
        in_flight: int | None = None,
        name: str | None = None,
    ) -> chainpump.Pipeline[T]:
        """Yield the items of each batch, one after the other.

        >>> list(Pipeline([[1, 2], [3]]).unbatch(on=Inline()))
        [1, 2, 3]
        """
        return self.then(Stage(unbatch), on=on, in_flight=in_flight, name=name)

    @user_call
    def take(
        self, n: int, *, on: Executor = DEFAULT, in_flight: int | None = None, name: str | None = None
    ) -> chainpump.Pipeline[T_co]:
        """Yield the first n items, and then cancel all stages before it.

        >>> from itertools import count
        >>> list(Pipeline(count()).take(3, on=Inline()))
        [0, 1, 2]
        """
        n = check_count(n, name or "take", "n", least=0)
        return self.then(Stage(take, (n,)), on=on, in_flight=in_flight, may_stop=True, name=name or f"take({n})")

    @overload
    def take_while(
        self,
        function: Callable[[T_co], TypeIs[T]],
        *,
        on: Executor = ...,
        in_flight: int | None = ...,
        name: str | None = ...,
    ) -> chainpump.Pipeline[T]: ...
    @overload
    def take_while(
        self,
        function: Callable[[T_co], TypeGuard[T]],
        *,
        on: Executor = ...,
        in_flight: int | None = ...,
        name: str | None = ...,
    ) -> chainpump.Pipeline[T]: ...
    @overload
    def take_while(
        self,
        function: Callable[[T_co], object],
        *,
        on: Executor = ...,
        in_flight: int | None = ...,
        name: str | None = ...,
    ) -> chainpump.Pipeline[T_co]: ...
    @user_call
    def take_while(
        self,
        function: Callable[[T_co], object],
        *,
        on: Executor = DEFAULT,
        in_flight: int | None = None,
        name: str | None = None,
    ) -> chainpump.Pipeline[Any]:
        """Yield items until a function returns a false value for one, and then cancel all stages before it.

        >>> from itertools import count
        >>> list(Pipeline(count()).take_while(lambda number: number < 3, on=Inline()))
        [0, 1, 2]

        The item for which it is false is dropped. If the function returns `TypeGuard[B]` or `TypeIs[B]`, the items
        have the type B. `take_while` has one worker.
        """
        kept = check_part(function, "take_while", self._stages[-1])
        name = name or f"take_while({name_of(function)})"
        stage: Stage[T_co, T_co] = Stage(take_while, (function,))
        made = self.then(stage, on=on, in_flight=in_flight, may_stop=True, name=name)
        return made._yielding(kept)  # noqa: SLF001  # of its own class

    @user_call
    def skip(
        self, n: int, *, on: Executor = DEFAULT, in_flight: int | None = None, name: str | None = None
    ) -> chainpump.Pipeline[T_co]:
        """Drop the first n items.

        >>> list(Pipeline(range(5)).skip(3, on=Inline()))
        [3, 4]

        The stages before it make these items too. `skip` has one worker.
        """
        n = check_count(n, name or "skip", "n", least=0)
        return self.then(Stage(skip, (n,)), on=on, in_flight=in_flight, name=name or f"skip({n})")

    @user_call
    def skip_while(
        self,
        function: Callable[[T_co], object],
        *,
        on: Executor = DEFAULT,
        in_flight: int | None = None,
        name: str | None = None,
    ) -> chainpump.Pipeline[T_co]:
        """Drop items until a function returns a false value for one; it is not called again.

        >>> list(Pipeline([1, 2, 9, 1]).skip_while(lambda number: number < 5, on=Inline()))
        [9, 1]

        `skip_while` has one worker.
        """
        check_part(function, "skip_while", self._stages[-1])
        name = name or f"skip_while({name_of(function)})"
        stage: Stage[T_co, T_co] = Stage(skip_while, (function,))
        return self.then(stage, on=on, in_flight=in_flight, name=name)

    @user_call
    def enumerate(
        self, start: int = 0, *, on: Executor = DEFAULT, in_flight: int | None = None, name: str | None = None
    ) -> chainpump.Pipeline[tuple[int, T_co]]:
        """Make pairs of a number and an item; the numbers count from `start`, in the order in which items arrive.

        >>> list(Pipeline("a b".split()).enumerate(on=Inline()))
        [(0, 'a'), (1, 'b')]

        `enumerate` has one worker.
        """
        start = check_count(start, name or "enumerate", "start", least=None)
        stage: Stage[T_co, tuple[int, T_co]] = Stage(numbered, (start,))
        name = name or (f"enumerate(start={start})" if start else "enumerate")
        return self.then(stage, on=on, in_flight=in_flight, name=name)

    @user_call
    def shuffle(
        self,
        buffer: int,
        *,
        seed: int | None = None,
        on: Executor = DEFAULT,
        in_flight: int | None = None,
        name: str | None = None,
    ) -> chainpump.Pipeline[T_co]:
        """Yield the items in a random order: each is drawn from the next `buffer` items.

        >>> numbers = Pipeline(range(5)).shuffle(3, seed=1, on=Inline())
        >>> list(numbers) == list(numbers), sorted(numbers)
        (True, [0, 1, 2, 3, 4])

        buffer: how many items are held. An item leaves at most buffer - 1 places before its own, so a buffer of all
        items makes every order equally likely, and a buffer of 1 changes nothing.
        seed: an integer; the same seed gives the same order for the same input, on every executor. Without it each run
        has another order; a `run(seed=...)` repeats it where `shuffle` runs on Processes.
        For another known order in each epoch, build the pipeline with the number of the epoch:
        `pipeline.shuffle(1_000, seed=epoch)`. `shuffle` has one worker.
        """
        buffer = check_count(buffer, name or "shuffle", "buffer")
        text = f"shuffle({buffer})"
        if seed is not None:
            seed = check_count(seed, name or "shuffle", "seed", least=0)
            text = f"shuffle({buffer}, seed={seed})"
        return self.then(Stage(shuffle, (buffer, seed)), on=on, in_flight=in_flight, name=name or text)

    @overload
    def distinct(
        self: GeneratorOperators[Hashable],
        *,
        within: int | None = ...,
        on: Executor = ...,
        in_flight: int | None = ...,
        name: str | None = ...,
    ) -> chainpump.Pipeline[T_co]: ...
    @overload
    def distinct(
        self,
        *,
        key: Callable[[T_co], Hashable],
        within: int | None = ...,
        on: Executor = ...,
        in_flight: int | None = ...,
        name: str | None = ...,
    ) -> chainpump.Pipeline[T_co]: ...
    @user_call
    def distinct(
        self: GeneratorOperators[Any],
        *,
        key: Callable[[Any], Hashable] | None = None,
        within: int | None = None,
        on: Executor = DEFAULT,
        in_flight: int | None = None,
        name: str | None = None,
    ) -> chainpump.Pipeline[Any]:
        """Drop each item whose key has come before; the first item with a key stays.

        >>> list(Pipeline("a B A b".split()).distinct(key=str.lower, on=Inline()))
        ['a', 'B']

        key: a function of one item that returns something hashable; without it the item itself is the key.
        within: how many different keys are remembered, those that came last. By default all of them are: their memory
        grows with the number of different keys, without a bound.
        `distinct` has one worker.
        """
        options: list[str] = []
        if key is None:
            _check_hashable(self._stages[-1])
        else:
            check_part(key, "distinct", self._stages[-1], option="key=")
            options.append(f"key={name_of(key)}")
        if within is not None:
            within = check_count(within, name or "distinct", "within")
            options.append(f"within={within}")
        stage: Stage[Any, Any] = Stage(distinct, (key, within))
        name = name or (f"distinct({', '.join(options)})" if options else "distinct")
        return self.then(stage, on=on, in_flight=in_flight, name=name)


def _batching(
    n: int | None, by: Callable[[T], float] | None, most: float | None, within: float | None
) -> Stage[T, list[T]]:
    """The stage for these options."""
    seconds = None if within is None else float(within)
    if by is not None:
        return Stage(batch_by, (n, by, most, seconds))
    return Stage(batch, (n,)) if seconds is None else Stage(batch_within, (n, seconds))


def _check_hashable(last: PlannedStage) -> None:
    if not is_unknown(last.yields) and not fits(last.yields, Hashable, {}):
        place = f" ({last.call.where})" if last.call.where else ""
        raise StageTypeError(
            f".distinct() must be able to hash its items, but '{last.name}' yields {last.yields_text}{place}.\n"
            "  Give it a function of one item whose result can be hashed: .distinct(key=function)."
        )

"""Policies: what happens to an item on which an element-wise function raises. They are values with one pure method."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from enum import Enum
from typing import Protocol

from .errors import DeadItem, StageOptionError
from .lazy_dataclass import dataclass, replace
from .messages.stand_ins import error_line
from .messages.user_call import user_call

__all__ = [
    "Action",
    "DeadLetter",
    "Policy",
    "Raise",
    "Retry",
    "Skip",
    "Verdict",
    "decide",
    "for_workers",
    "is_policy",
    "keeps_items",
    "splits",
    "taker",
]


class Action(Enum):
    """What happens to an item that has failed."""

    RAISE = "raise"
    SKIP = "skip"
    DEAD_LETTER = "dead letter"
    RETRY = "retry"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision of a policy about an item that has failed.

    >>> Verdict(Action.RETRY, pause=0.5).pause
    0.5

    pause: seconds to wait before the next attempt.
    limit: how many items all workers of the stage together may skip or put aside; None for any number. One more raises
    TooManyFailuresError.
    split: if the item is a batch of several items, the function is called for each of them alone, and the policy
    decides again about those that fail.
    Raises StageOptionError for a wrong action, pause, limit or split.
    """

    __init_decorator__ = staticmethod(user_call)
    action: Action
    pause: float = 0.0
    limit: int | None = None
    split: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.action, Action):
            raise StageOptionError(f"Verdict: action must be an Action but got: {self.action!r}.")
        _check_number("Verdict: pause must be a number of seconds", self.pause, (int, float), 0)
        if self.limit is not None:
            _check_number("Verdict: limit must be a whole number of at least 0, or None", self.limit, (int,), 0)
        _check_flag("Verdict: split", self.split)


class Policy(Protocol):
    """What happens to an item on which a function raises: a frozen value that can be pickled.

    If it has an attribute `to`, as `DeadLetter` has, this function receives its dead letters in the main process.
    """

    def decide(self, error: BaseException, tries: int) -> Verdict:
        """Decide about an item that has failed. tries: the number of attempts so far, at least 1.

        The worker calls it. If an item has killed workers or took too long, the main process calls it; the whole run
        waits there until it returns.
        """
        ...


@dataclass(frozen=True, slots=True)
class Raise:
    """End the run with an error that names the item. This is the default.

    >>> Raise()
    Raise()
    """

    def decide(self, error: BaseException, tries: int) -> Verdict:
        """End the run."""
        return Verdict(Action.RAISE)


@dataclass(frozen=True, slots=True, init=False)
class Skip:
    """Skip the item, and count it.

    >>> from chainpump import Inline, Pipeline
    >>> list(Pipeline(["1", "x", "3"]).map(int, on=Inline(), on_error=Skip(ValueError)))
    [1, 3]

    types: the exceptions that are handled, one by one or as a tuple or list, all by default; any other exception ends
    the run.
    limit: how many items all workers together may skip; one more raises TooManyFailuresError.
    split: if the function fails on a batch, it is called for each item of the batch alone. Only those that fail are
    skipped, and the results of the others go on as one batch.
    """

    types: tuple[type[BaseException], ...]
    limit: int | None
    split: bool

    @user_call
    def __init__(
        self,
        *types: type[BaseException] | Sequence[type[BaseException]],
        limit: int | None = None,
        split: bool = False,
    ) -> None:
        _set_types(self, types)
        _set_limit(self, limit)
        _set_split(self, split)

    def decide(self, error: BaseException, tries: int) -> Verdict:
        """Skip the item if the exception is one of the types."""
        covered = isinstance(error, self.types)
        return Verdict(Action.SKIP, limit=self.limit, split=self.split) if covered else Verdict(Action.RAISE)


@dataclass(frozen=True, slots=True, init=False)
class DeadLetter:
    """Put the item aside with its error, for the report or for a function, and continue.

    >>> from chainpump import Inline, Pipeline
    >>> report = Pipeline(["1", "x"]).map(int, on=Inline(), on_error=DeadLetter()).into(list, on=Inline()).run()
    >>> report.value, [letter.item for letter in report.dead_letters]
    ([1], ['x'])

    types, limit, split: as for `Skip`. With split, each letter has one item of the batch, and its place there as
    `position`.
    to: a function that is called with each dead letter when it arrives, in a thread of the main process. It stays
    there, so it may hold an open file or a queue: `to=queue.put`. Without it, dead letters are in
    `report.dead_letters` or `run.dead_letters`.
    """

    types: tuple[type[BaseException], ...]
    limit: int | None
    to: Callable[[DeadItem], object] | None
    split: bool

    @user_call
    def __init__(
        self,
        *types: type[BaseException] | Sequence[type[BaseException]],
        limit: int | None = None,
        to: Callable[[DeadItem], object] | None = None,
        split: bool = False,
    ) -> None:
        _set_types(self, types)
        _set_limit(self, limit)
        _set_split(self, split)
        if to is not None and not callable(to):
            raise StageOptionError(f"DeadLetter: to must be a function of one dead letter but got: {to!r}.")
        object.__setattr__(self, "to", to)

    def decide(self, error: BaseException, tries: int) -> Verdict:
        """Put the item aside if the exception is one of the types."""
        covered = isinstance(error, self.types)
        return Verdict(Action.DEAD_LETTER, limit=self.limit, split=self.split) if covered else Verdict(Action.RAISE)


@dataclass(frozen=True, slots=True)
class Retry:
    """Call the function again, up to so many times.

    >>> Retry(3, on=OSError, backoff=0.5)
    Retry(times=3, on=<class 'OSError'>, backoff=0.5, otherwise=Raise())

    on: the exceptions, one type or a tuple or list of them, after which it is called again.
    backoff: seconds before the first repetition, doubled before each further one; a cancelled run does not wait for it.
    otherwise: the policy after the last repetition, and for other exceptions: any policy but another Retry.
    """

    __init_decorator__ = staticmethod(user_call)
    times: int
    on: type[BaseException] | Sequence[type[BaseException]] = Exception
    backoff: float = 0.0
    # The default is shared by all objects, which is safe because it is frozen.
    otherwise: Policy = Raise()

    def __post_init__(self) -> None:
        _check_number("Retry: times must be a whole number of at least 1", self.times, (int,), 1)
        if isinstance(self.on, list):
            object.__setattr__(self, "on", tuple(self.on))
        _check_types("Retry: on", self.on if isinstance(self.on, tuple) else (self.on,))
        _check_number("Retry: backoff must be a number of seconds", self.backoff, (int, float), 0)
        _check_otherwise(self.otherwise)

    @property
    def to(self) -> Callable[[DeadItem], object] | None:
        """Return the function that receives the dead letters of the policy `otherwise`."""
        return taker(self.otherwise)

    @property
    def split(self) -> bool:
        """Return whether the policy `otherwise` splits batches."""
        return splits(self.otherwise)

    def decide(self, error: BaseException, tries: int) -> Verdict:
        """Repeat the call, or let the policy `otherwise` decide.

        >>> Retry(2, backoff=0.5, otherwise=Skip()).decide(ValueError(), 2)
        Verdict(action=<Action.RETRY: 'retry'>, pause=1.0, limit=None, split=False)
        >>> Retry(2, otherwise=Skip(limit=9)).decide(ValueError(), 3)
        Verdict(action=<Action.SKIP: 'skip'>, pause=0.0, limit=9, split=False)
        """
        # A list has become a tuple.
        if tries <= self.times and isinstance(error, self.on):  # type: ignore[arg-type]
            return Verdict(Action.RETRY, self.backoff * 2 ** (tries - 1))
        return self.otherwise.decide(error, tries)


def is_policy(value: object) -> bool:
    """Return whether this is a policy; a class with the method is not."""
    return not isinstance(value, type) and callable(getattr(value, "decide", None))


def keeps_items(policy: Policy) -> bool:
    """Return whether no item is left out as long as the run continues. A policy of a user may do anything."""
    return isinstance(policy, Raise) or (isinstance(policy, Retry) and keeps_items(policy.otherwise))


def taker(policy: Policy) -> Callable[[DeadItem], object] | None:
    """Return the function that receives the dead letters of a policy; None if they are kept for the report."""
    to: Callable[[DeadItem], object] | None = getattr(policy, "to", None)
    return to


def splits(policy: Policy) -> bool:
    """Return whether a policy of this package splits batches. A policy of a user may do so nevertheless."""
    return bool(getattr(policy, "split", False))


def for_workers(policy: Policy) -> Policy:
    """Return the same policy without the function that receives dead letters: it stays in the main process.

    >>> for_workers(Retry(2, otherwise=DeadLetter(ValueError, to=print))).to is None
    True
    """
    if taker(policy) is None:
        return policy
    if isinstance(policy, Retry):
        return replace(policy, otherwise=for_workers(policy.otherwise))
    if isinstance(policy, DeadLetter):
        # A class that derives from it may have another `__init__`.
        made = copy(policy)
        object.__setattr__(made, "to", None)
        return made
    # A policy of a user is sent whole.
    return policy


def decide(policy: Policy, error: BaseException, tries: int) -> Verdict:
    """Return the decision of a policy. Raises its own exceptions with a note, and TypeError for any other result."""
    try:
        return _decided(policy.decide(error, tries))
    except Exception as own:
        own.add_note(f"on_error={policy!r} raised this when it was asked about {error_line(error)}")
        raise


def _decided(verdict: object) -> Verdict:
    if not isinstance(verdict, Verdict):
        raise TypeError(f"decide must return a Verdict but returned: {verdict!r}")
    return verdict


def _set_types(policy: Skip | DeadLetter, types: tuple[object, ...]) -> None:
    types = tuple(one for each in types for one in (each if isinstance(each, (tuple, list)) else (each,)))
    _check_types(f"{type(policy).__name__}: each type", types)
    object.__setattr__(policy, "types", types or (Exception,))


def _set_limit(policy: Skip | DeadLetter, limit: object) -> None:
    if limit is not None:
        _check_number(f"{type(policy).__name__}: limit must be a whole number of at least 0, or None", limit, (int,), 0)
    object.__setattr__(policy, "limit", limit)


def _set_split(policy: Skip | DeadLetter, split: object) -> None:
    _check_flag(f"{type(policy).__name__}: split", split)
    object.__setattr__(policy, "split", split)


def _check_flag(what: str, value: object) -> None:
    if not isinstance(value, bool):
        raise StageOptionError(f"{what} must be True or False but got: {value!r}.")


def _check_types(what: str, types: tuple[object, ...]) -> None:
    for each in types:
        if not (isinstance(each, type) and issubclass(each, BaseException)):
            raise StageOptionError(f"{what} must be a class of exceptions, such as ValueError, but got: {each!r}.")


def _check_number(need: str, value: object, kinds: tuple[type, ...], least: int) -> None:
    fits = isinstance(value, kinds) and not isinstance(value, bool) and least <= value < float("inf")  # type: ignore[operator]
    if not fits:
        raise StageOptionError(f"{need} but got: {value!r}.")


def _check_otherwise(policy: object) -> None:
    if isinstance(policy, Retry) or not is_policy(policy):
        raise StageOptionError(f"Retry: otherwise must be Raise(), Skip(...) or DeadLetter(...) but got: {policy!r}.")

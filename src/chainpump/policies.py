"""Policies: what becomes of an item whose element-wise function raises. Frozen values, each with one pure decision."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Protocol

from .errors import DeadItem, StageOptionError
from .lazy_dataclass import dataclass

__all__ = ["Action", "DeadLetter", "Policy", "Raise", "Retry", "Skip", "Verdict", "decide", "is_policy", "taker"]


class Action(Enum):
    """What to do with an item that has failed."""

    RAISE = "raise"
    SKIP = "skip"
    DEAD_LETTER = "dead letter"
    RETRY = "retry"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a policy decides about an item that has failed.

    >>> Verdict(Action.RETRY, pause=0.5).pause
    0.5

    pause: seconds to wait before another try.
    limit: how many items may be left out, or put aside, by all workers of the stage together; None for any number. One
    more raises TooManyFailuresError.
    Raises StageOptionError for another action, pause or limit.
    """

    action: Action
    pause: float = 0.0
    limit: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.action, Action):
            raise StageOptionError(f"Verdict: action must be an Action but got: {self.action!r}.")
        _check_number("Verdict: pause must be a number of seconds", self.pause, (int, float), 0)
        if self.limit is not None:
            _check_number("Verdict: limit must be a whole number of at least 0, or None", self.limit, (int,), 0)


class Policy(Protocol):
    """What becomes of an item on which a function raises: a frozen value that can be pickled.

    With an attribute `to`, as `DeadLetter` has, that function takes its dead letters in the main process.
    """

    def decide(self, error: BaseException, tries: int) -> Verdict:
        """What to do about an item that has failed for the so-manieth time, counted from 1.

        It is asked in the worker; and in the main process, where an item has cost workers or too much time. There it
        holds up the whole run until it returns.
        """
        ...


@dataclass(frozen=True, slots=True)
class Raise:
    """The run ends, and the error names the item. What happens where no policy is given.

    >>> Raise()
    Raise()
    """

    def decide(self, error: BaseException, tries: int) -> Verdict:
        """The run ends."""
        return Verdict(Action.RAISE)


@dataclass(frozen=True, slots=True, init=False)
class Skip:
    """Leave the item out, and count it.

    >>> from chainpump import Inline, Pipeline
    >>> list(Pipeline(["1", "x", "3"]).map(int, on=Inline(), on_error=Skip(ValueError)))
    [1, 3]

    types: the exceptions that this is for, all by default; others end the run.
    limit: how many items may be left out by all workers together; one more raises TooManyFailuresError.
    """

    types: tuple[type[BaseException], ...]
    limit: int | None

    def __init__(self, *types: type[BaseException], limit: int | None = None) -> None:
        _set_types(self, types)
        _set_limit(self, limit)

    def decide(self, error: BaseException, tries: int) -> Verdict:
        """The item is left out, if the exception is one of its types."""
        return Verdict(Action.SKIP, limit=self.limit) if isinstance(error, self.types) else Verdict(Action.RAISE)


@dataclass(frozen=True, slots=True, init=False)
class DeadLetter:
    """Put the item aside with its error, for the report or for a function, and go on.

    >>> from chainpump import Inline, Pipeline
    >>> report = Pipeline(["1", "x"]).map(int, on=Inline(), on_error=DeadLetter()).into(list, on=Inline()).run()
    >>> report.value, [letter.item for letter in report.dead_letters]
    ([1], ['x'])

    types, limit: as for `Skip`.
    to: is called with each dead letter as it comes, by a thread of the main process; without it, they are in
    `report.dead_letters`, or `run.dead_letters`.
    """

    types: tuple[type[BaseException], ...]
    limit: int | None
    to: Callable[[DeadItem], object] | None

    def __init__(
        self,
        *types: type[BaseException],
        limit: int | None = None,
        to: Callable[[DeadItem], object] | None = None,
    ) -> None:
        _set_types(self, types)
        _set_limit(self, limit)
        if to is not None and not callable(to):
            raise StageOptionError(f"DeadLetter: to must be a function of one dead letter but got: {to!r}.")
        object.__setattr__(self, "to", to)

    def decide(self, error: BaseException, tries: int) -> Verdict:
        """The item is put aside, if the exception is one of its types."""
        return Verdict(Action.DEAD_LETTER, limit=self.limit) if isinstance(error, self.types) else Verdict(Action.RAISE)


@dataclass(frozen=True, slots=True)
class Retry:
    """Call the function again, so many times at most.

    >>> Retry(3, on=OSError, backoff=0.5)
    Retry(times=3, on=<class 'OSError'>, backoff=0.5, otherwise=Raise())

    on: the exceptions, one type or a tuple, that are worth another try.
    backoff: seconds before the first of them, doubled before each further one; a cancelled run does not wait for it.
    otherwise: the policy for what the last try raises, and for other exceptions: any but another Retry.
    """

    times: int
    on: type[BaseException] | tuple[type[BaseException], ...] = Exception
    backoff: float = 0.0
    # Frozen.
    otherwise: Policy = Raise()

    def __post_init__(self) -> None:
        _check_number("Retry: times must be a whole number of at least 1", self.times, (int,), 1)
        _check_types("Retry: on", self.on if isinstance(self.on, tuple) else (self.on,))
        _check_number("Retry: backoff must be a number of seconds", self.backoff, (int, float), 0)
        _check_otherwise(self.otherwise)

    @property
    def to(self) -> Callable[[DeadItem], object] | None:
        """Who takes the dead letters of the policy for the last try."""
        return taker(self.otherwise)

    def decide(self, error: BaseException, tries: int) -> Verdict:
        """Another try, or what the other policy decides.

        >>> Retry(2, backoff=0.5, otherwise=Skip()).decide(ValueError(), 2)
        Verdict(action=<Action.RETRY: 'retry'>, pause=1.0, limit=None)
        >>> Retry(2, otherwise=Skip(limit=9)).decide(ValueError(), 3)
        Verdict(action=<Action.SKIP: 'skip'>, pause=0.0, limit=9)
        """
        if tries <= self.times and isinstance(error, self.on):
            return Verdict(Action.RETRY, self.backoff * 2 ** (tries - 1))
        return self.otherwise.decide(error, tries)


def is_policy(value: object) -> bool:
    """Whether this is a policy: a class is none, though it has the method, too."""
    return not isinstance(value, type) and callable(getattr(value, "decide", None))


def taker(policy: Policy) -> Callable[[DeadItem], object] | None:
    """Who takes the dead letters of a policy; None if they are kept for the report."""
    to: Callable[[DeadItem], object] | None = getattr(policy, "to", None)
    return to


def decide(policy: Policy, error: BaseException, tries: int) -> Verdict:
    """What a policy decides. Raises what it raises, with a note that says so; TypeError if it decides nothing."""
    try:
        return _decided(policy.decide(error, tries))
    except Exception as own:
        own.add_note(f"on_error={policy!r} raised this when it was asked about {type(error).__name__}: {error}")
        raise


def _decided(verdict: object) -> Verdict:
    if not isinstance(verdict, Verdict):
        raise TypeError(f"decide must return a Verdict but returned: {verdict!r}")
    return verdict


def _set_types(policy: Skip | DeadLetter, types: tuple[object, ...]) -> None:
    _check_types(f"{type(policy).__name__}: each type", types)
    object.__setattr__(policy, "types", types or (Exception,))


def _set_limit(policy: Skip | DeadLetter, limit: object) -> None:
    if limit is not None:
        _check_number(f"{type(policy).__name__}: limit must be a whole number of at least 0, or None", limit, (int,), 0)
    object.__setattr__(policy, "limit", limit)


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

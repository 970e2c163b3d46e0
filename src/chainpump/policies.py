"""Policies: what becomes of an item whose element-wise function raises. Frozen values, and one pure decision."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from .errors import DeadItem, StageOptionError

__all__ = ["DeadLetter", "Decision", "Policy", "Raise", "Retry", "Skip", "Verdict", "decide"]


@dataclass(frozen=True, slots=True)
class Raise:
    """The run ends, and the error names the item. What happens where no policy is given.

    >>> Raise()
    Raise()
    """


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


@dataclass(frozen=True, slots=True)
class Retry:
    """Call the function again, so many times at most.

    >>> Retry(3, on=OSError, backoff=0.5)
    Retry(times=3, on=<class 'OSError'>, backoff=0.5, otherwise=Raise())

    on: the exceptions, one type or a tuple, that are worth another try.
    backoff: seconds before the first of them, doubled before each further one; a cancelled run does not wait for it.
    otherwise: the policy for what the last try raises, and for other exceptions.
    """

    times: int
    on: type[BaseException] | tuple[type[BaseException], ...] = Exception
    backoff: float = 0.0
    otherwise: Raise | Skip | DeadLetter = Raise()

    def __post_init__(self) -> None:
        _check_number("Retry: times must be a whole number of at least 1", self.times, (int,), 1)
        _check_types("Retry: on", self.on if isinstance(self.on, tuple) else (self.on,))
        _check_number("Retry: backoff must be a number of seconds", self.backoff, (int, float), 0)
        _check_otherwise(self.otherwise)


Policy = Raise | Skip | Retry | DeadLetter


class Verdict(Enum):
    """What to do with an item that has failed."""

    RAISE = "raise"
    SKIP = "skip"
    BURY = "bury"
    AGAIN = "again"


@dataclass(frozen=True, slots=True)
class Decision:
    """pause: seconds to wait before doing it."""

    verdict: Verdict
    pause: float = 0.0
    limit: int | None = None


def decide(policy: Policy, error: BaseException, tries: int) -> Decision:
    """What becomes of an item that has failed for the so-manieth time, counted from 1.

    >>> decide(Retry(2, backoff=0.5, otherwise=Skip()), ValueError(), 2)
    Decision(verdict=<Verdict.AGAIN: 'again'>, pause=1.0, limit=None)
    >>> decide(Retry(2, otherwise=Skip(limit=9)), ValueError(), 3)
    Decision(verdict=<Verdict.SKIP: 'skip'>, pause=0.0, limit=9)
    """
    if isinstance(policy, Retry):
        if tries <= policy.times and isinstance(error, policy.on):
            return Decision(Verdict.AGAIN, policy.backoff * 2 ** (tries - 1))
        policy = policy.otherwise
    if isinstance(policy, Raise) or not isinstance(error, policy.types):
        return Decision(Verdict.RAISE)
    return Decision(Verdict.SKIP if isinstance(policy, Skip) else Verdict.BURY, limit=policy.limit)


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
    if not isinstance(policy, (Raise, Skip, DeadLetter)):
        raise StageOptionError(f"Retry: otherwise must be Raise(), Skip(...) or DeadLetter(...) but got: {policy!r}.")

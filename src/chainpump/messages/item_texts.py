"""The texts of failures of single items, about which a policy decides: see `failure_texts`."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import Failure, ItemTimeoutError, StageError, TooManyFailuresError, WorkerLostError
from ..lazy_dataclass import replace
from .call_stacks import user_stack, user_traceback
from .failure_texts import death
from .names import Item, WorkerName, text_of
from .printable import printable, printable_lines

__all__ = ["LATEST", "dealt_with", "poisonous", "refused", "timed_out", "together", "too_many"]

# The number of failures that the error lists if there are too many.
LATEST = 5

# What to do about an item without a policy for it.
TOO_SLOW = "Raise timeout=, or let a policy deal with such items: on_error=Skip(ItemTimeoutError)."
DEADLY = "Let a policy deal with such items: on_error=Skip(WorkerLostError)."


def too_many(who: WorkerName, pid: int | None, limit: int, latest: Sequence[str]) -> Failure:
    """More items failed than a policy allows. latest: texts of the last failures in this worker."""
    return who.failure(
        TooManyFailuresError,
        pid,
        f"{who.label} failed on more than {limit} item{'s' * (limit != 1)}, its limit. The last of them:",
        *latest,
        who.definition(),
    )


def together(first: Failure, second: Failure) -> Failure:
    """One failure of two workers of a stage with too many. Its last detail says where the stage is defined."""
    common = [each for each in first.details if each in second.details]
    items = [each for each in (*first.details, *second.details) if each not in common]
    return replace(first, details=(*items[:LATEST], *common))


def refused(stage: str, index: int, error: BaseException) -> Failure:
    """The function that takes a stage's dead letters raised."""
    return Failure(
        StageError,
        "stage",
        stage,
        0,
        None,
        f"the function that takes the dead letters of '{printable(stage)}' raised {type(error).__name__} "
        f"on item {index}:",
        (printable_lines(text_of(error)), "It is the `to=` of its DeadLetter policy."),
        index,
        traceback=printable_lines(user_traceback(error)),
    )


def timed_out(who: WorkerName, pid: int, item: Item, seconds: float, stack: str) -> Failure:
    """A function exceeded its time limit on an item. stack: where it was; empty if the worker did not answer."""
    return who.failure(
        ItemTimeoutError,
        pid,
        f"{who.placed(pid)} took longer than {seconds:g} s over {item}.",
        TOO_SLOW,
        who.definition(),
        item=item,
        traceback=user_stack(stack),
    )


def poisonous(who: WorkerName, pid: int, exit_code: int | None, item: Item, cost: int) -> Failure:
    """Several workers died on the same item."""
    return who.failure(
        WorkerLostError,
        pid,
        f"{who.label} lost {cost} workers, one after the other, on {item}: the last "
        f"({who.process(pid)}) {death(exit_code)}."
        if cost > 1
        else f"{who.label} lost a worker on {item}: it ({who.process(pid)}) {death(exit_code)}.",
        DEADLY,
        who.definition(),
        item=item,
        exit_code=exit_code,
    )


def dealt_with(failure: Failure) -> Failure:
    """The same failure, as a policy gets it: without the advice to have a policy."""
    return replace(failure, details=tuple(each for each in failure.details if each not in (TOO_SLOW, DEADLY)))

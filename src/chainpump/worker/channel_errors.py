"""What ends a channel early, at either of its ends, is told apart from what the user's functions raise.

An end remembers that it was cancelled, and what the system refused it, and says Cancelled in both cases: so a stage
that asks for an item cannot take an OSError of its channel for one of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, NoReturn, ParamSpec, Protocol, TypeAlias, TypeVar

from ..errors import Cancelled

__all__ = ["CHANNEL_ERRORS", "ChannelEnd", "Refusal", "record_channel_error", "records_channel_errors"]

Refusal: TypeAlias = OSError | MemoryError
CHANNEL_ERRORS = (Cancelled, OSError, MemoryError)
P = ParamSpec("P")
T = TypeVar("T")


class ChannelEnd(Protocol):
    """An end of a channel, as its worker uses it.

    cancelled: whether Cancelled was raised here: no later end is to be believed. refused: what the system refused it.
    """

    cancelled: bool
    refused: Refusal | None


E = TypeVar("E", bound=ChannelEnd)


def record_channel_error(end: ChannelEnd, error: Cancelled | Refusal) -> NoReturn:
    """Have an end remember what has ended the channel. Raises Cancelled for it."""
    end.cancelled = True
    if isinstance(error, Cancelled):
        raise error
    end.refused = error
    raise Cancelled("the channel has failed") from error


def records_channel_errors(method: Callable[Concatenate[E, P], T]) -> Callable[Concatenate[E, P], T]:
    """A method that runs no function of the user's: what comes out of it has ended the channel.

    What is called for each item has the `try` in its own body: a call more would cost a fifth of the rate.
    """

    @wraps(method)
    def call(end: E, /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(end, *args, **kwargs)
        except CHANNEL_ERRORS as error:
            record_channel_error(end, error)

    return call

"""Errors of a channel, kept apart from exceptions of user functions, at both ends of the channel.

An end records that it was cancelled and which error of the system it got. It raises Cancelled in both cases. So a stage
that requests an item cannot take an OSError of its channel for one of its own.
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
    """An end of a channel in its worker.

    cancelled: whether it raised Cancelled. If so, a later end of the items does not count as a clean end. refused: the
    error of the system.
    """

    cancelled: bool
    refused: Refusal | None


E = TypeVar("E", bound=ChannelEnd)


def record_channel_error(end: ChannelEnd, error: Cancelled | Refusal) -> NoReturn:
    """Record at an end which error ended the channel. Raises Cancelled from it."""
    end.cancelled = True
    if isinstance(error, Cancelled):
        raise error
    end.refused = error
    raise Cancelled("the channel has failed") from error


def records_channel_errors(method: Callable[Concatenate[E, P], T]) -> Callable[Concatenate[E, P], T]:
    """Decorate a method that calls no user function: any such error in it has ended the channel.

    Methods that run for each item have their own `try` instead: one more call would cost a fifth of the rate.
    """

    @wraps(method)
    def call(end: E, /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(end, *args, **kwargs)
        except CHANNEL_ERRORS as error:
            record_channel_error(end, error)

    return call

"""How a worker ended: one of three frozen values, which travel to the supervisor.

`packed` is called in the worker's process and makes sure that the outcome survives the journey; `unpacked` is its
inverse in the main process. Workers that are threads need neither.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from contextlib import suppress
from itertools import takewhile
from types import GetSetDescriptorType, MappingProxyType, MemberDescriptorType
from typing import Any

from ..errors import DeadItem, Failure, RemoteError
from ..lazy_dataclass import dataclass, replace
from ..messages import failure_texts
from ..messages.item_repr import short_repr
from ..messages.names import Who, text_of
from ..pickling import functions

__all__ = ["Buried", "Failed", "Finished", "Interrupted", "Outcome"]

MAX_CAUSE = 1 << 20  # bytes; a larger exception travels as text


@dataclass(frozen=True, slots=True)
class Finished:
    """Its function returned. early: its input may have had more, and it was allowed to stop."""

    value: Any = None
    early: bool = False

    def packed(self, who: Who) -> Outcome:
        """The same, with a value that is sure to survive the way to the main process."""
        try:
            return replace(self, value=functions.plain(self.value))
        except Exception as error:
            reason = functions.unpicklable_part(self.value, functions.plain) or str(error)
            return Failed(failure_texts.unpicklable_value(who, os.getpid(), reason))

    def unpacked(self, who: Who) -> Outcome:
        """What `packed` made, in the main process."""
        try:
            return replace(self, value=pickle.loads(self.value))
        except Exception as error:  # whatever a user's __setstate__ raises
            return Failed(failure_texts.unpicklable_value(who, None, f"{type(error).__name__}: {error}"))


@dataclass(frozen=True, slots=True)
class Failed:
    """Something is to blame on it. cause: the original exception, where there is one and it can travel."""

    failure: Failure
    cause: BaseException | bytes | None = None

    def packed(self, who: Who) -> Failed:
        """The same, with its cause as a pickle that was seen to load again; without one if there is none."""
        try:
            cause = functions.plain(self.cause)
            if len(cause) <= MAX_CAUSE and type(pickle.loads(cause)) is type(self.cause):
                return replace(self, cause=cause)
        except Exception:  # noqa: S110  # whatever a user's __reduce__ or __init__ raises: then it travels as text
            pass
        return self._without_cause()

    def unpacked(self, who: Who) -> Failed:
        """What `packed` made, in the main process."""
        if not isinstance(self.cause, bytes):
            return self
        try:
            return replace(self, cause=pickle.loads(self.cause))
        except Exception:  # it loaded in the worker, but names what this process cannot import
            return self._without_cause()

    def _without_cause(self) -> Failed:
        if self.cause is None:
            return self
        note = "The exception itself cannot be sent to the main process; this is its text."
        return Failed(replace(self.failure, details=(*self.failure.details, note)))


@dataclass(frozen=True, slots=True)
class Interrupted:
    """It was cancelled, and there is nothing to blame on it."""

    def packed(self, who: Who) -> Interrupted:
        """The same."""
        return self

    def unpacked(self, who: Who) -> Interrupted:
        """The same."""
        return self


Outcome = Finished | Failed | Interrupted


@dataclass(frozen=True, slots=True)
class Buried:
    """A dead letter on its way to the main process: the item and its error as pickles, where they can travel.

    text, told: what stands for the item and for its error where they cannot.
    """

    letter: DeadItem
    item: bytes | None
    text: str
    error: bytes | None
    told: RemoteError

    @classmethod
    def packed(cls, letter: DeadItem) -> Buried:
        """Parts that are sure to survive the journey."""
        text, told = short_repr(letter.item), _stand_in(letter.error)
        item, error = functions.travelling(letter.item), functions.travelling(letter.error)
        if error is None:
            error = functions.travelling(_stand_in(letter.error, _attributes(letter.error)))
        return cls(replace(letter, item=None, error=told), item, text, error, told)

    def unpacked(self) -> DeadItem:
        """The dead letter, in the main process."""
        item: Any = self.text
        error: BaseException = self.told
        with suppress(Exception):  # it loads in the worker only
            item = self.text if self.item is None else pickle.loads(self.item)
        with suppress(Exception):
            error = self.told if self.error is None else pickle.loads(self.error)
        return replace(self.letter, item=item, error=error)


def _stand_in(error: BaseException, attributes: Mapping[str, Any] = MappingProxyType({})) -> RemoteError:
    kind = type(error)
    prefix = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    return RemoteError(f"{prefix}{kind.__qualname__}", text_of(error), attributes)


def _attributes(error: BaseException) -> Mapping[str, Any]:
    """What of it can be sent: its own fields, and those that its class keeps in C or in slots, such as `errno`."""
    classes = takewhile(lambda each: each is not BaseException, type(error).__mro__)
    kinds = (MemberDescriptorType, GetSetDescriptorType)
    slots = [name for each in classes for name, value in vars(each).items() if isinstance(value, kinds)]
    found: dict[str, Any] = {}
    for name in (*slots, *vars(error)):
        with suppress(Exception):  # a slot that was never set, or whatever a property raises
            value = getattr(error, name)
            data = None if name.startswith("__") else functions.travelling(value)
            if data is not None and len(data) <= MAX_CAUSE:
                found[name] = value
    return found

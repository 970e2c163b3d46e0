"""The outcome of a worker: one of three frozen values, which are sent to the supervisor.

The worker's process calls `packed`, so that the outcome can be pickled in any case. The main process calls `unpacked`,
which is the inverse. Workers in threads need neither.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from contextlib import suppress
from itertools import takewhile
from types import GetSetDescriptorType, MemberDescriptorType
from typing import Any, TypeAlias

from ..durable.notes import Notes
from ..errors import Cancelled, DeadItem, Failure
from ..ipc.board import State
from ..lazy_dataclass import dataclass, replace
from ..messages import failure_texts
from ..messages.item_repr import short_repr
from ..messages.names import WorkerName
from ..messages.stand_ins import stand_in
from ..pickling import functions

__all__ = ["Failed", "Finished", "Interrupted", "Message", "Outcome", "PackedDeadItem", "SuccessorWanted"]

# Bytes. A dead letter has the attributes of an error that cannot be sent itself, without its larger ones.
MOST_ATTRIBUTE = 1 << 20


@dataclass(frozen=True, slots=True)
class Finished:
    """The function of the worker returned.

    early: it was allowed to stop before the end of its input. retired: it has done its share, and a fresh worker has to
    receive the rest of the input.
    """

    value: Any = None
    early: bool = False
    retired: bool = False

    @property
    def state(self) -> State:
        """What its worker publishes on the board."""
        return State.STOPPED if self.early else State.RETIRED if self.retired else State.DONE

    def packed(self, who: WorkerName) -> Outcome:
        """The same with a pickled value. The result is Failed if the value cannot be pickled."""
        try:
            return replace(self, value=functions.plain(self.value))
        except Exception as error:
            reason = functions.unpicklable_part(self.value, functions.plain) or str(error)
            return Failed(failure_texts.unpicklable_value(who, os.getpid(), reason))

    def unpacked(self, who: WorkerName) -> Outcome:
        """The inverse of `packed`, in the main process."""
        try:
            return replace(self, value=pickle.loads(self.value))
        except Exception as error:
            # A user's __setstate__ may raise anything.
            return Failed(failure_texts.unpicklable_value(who, None, f"{type(error).__name__}: {error}"))


@dataclass(frozen=True, slots=True)
class Failed:
    """The worker failed. cause: the original exception, if there is one and it can be sent."""

    failure: Failure
    cause: BaseException | bytes | None = None

    @property
    def error(self) -> BaseException:
        """The exception that has ended the worker."""
        return self.cause if isinstance(self.cause, BaseException) else self.failure.error(self.failure)

    def packed(self, who: WorkerName) -> Failed:
        """The same with its cause as a pickle that is known to load, or without a cause."""
        try:
            cause = functions.plain(self.cause)
            if type(pickle.loads(cause)) is type(self.cause):
                return replace(self, cause=cause)
        except Exception:  # noqa: S110  # user code may raise anything; the exception is then sent as text
            pass
        return self._without_cause()

    def unpacked(self, who: WorkerName) -> Failed:
        """The inverse of `packed`, in the main process."""
        if not isinstance(self.cause, bytes):
            return self
        try:
            return replace(self, cause=pickle.loads(self.cause))
        except Exception:
            # It loaded in the worker, but needs a module that this process cannot import.
            return self._without_cause()

    def _without_cause(self) -> Failed:
        if self.cause is None:
            return self
        note = "The exception itself cannot be sent to the main process; this is its text."
        return Failed(replace(self.failure, details=(*self.failure.details, note)))


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The worker was cancelled and did not fail."""

    @property
    def error(self) -> BaseException:
        """The exception that has ended the worker."""
        return Cancelled("the run was cancelled")

    def packed(self, who: WorkerName) -> Interrupted:
        """Itself."""
        return self

    def unpacked(self, who: WorkerName) -> Interrupted:
        """Itself."""
        return self


Outcome = Finished | Failed | Interrupted


@dataclass(frozen=True, slots=True)
class SuccessorWanted:
    """The worker will retire soon. A successor should be started, so that it is ready by then."""


@dataclass(frozen=True, slots=True)
class PackedDeadItem:
    """A dead letter for the main process, with the item and its error as pickles if possible.

    letter: the dead letter without its item, with the stand-in for its error. text: of an item that cannot be sent.
    """

    letter: DeadItem
    item: bytes | None
    text: str
    error: bytes | None

    @classmethod
    def packed(cls, letter: DeadItem) -> PackedDeadItem:
        """Pack a dead letter, so that it can be sent in any case."""
        text, instead = short_repr(letter.item), stand_in(letter.error, letter.traceback)
        item, error = functions.travelling(letter.item), functions.travelling(letter.error)
        if error is None:
            error = functions.travelling(stand_in(letter.error, letter.traceback, _attributes(letter.error)))
        return cls(replace(letter, item=None, error=instead), item, text, error)

    def unpacked(self) -> DeadItem:
        """The dead letter, in the main process."""
        item: Any = self.text
        error: Any = None
        # The pickle may load only in the worker, or be something else here.
        with suppress(Exception):
            item = self.text if self.item is None else pickle.loads(self.item)
        with suppress(Exception):
            error = None if self.error is None else pickle.loads(self.error)
        return replace(self.letter, item=item, error=error if isinstance(error, BaseException) else self.letter.error)


# What a worker process sends to the main process.
Message: TypeAlias = PackedDeadItem | SuccessorWanted | Notes | Outcome


def _attributes(error: BaseException) -> Mapping[str, Any]:
    """The attributes of an exception that can be sent, also those that its class keeps in C or in slots."""
    classes = takewhile(lambda each: each is not BaseException, type(error).__mro__)
    kinds = (MemberDescriptorType, GetSetDescriptorType)
    slots = [name for each in classes for name, value in vars(each).items() if isinstance(value, kinds)]
    found: dict[str, Any] = {}
    for name in (*slots, *vars(error)):
        # A slot may be unset, and a property may raise anything.
        with suppress(Exception):
            value = getattr(error, name)
            data = None if name.startswith("__") else functions.travelling(value)
            if data is not None and len(data) <= MOST_ATTRIBUTE:
                found[name] = value
    return found

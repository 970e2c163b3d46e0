"""What a worker process logs and warns, and its way to the main process, which takes it as its own.

worker process                                       main process
logging  ---> PipeHandler ---+                         +---> loggers, as they are there
warnings ---> showwarning ---+---> pipe of a worker ---+---> warnings.showwarning
"""

from __future__ import annotations

import os
import pickle
import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..ipc.descriptors import Descriptor
from ..messages.failure_texts import Who
from ..messages.item_repr import short_repr
from ..pickling import functions

if TYPE_CHECKING:
    from logging import LogRecord

__all__ = ["Levels", "Logged", "LogsEnd", "Said", "Told", "Warned", "warn"]

# These load anywhere.
PLAIN = {str, int, float, bool, type(None)}


@dataclass(frozen=True, slots=True)
class Levels:
    """From which level on the main process wants records. of: per logger that has one. disabled: up to it, nothing.

    are_handled: there, by its handlers; if it has none, each worker's records are shown as `logging` does then.
    """

    of: Mapping[str, int]
    disabled: int
    are_handled: bool


@dataclass(frozen=True, slots=True)
class LogsEnd:
    """A worker's end of its pipe. levels: None where the main process has configured nothing."""

    pipe: Descriptor
    levels: Levels | None


@dataclass(frozen=True, slots=True)
class Logged:
    """A record. fields: its plain attributes. others: of each one that is not, a pickle if it travels, and a text."""

    fields: Mapping[str, Any]
    others: Mapping[str, tuple[bytes | None, str]]
    pid: int

    @classmethod
    def packed(cls, record: LogRecord, traceback: str | None) -> Logged:
        """What is sure to survive the way. The message is formatted here, since its arguments may not survive it."""
        text = {"msg": record.getMessage(), "args": None, "exc_info": None, "exc_text": traceback}
        fields = vars(record) | text
        # A handler in this process may have left it.
        fields.pop("message", None)
        others = {
            name: (functions.travelling(value), short_repr(value))
            for name, value in fields.items()
            if type(value) not in PLAIN
        }
        return cls({name: value for name, value in fields.items() if name not in others}, others, os.getpid())

    def hand_on(self, who: Who) -> None:
        """Have it handled as a record of this process; what a handler raises is told as `logging` tells it."""
        import logging

        others = {name: _loaded(data, text) for name, (data, text) in self.others.items()}
        place = {"stage": who.stage, "worker": who.number, "pid": self.pid}
        # What the user's `extra=` says stands.
        record = logging.makeLogRecord({**place, **others, **self.fields})
        try:
            logging.getLogger(record.name).handle(record)
        except BaseException:
            # Nobody is above to raise it to, and workers wait until their next record is read.
            logging.NullHandler().handleError(record)


@dataclass(frozen=True, slots=True)
class Warned:
    """A warning that the filters of the worker let through."""

    message: bytes | None
    text: str
    category: bytes | None
    filename: str
    lineno: int

    @classmethod
    def packed(cls, message: Warning | str, category: type[Warning], filename: str, lineno: int) -> Warned:
        """What is sure to survive the way."""
        return cls(functions.travelling(message), str(message), functions.travelling(category), filename, lineno)

    def hand_on(self, who: Who) -> None:
        """Have it printed, logged or kept, as this process shows its own. Raises what that raises."""
        category = _loaded(self.category, Warning)
        warnings.showwarning(_loaded(self.message, self.text), category, self.filename, self.lineno)


Told = Logged | Warned


@dataclass(frozen=True, slots=True)
class Said:
    """What the library itself has to say while a run goes on."""

    text: str

    def hand_on(self) -> None:
        """Log it. Raises what handlers and filters raise."""
        warn(self.text)


def warn(text: str) -> None:
    """Log what the library itself has to say, where no error can. Raises what handlers and filters raise."""
    import logging

    logging.getLogger(__package__).warning(text)


def _loaded(data: bytes | None, instead: Any) -> Any:
    if data is not None:
        # It loads in the worker only.
        with suppress(Exception):
            return pickle.loads(data)
    return instead

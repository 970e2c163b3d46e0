"""What a worker process logs and warns, as messages to the main process, which handles them as its own.

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
from typing import TYPE_CHECKING, Any

from ..ipc.descriptors import Descriptor
from ..lazy_dataclass import dataclass
from ..messages.item_repr import short_repr
from ..messages.names import WorkerName
from ..pickling import functions

if TYPE_CHECKING:
    from logging import LogRecord

__all__ = ["LOGGER", "STALLS", "Levels", "LibraryWarning", "Logged", "LogsEnd", "Warned", "WorkerMessage", "warn"]

# The logger of the library's own warnings.
LOGGER = "chainpump"
# Warnings of stalls have a logger of their own, so that a program can turn off these alone.
STALLS = "chainpump.stalls"
# Values of these types can be unpickled in any process.
PLAIN = {str, int, float, bool, type(None)}


@dataclass(frozen=True, slots=True)
class Levels:
    """The levels of the main process's loggers.

    of: the level of each logger that has one. disabled: records up to this level are dropped (`logging.disable`).
    are_handled: whether the main process has handlers; without any, a worker's `logging` prints its own warnings.
    """

    of: Mapping[str, int]
    disabled: int
    are_handled: bool


@dataclass(frozen=True, slots=True)
class LogsEnd:
    """A worker's end of its log pipe. levels: None where the main process has not configured logging."""

    pipe: Descriptor
    levels: Levels | None


@dataclass(frozen=True, slots=True)
class Logged:
    """A log record. fields: its plain attributes. others: the others, each as a pickle, if it has one, and a text."""

    fields: Mapping[str, Any]
    others: Mapping[str, tuple[bytes | None, str]]
    pid: int

    @classmethod
    def packed(cls, record: LogRecord, traceback: str | None) -> Logged:
        """Make it of a record. The message is formatted here, since its arguments may not be picklable."""
        text = {"msg": record.getMessage(), "args": None, "exc_info": None, "exc_text": traceback}
        fields = vars(record) | text
        # A handler of this process may have added it.
        fields.pop("message", None)
        others = {
            name: (functions.travelling(value), short_repr(value))
            for name, value in fields.items()
            if type(value) not in PLAIN
        }
        return cls({name: value for name, value in fields.items() if name not in others}, others, os.getpid())

    def hand_on(self, who: WorkerName) -> None:
        """Let this process's loggers handle it; an error of a handler is reported as `logging` reports it."""
        import logging

        others = {name: _loaded(data, text) for name, (data, text) in self.others.items()}
        place = {"stage": who.stage, "worker": who.number, "pid": self.pid, **({"host": who.host} if who.host else {})}
        # Fields of the user's `extra=` win.
        record = logging.makeLogRecord({**place, **others, **self.fields})
        try:
            logging.getLogger(record.name).handle(record)
        except BaseException:
            # There is no caller to raise it to, and workers wait until their next record is read.
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
        """Make it of a warning, whose parts may not be picklable."""
        return cls(functions.travelling(message), str(message), functions.travelling(category), filename, lineno)

    def hand_on(self, who: WorkerName) -> None:
        """Show it as this process shows its own warnings. Raises what `warnings.showwarning` raises."""
        category = _loaded(self.category, Warning)
        warnings.showwarning(_loaded(self.message, self.text), category, self.filename, self.lineno)


WorkerMessage = Logged | Warned


@dataclass(frozen=True, slots=True)
class LibraryWarning:
    """A warning of the library itself, while a run goes on."""

    text: str
    logger: str

    def hand_on(self) -> None:
        """Log it. Raises what handlers and filters raise."""
        warn(self.text, self.logger)


def warn(text: str, logger: str = LOGGER) -> None:
    """Log a warning of the library itself, where it cannot be an error. Raises what handlers and filters raise."""
    import logging

    logging.getLogger(logger).warning(text)


def _loaded(data: bytes | None, instead: Any) -> Any:
    if data is not None:
        # It may name what only the worker can import.
        with suppress(Exception):
            return pickle.loads(data)
    return instead

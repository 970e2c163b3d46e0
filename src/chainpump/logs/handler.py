"""The log handler of a worker process. It imports `logging`, so only workers of programs that log import it."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from .records import Levels, Logged
from .sender import LogSender

__all__ = ["log_through", "set_levels"]


class PipeHandler(logging.Handler):
    """Sends records to the main process. replaced: the handlers that it replaces.

    It keeps them and does not close them: in a fork they are the main process's handlers, and may hold records back.
    """

    # `logging` knows a handler before that has its lock. A worker that is cancelled in between ends quietly.
    lock = None

    def __init__(self, sender: LogSender, replaced: Sequence[Sequence[logging.Handler]]) -> None:
        super().__init__()
        self._sender = sender
        self._replaced = replaced

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record; waits while the pipe is full."""
        if self._sender.is_closed:
            if logging.lastResort is not None and record.levelno >= logging.lastResort.level:
                logging.lastResort.handle(record)
            return
        try:
            traceback = record.exc_text
            if record.exc_info and not traceback:
                traceback = logging.Formatter().formatException(record.exc_info)
            self._sender.send(Logged.packed(record, traceback))
        except Exception:
            # The arguments do not fit the message.
            self.handleError(record)


def log_through(sender: LogSender) -> None:
    """Send all records to the main process, whose handlers and filters apply; only levels are decided here.

    Handlers that the fork has copied, or that the main file has added as this worker imported it, would handle each
    record twice: they are taken out. A handler that the worker's own functions add later stays.
    """
    root = logging.getLogger()
    found = [root, *(each for each in root.manager.loggerDict.values() if isinstance(each, logging.Logger))]
    handler = PipeHandler(sender, [each.handlers for each in found])
    for each in found:
        each.handlers, each.filters, each.propagate = [], [], True
    root.addHandler(handler)


def set_levels(levels: Levels) -> None:
    """Set the levels of the main process."""
    for name, level in levels.of.items():
        logging.getLogger(name).setLevel(level)
    logging.disable(levels.disabled)

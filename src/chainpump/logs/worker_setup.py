"""Sets up a worker process so that it logs and warns in the main process, and prints whole lines."""

from __future__ import annotations

import atexit
import io
import sys
import warnings
from typing import TextIO

from .message_pipe import ChunkWriter
from .records import LogsEnd, Warned
from .sender import LogSender

__all__ = ["log_through_main"]


def log_through_main(logs: LogsEnd) -> LogSender:
    """Send what this process logs and warns to the main process from now on. Returns the sender of this process."""
    sender = LogSender(ChunkWriter(logs.pipe))
    # `warnings` keeps a reference to the pipe until the interpreter is torn down: close it before.
    atexit.register(sender.close)
    _warn_by(sender)
    for stream in (sys.stdout, sys.stderr):
        # With PYTHONUNBUFFERED, `write_through` writes a line in several parts; other workers could write between them.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True, write_through=False)
    if logs.levels is not None:
        # It imports `logging`, which a worker without need of it does not pay for.
        from .handler import log_through, set_levels

        if logs.levels.are_handled:
            log_through(sender)
        set_levels(logs.levels)
    return sender


def _warn_by(sender: LogSender) -> None:
    shown = warnings.showwarning

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if file is not None or sender.is_closed:
            shown(message, category, filename, lineno, file, line)
        else:
            sender.send(Warned.packed(message, category, filename, lineno))

    warnings.showwarning = show

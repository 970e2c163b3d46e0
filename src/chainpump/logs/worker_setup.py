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


def log_through_main(logs: LogsEnd) -> None:
    """Have this process do so from here on."""
    sender = LogSender(ChunkWriter(logs.pipe))
    # `warnings` holds it until the interpreter has taken its modules apart.
    atexit.register(logs.pipe.close)
    _warn_by(sender)
    for stream in (sys.stdout, sys.stderr):
        # write_through: PYTHONUNBUFFERED writes a line word by word.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True, write_through=False)
    if logs.levels is not None:
        # Imports `logging`: who has no use for it does not pay for it.
        from .handler import log_by, set_levels

        if logs.levels.are_handled:
            log_by(sender)
        set_levels(logs.levels)


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

"""A worker process speaks through the main process: it logs and warns there, and prints whole lines."""

from __future__ import annotations

import atexit
import io
import pickle
import sys
import warnings
from contextlib import suppress
from typing import TextIO

from .message_pipe import ChunkWriter
from .records import LogsEnd, Told, Warned

__all__ = ["Mouth", "speak_through"]


class Mouth:
    """Where a worker says things. Any thread may use it; waits for room."""

    def __init__(self, writer: ChunkWriter) -> None:
        self._writer = writer

    @property
    def is_shut(self) -> bool:
        """In a process that the worker has forked, which speaks for itself."""
        return self._writer.closed

    def say(self, told: Told) -> None:
        """Send it to the main process, if that lives."""
        with suppress(BrokenPipeError):
            self._writer.send(pickle.dumps(told, 5))


def speak_through(logs: LogsEnd) -> None:
    """Have this process do so from here on."""
    mouth = Mouth(ChunkWriter(logs.pipe))
    atexit.register(logs.pipe.close)  # `warnings` holds it until the interpreter has taken its modules apart
    _warn_by(mouth)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # write_through: PYTHONUNBUFFERED writes a line word by word
            stream.reconfigure(line_buffering=True, write_through=False)
    if logs.levels is not None:
        from .handler import log_by, set_levels  # imports `logging`: who has no use for it does not pay for it

        if logs.levels.are_handled:
            log_by(mouth)
        set_levels(logs.levels)


def _warn_by(mouth: Mouth) -> None:
    shown = warnings.showwarning

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if file is not None or mouth.is_shut:
            shown(message, category, filename, lineno, file, line)
        else:
            mouth.say(Warned.packed(message, category, filename, lineno))

    warnings.showwarning = show

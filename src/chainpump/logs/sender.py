"""The sending end of a worker process: log records, warnings and messages for the main process."""

from __future__ import annotations

import pickle
from contextlib import suppress

from .message_pipe import ChunkWriter
from .records import Told

__all__ = ["LogSender"]


class LogSender:
    """Sends what a worker logs and warns. Any thread may use it; waits for room."""

    def __init__(self, writer: ChunkWriter) -> None:
        self._writer = writer

    @property
    def is_closed(self) -> bool:
        """In a process that the worker has forked, which logs for itself."""
        return self._writer.closed

    def send(self, message: Told) -> None:
        """Send it to the main process, if that lives."""
        with suppress(BrokenPipeError):
            self._writer.send(pickle.dumps(message, 5))

"""The sending end of a worker process: log records, warnings and messages for the main process."""

from __future__ import annotations

import pickle
from contextlib import suppress

from .message_pipe import ChunkWriter
from .records import WorkerMessage

__all__ = ["LogSender"]


class LogSender:
    """Sends what a worker logs and warns. Any thread may use it."""

    def __init__(self, writer: ChunkWriter) -> None:
        self._writer = writer

    @property
    def is_closed(self) -> bool:
        """Whether this is a process that the worker has forked, which logs for itself."""
        return self._writer.closed

    def redirect(self, writer: ChunkWriter) -> None:
        """Use another pipe from now on."""
        self._writer = writer

    def close(self) -> None:
        """Close the pipe. From then on this process logs for itself."""
        self._writer.close()

    def send(self, message: WorkerMessage) -> None:
        """Send it to the main process, if that is alive; waits while the pipe is full."""
        with suppress(BrokenPipeError):
            self._writer.send(pickle.dumps(message, 5))

"""The report pipe of a worker process: it carries dead letters, notes, requests, and at the end its outcome."""

from __future__ import annotations

import pickle
import struct
from contextlib import suppress

from ..ipc.descriptors import Descriptor
from ..worker.outcome import Message

__all__ = ["LENGTH", "send_report"]

# The length of a message, which precedes it. The end of the file cannot mark the end of a message, because another
# process that the worker started may hold the pipe open.
LENGTH = struct.Struct("<Q")


def send_report(report_pipe: Descriptor, message: Message) -> None:
    """Send one whole message."""
    data = pickle.dumps(message, 5)
    # The pipe is broken if the main process has given up this worker, or has died.
    with suppress(BrokenPipeError), open(report_pipe.fileno(), "wb", closefd=False) as stream:
        stream.write(LENGTH.pack(len(data)) + data)

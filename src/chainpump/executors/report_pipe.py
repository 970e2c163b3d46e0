"""The control pipe of a worker process: on it the worker says how it ends, and what it puts aside before."""

from __future__ import annotations

import pickle
import struct
from contextlib import suppress

from ..ipc.descriptors import Descriptor
from ..worker.outcome import Buried, Outcome

__all__ = ["LENGTH", "send_report"]

# In front of each message: a stray child may hold the pipe, so its end is no sign.
LENGTH = struct.Struct("<Q")


def send_report(report_pipe: Descriptor, message: Buried | Outcome) -> None:
    """Send a message, whole."""
    data = pickle.dumps(message, 5)
    # A broken pipe: this worker was given up for lost, or the main process has died.
    with suppress(BrokenPipeError), open(report_pipe.fileno(), "wb", closefd=False) as stream:
        stream.write(LENGTH.pack(len(data)) + data)

"""Introspection: a run describes itself to other processes of its user, and answers their requests for stacks.

    another process                                     main process
    /proc/PID/fd   --- reads the roster --------------  a memory file, which names the board and the wake-up pipe
    the pipe       --- one byte ---------------------►  the supervisor, which waits on this pipe
    the same file  ◄-- one line ----------------------  the stacks of its threads and tasks

Worker processes receive the request as a signal. So this answer contains only the stacks of the main process.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterable
from contextlib import suppress

from ..ipc.system import text_file, trim
from .worker_status import Roster, WorkerStack

__all__ = ["REQUEST", "RUN", "Introspection", "read_answer"]

# The name of the memory file.
RUN = "chainpump-run"
# The byte in the wake-up pipe that requests stacks.
REQUEST = b"?"


class Introspection:
    """The memory file of a run. It belongs to the supervisor."""

    def __init__(self, roster: Roster) -> None:
        self._file = text_file(RUN)
        fcntl.fcntl(self._file.fileno(), fcntl.F_SETFL, os.O_APPEND)
        os.write(self._file.fileno(), f"{roster.packed()}\n".encode())

    def answer(self, found: Iterable[WorkerStack]) -> None:
        """Write these stacks to the file, for the processes that have requested them."""
        # A lack of memory for the answer must not end the run.
        with suppress(OSError):
            trim(self._file)
            os.write(self._file.fileno(), f"{json.dumps([time.monotonic_ns(), list(found)])}\n".encode())

    def close(self) -> None:
        """Close the file at the end of the run."""
        self._file.close()


def read_answer(text: str) -> tuple[int, list[WorkerStack]]:
    """When `answer` was called, in ns, and the stacks. Raises ValueError or TypeError for another version."""
    at, found = json.loads(text)
    return at, [WorkerStack(*each) for each in found]

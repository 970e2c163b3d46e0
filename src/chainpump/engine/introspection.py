"""Introspection: what a run says of itself to other processes of its user, and how it answers them.

    whoever asks                                        main process
    /proc/PID/fd   --- reads the roster --------------  a memory file, which names the board and the bell
    the bell       --- one byte ---------------------►  the supervisor, who waits for nothing else
    the same file  ◄-- one line ----------------------  where its threads and tasks are

Workers in processes of their own are asked by a signal, so this answers for those of the main process alone.
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

__all__ = ["ASKED", "RUN", "Introspection", "answered"]

# The name of the file.
RUN = "chainpump-run"
# What rings the bell for this, and for nothing that has happened.
ASKED = b"?"


class Introspection:
    """The memory file of a run; belongs to the supervisor."""

    def __init__(self, roster: Roster) -> None:
        self._file = text_file(RUN)
        fcntl.fcntl(self._file.fileno(), fcntl.F_SETFL, os.O_APPEND)
        os.write(self._file.fileno(), f"{roster.packed()}\n".encode())

    def answer(self, found: Iterable[WorkerStack]) -> None:
        """Tell whoever has asked."""
        # There is no room: no reason to end a run.
        with suppress(OSError):
            trim(self._file)
            os.write(self._file.fileno(), f"{json.dumps([time.monotonic_ns(), list(found)])}\n".encode())

    def close(self) -> None:
        """The run is over."""
        self._file.close()


def answered(text: str) -> tuple[int, list[WorkerStack]]:
    """When `answer` was called, in ns, and what it has told. Raises ValueError or TypeError for another version."""
    at, found = json.loads(text)
    return at, [WorkerStack(place and tuple(place), within, stack) for place, within, stack in found]

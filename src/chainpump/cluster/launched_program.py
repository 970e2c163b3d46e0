"""Programs that belong to a run, and that end with it."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from ..executors.program_process import Program
from ..executors.start_methods import watch_by_kernel
from ..messages import failure_texts
from .started_program import started

__all__ = ["LaunchedProgram", "launched"]


class LaunchedProgram:
    """A program that was started. `end` must be called."""

    def __init__(self, name: str, popen: subprocess.Popen[Any]) -> None:
        self._name = name
        self._program = Program(name, popen)
        self._death_watch = watch_by_kernel(self._program)
        self._standard_input = popen.stdin
        self._has_ended = False

    @property
    def pid(self) -> int:
        """The process id."""
        return self._program.pid

    @property
    def waitables(self) -> Sequence[int]:
        """A descriptor that becomes readable when it ends. None after its end was noticed."""
        return () if self._has_ended else (self._death_watch.descriptor.fileno(),)

    def check_ended(self) -> bool:
        """Whether it has ended; true once."""
        if self._has_ended or not self._death_watch.has_died:
            return False
        self._has_ended = True
        return True

    @property
    def exit_code(self) -> int | None:
        """The exit code of a program that has ended."""
        return self._program.exitcode

    @property
    def ending(self) -> str:
        """How it has ended: its name and a verb. Empty if all was well."""
        return f"{self._name} {failure_texts.death(self.exit_code)}" if self.exit_code != 0 else ""

    def ask_to_end(self) -> None:
        """End its standard input: it ends by itself."""
        if self._standard_input is not None:
            with suppress(OSError):
                self._standard_input.close()

    def end(self, by: float) -> None:
        """Wait until it has ended; kill it if that takes longer than until this time of the monotonic clock."""
        self.ask_to_end()
        poll = select.poll()
        poll.register(self._death_watch.descriptor.fileno(), select.POLLIN)
        if not poll.poll(max(0.0, by - time.monotonic()) * 1000):
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        self._program.join()
        self._death_watch.descriptor.close()


def launched(
    name: str, command: Sequence[str], *, standard_input: bytes | None = None, descriptors: Sequence[int] = ()
) -> LaunchedProgram:
    """Start a program in a session of its own: signals of the terminal are for the main process. Raises OSError.

    standard_input: the first bytes of it; its end tells the program to end. None: it has an empty one. descriptors: it
    inherits these.
    """
    return LaunchedProgram(name, started(command, standard_input=standard_input, descriptors=descriptors))

"""The actor that runs an agent on a machine of a Ray cluster. It imports little, and nothing of Ray."""

from __future__ import annotations

import os
from contextlib import suppress

from .started_program import python, started

__all__ = ["AGENT", "RayActor"]

AGENT = f"{__package__}.agent_main"


class RayActor:
    """Runs an agent as a program of its own, so that no worker sees the main file and the threads of Ray's worker.

    The agent starts with the actor, while Ray prepares the first call. Ray calls the methods in threads. If it kills
    the process of the actor, the standard input of the agent ends.
    """

    def __init__(self, invitation: bytes) -> None:
        self._error: OSError | None = None
        try:
            self._program = started(python(AGENT), standard_input=invitation)
        except OSError as error:
            # Ray would tell only that there is no actor.
            self._error = error

    def run(self) -> int | None:
        """Wait until the agent has ended. Returns its exit code; None if other code of the process has read it."""
        if self._error is not None:
            raise self._error
        try:
            _, status = os.waitpid(self._program.pid, 0)
        except ChildProcessError:
            return None
        self._program.returncode = os.waitstatus_to_exitcode(status)
        return self._program.returncode

    def end(self) -> None:
        """Tell the agent that the run is over: it ends by itself."""
        if self._error is None and self._program.stdin is not None:
            with suppress(OSError):
                self._program.stdin.close()

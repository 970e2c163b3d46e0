"""The agent of one machine: it starts and supervises the workers of a run there, as the main process tells it.

    standard input   where the switchboard is, and the key of the run; its end of file means that the run is over
    control link     commands, reports, copies of the board
    data links       frames, to and from every other machine of the run

It never outlives the run: without its control link or its standard input it kills all that it has.
"""

from __future__ import annotations

import signal
import sys
import types
from contextlib import suppress

from ..executors import fork_server

__all__ = ["main"]


def main() -> None:
    """Read the invitation from standard input, and serve the run."""
    # Worker processes would import this program as the main file of the user's.
    sys.modules["__main__"] = types.ModuleType("__main__")
    # Ctrl-C is for the main process, which then ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        # It imports what workers need while this process imports what an agent needs. Both take tenths of a second.
        fork_server.exclude_main()
        # If the system refuses it now, the first worker says so.
        with suppress(OSError):
            fork_server.ensure_running()
        from .agent_run import serve

        serve()
    finally:
        fork_server.end()


if __name__ == "__main__":
    main()

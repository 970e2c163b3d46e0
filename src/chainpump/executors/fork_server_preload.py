"""What the fork server imports before it serves: what every worker needs, and a clean mask of signals.

`traceback` is among it so that a worker can report a failure even when it has no descriptor left to read a module with.

The server learns by SIGCHLD that a worker has died. A program that blocks signals hands its mask down, and the server
would wait for ever. Only the fork server imports this module, so nobody else's mask is changed.
"""

import signal
import traceback

from . import process_main

__all__ = ["process_main", "traceback"]

signal.pthread_sigmask(signal.SIG_SETMASK, ())

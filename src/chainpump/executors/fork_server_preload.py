"""What the fork server imports before it serves: all that each worker needs, and a clean mask of signals.

What is not imported here, each worker imports for itself. The names that stand alone are what `multiprocessing` and
`process_main` import late. `traceback` is among it so that a worker can report a failure even when it has no
descriptor left to read a module with.

The server learns by SIGCHLD that a worker has died. A program that blocks signals hands its mask down, and the server
would wait for ever. Only the fork server imports this module, so nobody else's mask is changed.
"""

import faulthandler
import multiprocessing.popen_forkserver
import pkgutil
import signal
import traceback

from ..transport import process_channel, send_limit
from . import process_main

__all__ = [
    "faulthandler",
    "multiprocessing",
    "pkgutil",
    "process_channel",
    "process_main",
    "send_limit",
    "traceback",
]

signal.pthread_sigmask(signal.SIG_SETMASK, ())

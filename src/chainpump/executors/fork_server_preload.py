"""The modules that the fork server imports before it forks workers, and a clean signal mask.

A worker imports every other module by itself. `multiprocessing` and `process_main` import some modules late, so they
are listed here by name. `traceback` is listed so that a worker can report a failure even when it has no descriptor left
to open a module's file. The main file of a program imports `Pipeline` and other names of the package, and each worker
imports the main file, so all public names are loaded too.

Every worker makes objects of the classes in `MADE_BY_WORKERS`. Their `__init__` is compiled here, once for all workers.

SIGCHLD informs the server that a worker has died. A server inherits the signal mask of the program. If that blocks
SIGCHLD, the server would wait for ever. Only the fork server imports this module, so no other process changes its mask.
"""

import faulthandler
import multiprocessing.popen_forkserver
import pkgutil
import signal
import traceback
from importlib import import_module

from ..lazy_dataclass import compile_init
from ..transport import process_channel, send_limit
from ..worker.left_out import Tools
from ..worker.outcome import Finished
from ..worker.standard_streams import StandardInput
from . import fork_server, process_main

__all__ = [
    "faulthandler",
    "multiprocessing",
    "pkgutil",
    "process_channel",
    "process_main",
    "send_limit",
    "traceback",
]

MADE_BY_WORKERS = (Finished, StandardInput, Tools)
for kind in MADE_BY_WORKERS:
    compile_init(kind)

# By name: an import statement would make this folder depend on those above it.
package = import_module(__name__.partition(".")[0])
for name in package.__all__:
    getattr(package, name)

signal.pthread_sigmask(signal.SIG_SETMASK, ())
fork_server.ignore_unfinished_starts()

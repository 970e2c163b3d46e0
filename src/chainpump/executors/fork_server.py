"""The fork server of `multiprocessing`: how it is started, how its end is detected, and how it is reaped.

There is no public interface for any of these.
"""

from __future__ import annotations

import os
import select
import sys
from contextlib import suppress
from multiprocessing import forkserver, resource_tracker, spawn
from pickle import UnpicklingError
from typing import Any

__all__ = ["end", "ensure_running", "exclude_main", "has_ended", "ignore_unfinished_starts", "imports_program"]

# The module that imports what a worker needs of this package.
PRELOAD = f"{__package__}.fork_server_preload"
# Older versions of Python have the main file in the list of modules, but do not import it.
IMPORTS_MAIN = sys.version_info >= (3, 12, 10)
NO_SERVER = {"_forkserver_pid": None, "_forkserver_alive_fd": None, "_forkserver_address": None}
# How many seconds to wait for the end of a fork server that did not start a worker. A server that still runs then is
# not about to end.
END_WAIT = 1.0
# The modules of the running fork server, by its process id. The program may change the list later.
_modules_of: dict[int, tuple[str, ...]] = {}


def ensure_running() -> int:
    """Start the fork server unless it runs. Returns its process id.

    The fork server imports `PRELOAD` once, so that workers do not: they start 20 times faster. The module is added to
    those that the program preloads. That has no effect on a server that already runs.
    """
    preloaded = _state()["_preload_modules"]
    if PRELOAD not in preloaded:
        forkserver.set_forkserver_preload([*preloaded, PRELOAD])
    # Other code has reaped the server. `has_ended` detects that later.
    with suppress(ChildProcessError):
        forkserver.ensure_running()
    pid: int = _state()["_forkserver_pid"]
    if pid not in _modules_of:
        _modules_of.clear()
        _modules_of[pid] = tuple(_state()["_preload_modules"])
    return pid


def has_ended(server: int) -> bool:
    """Whether this fork server has ended, or is about to end. It is reaped, so the next start creates a new one."""
    state = _state()
    with state["_lock"]:
        if state["_forkserver_pid"] != server:
            return True
        alive = state["_forkserver_alive_fd"]
        poll = select.poll()
        # With no requested events, `poll` reports only that the server has closed its end, which happens when it dies.
        poll.register(alive, 0)
        if not poll.poll(END_WAIT * 1000):
            return False
        # Other code has reaped the server.
        with suppress(ChildProcessError):
            os.waitpid(server, 0)
        os.close(alive)
        state.update(NO_SERVER)
        return True


def end() -> None:
    """End the fork server of this process, and the resource tracker beside it, and wait for their ends.

    For a program that must leave no process behind. They would end by themselves, soon after this process.
    """
    for module, name in ((forkserver, "_forkserver"), (resource_tracker, "_resource_tracker")):
        # Other code may have reaped it.
        with suppress(ChildProcessError):
            vars(module)[name]._stop()  # noqa: SLF001  # there is no public interface


def ignore_unfinished_starts() -> None:
    """In a fork server: end a process without a word whose starter ends before it has sent what to run.

    `multiprocessing` prints a traceback then, although the starter is gone, or reports the error itself.
    """
    # Any: there is no public interface.
    server: Any = forkserver
    serve_one = server._serve_one  # noqa: SLF001

    # Any: the arguments differ between versions of Python.
    def serve(*args: Any) -> int:
        try:
            code: int = serve_one(*args)
        except (EOFError, UnpicklingError) as error:
            trace = error.__traceback__
            while trace is not None and trace.tb_next is not None:
                trace = trace.tb_next
            # An import of the program may raise such an error as well.
            if trace is None or trace.tb_frame.f_code is not vars(spawn)["_main"].__code__:
                raise
            return 1
        return code

    server._serve_one = serve  # noqa: SLF001


def imports_program() -> bool:
    """Whether the fork server imports modules of the program: its main file, or those that the program preloads."""
    state = _state()
    modules = _modules_of.get(state["_forkserver_pid"]) or state["_preload_modules"]
    return any(module != PRELOAD and (module != "__main__" or IMPORTS_MAIN) for module in modules)


def exclude_main() -> None:
    """Do not preload the main file in the next fork server. New versions of Python do, and end if that import fails.

    A worker imports the main file then, and reports why the import failed, if it is the main file of the program.
    """
    state = _state()
    state["_preload_modules"] = [module for module in state["_preload_modules"] if module != "__main__"]


def _reset_in_child() -> None:
    """Forget the fork server in a forked process: it belongs to the parent, and using it raises.

    A new one may be started.
    """
    state = _state()
    if state["_forkserver_pid"] is not None:
        os.close(state["_forkserver_alive_fd"])
        state.update(NO_SERVER)


def _state() -> dict[str, Any]:
    """The attributes of the fork server object of `multiprocessing`."""
    return vars(forkserver._forkserver)  # noqa: SLF001  # there is no public interface


os.register_at_fork(after_in_child=_reset_in_child)

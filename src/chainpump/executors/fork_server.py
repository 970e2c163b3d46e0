"""The fork server of `multiprocessing`: started, asked after, and reaped when it goes down.

There is no public way to any of that.
"""

from __future__ import annotations

import os
import select
from contextlib import suppress
from multiprocessing import forkserver
from typing import Any

__all__ = ["ensure_running", "exclude_main", "has_ended"]

NO_SERVER = {"_forkserver_pid": None, "_forkserver_alive_fd": None, "_forkserver_address": None}
# Seconds: a fork server that refuses to start a worker has ended by then, or it will not.
END_WAIT = 1.0


def ensure_running(module: str) -> int:
    """Start it unless it runs; returns its process.

    It imports this module once, rather than each worker by itself: 20 times faster starts. It is added to what the
    program has asked it to preload, which does nothing once it runs.
    """
    preloaded = _state()["_preload_modules"]
    if module not in preloaded:
        forkserver.set_forkserver_preload([*preloaded, module])
    # Somebody else has reaped it: that will be seen again.
    with suppress(ChildProcessError):
        forkserver.ensure_running()
    pid: int = _state()["_forkserver_pid"]
    return pid


def has_ended(server: int) -> bool:
    """Whether this fork server has ended, or is about to; reaps it, so that the next start has another one."""
    state = _state()
    with state["_lock"]:
        if state["_forkserver_pid"] != server:
            return True
        alive = state["_forkserver_alive_fd"]
        poll = select.poll()
        # No events asked: reports only that it has closed its end, which it does as it dies.
        poll.register(alive, 0)
        if not poll.poll(END_WAIT * 1000):
            return False
        # Somebody else has reaped it.
        with suppress(ChildProcessError):
            os.waitpid(server, 0)
        os.close(alive)
        state.update(NO_SERVER)
        return True


def exclude_main() -> None:
    """Have the next one not import the main file, which new versions of Python do: where that fails, it ends at once.

    A worker that imports it instead says why it failed.
    """
    state = _state()
    state["_preload_modules"] = [module for module in state["_preload_modules"] if module != "__main__"]


def _reset_in_child() -> None:
    """In a forked process: the fork server is its parent's child, and asking for it raises. It may start its own."""
    state = _state()
    if state["_forkserver_pid"] is not None:
        os.close(state["_forkserver_alive_fd"])
        state.update(NO_SERVER)


def _state() -> dict[str, Any]:
    """What `multiprocessing` knows of it."""
    return vars(forkserver._forkserver)  # noqa: SLF001  # see above


os.register_at_fork(after_in_child=_reset_in_child)

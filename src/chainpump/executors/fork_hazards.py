"""What can block a forked worker for ever: an OpenMP library without its threads, and locks that threads held."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from ..plan.placement import Placement, any_forks

__all__ = ["fork_hazard", "locks_in_forks"]

OPENMP = re.compile(r"/(lib(?:gomp|omp|iomp5)\b[^/\n]*\.so[.\d]*)$", re.MULTILINE)
# The most threads that the message names.
MOST_NAMED = 12


def fork_hazard(executors: Iterable[Placement]) -> str:
    """Why forked workers of these executors may wait for ever. It is empty if no reason is known.

    A fork copies no threads. Once the main process has used GNU's OpenMP runtime, the runtime in the child waits for
    threads that exist only in the parent. Libraries that use OpenMP are torch and scikit-learn, for example.
    """
    if any_forks(executors):
        library = _openmp_with_threads()
        if library:
            return (
                f"{library} (OpenMP) is loaded in this process, and there are threads that forked workers lack: what "
                "computes by it there, such as torch or scikit-learn, may wait for ever. Use start_method='forkserver'."
            )
    return ""


def locks_in_forks(executors: Iterable[Placement]) -> str:
    """Which threads may hold locks that forked workers wait for. It is empty if the program has only this thread.

    A fork copies all locks in their current state. It does not copy the threads that would release them.
    """
    here = threading.current_thread()
    others = [
        each.name for each in threading.enumerate() if each is not here and not each.name.startswith("chainpump ")
    ]
    if not (others and any_forks(executors)):
        return ""
    names = ", ".join(others[:MOST_NAMED])
    return (
        f"Workers were forked beside other threads ({names}): a lock that one of them held then is\n"
        "  never free in a worker. Use start_method='forkserver'."
    )


def _openmp_with_threads() -> str:
    """The loaded OpenMP library, if the process has threads that Python did not start. It is empty without `/proc`."""
    with suppress(OSError):
        if len(list(Path("/proc/self/task").iterdir())) > threading.active_count():
            found = OPENMP.search(Path("/proc/self/maps").read_text())
            return found[1] if found else ""
    return ""

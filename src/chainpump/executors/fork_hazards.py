"""What a fork of this process may hang in: OpenMP, whose threads no fork takes along, and locks that threads hold."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from ..plan.placement import Placement, any_forks

__all__ = ["fork_hazard", "locks_in_forks"]

OPENMP = re.compile(r"/(lib(?:gomp|omp|iomp5)\b[^/\n]*\.so[.\d]*)$", re.MULTILINE)
# Threads that are named.
MOST_NAMED = 12


def fork_hazard(executors: Iterable[Placement]) -> str:
    """Why forked workers of these executors may wait for ever; empty if nothing is known to be so.

    The runtime of GNU waits in a child for threads that only its parent has, once it has used them there: in torch,
    scikit-learn and whatever else computes by OpenMP.
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
    """Whose locks forked workers of these executors may wait for; empty if the program has no threads beside this one.

    A fork has all locks as they were. It lacks the threads that hold some of them, and would set them free.
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
    """The OpenMP library that is loaded, where there are threads that are not Python's; empty without `/proc`."""
    with suppress(OSError):
        if len(list(Path("/proc/self/task").iterdir())) > threading.active_count():
            found = OPENMP.search(Path("/proc/self/maps").read_text())
            return found[1] if found else ""
    return ""

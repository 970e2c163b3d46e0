"""What a fork of this process may hang in, by what is loaded here: OpenMP, whose threads no fork takes along."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from ..plan.plan import Placement, Reach

__all__ = ["fork_hazard"]

OPENMP = re.compile(r"/(lib(?:gomp|omp|iomp5)\b[^/\n]*\.so[.\d]*)$", re.MULTILINE)


def fork_hazard(executors: Iterable[Placement]) -> str:
    """Why forked workers of these executors may wait for ever; empty if nothing is known to be so.

    The runtime of GNU waits in a child for threads that only its parent has, once it has used them there: in torch,
    scikit-learn and whatever else computes by OpenMP.
    """
    if any(on.reach is Reach.HOST and not on.pickles for on in executors):
        library = _openmp_with_threads()
        if library:
            return (
                f"{library} (OpenMP) is loaded in this process, and there are threads that forked workers lack: what "
                "computes by it there, such as torch or scikit-learn, may wait for ever. Use start_method='forkserver'."
            )
    return ""


def _openmp_with_threads() -> str:
    """The OpenMP library that is loaded, where there are threads that are not Python's; empty without `/proc`."""
    with suppress(OSError):
        if len(list(Path("/proc/self/task").iterdir())) > threading.active_count():
            found = OPENMP.search(Path("/proc/self/maps").read_text())
            return found[1] if found else ""
    return ""

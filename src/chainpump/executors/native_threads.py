"""How many threads of this process compute in a library for linear algebra or OpenMP.

Such a library starts as many threads as there are processors, in each process. `/proc` tells which threads have
computed, whatever variables were set, and whichever library reads them. It costs nothing before the end of the worker.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

__all__ = ["computing_threads"]

# Parts of the names of libraries that read OMP_NUM_THREADS.
LIBRARIES = ("openblas", "libmkl_", "libblis", "libgomp", "libomp", "libiomp5")
# Nanoseconds of processor time from which on a thread has computed. A thread of OpenBLAS that only waits for work spins
# for some 20 ms after its start.
COMPUTED = 100_000_000


def computing_threads() -> int:
    """The threads that have computed, and the main thread; 0 without such a library, and without `/proc`.

    Threads that Python has started do not count: no variable limits them.
    """
    of_python = {thread.native_id for thread in threading.enumerate()}
    native = sum(cpu >= COMPUTED for thread, cpu in _cpu_times() if thread not in of_python)
    return native + 1 if native and _has_library() else 0


def _cpu_times() -> Iterator[tuple[int, int]]:
    """The id of each thread of this process, and its processor time in nanoseconds."""
    with suppress(OSError):
        for folder in Path("/proc/self/task").iterdir():
            # The thread may end in between.
            with suppress(OSError):
                yield int(folder.name), int((folder / "schedstat").read_text().split()[0])


def _has_library() -> bool:
    with suppress(OSError):
        maps = Path("/proc/self/maps").read_text(errors="replace")
        return any(name in maps for name in LIBRARIES)
    return False

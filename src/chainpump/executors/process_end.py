"""The end of a worker process. It is the same as that of a plain Python program, for every start method.

`multiprocessing` ends a forked process by `os._exit`. That skips exit handlers, and does not flush the buffers of
files.
"""

from __future__ import annotations

import atexit
import gc
import io
import sys
import threading
import weakref
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing import util

__all__ = ["discard_inherited_exit_work", "finish_process", "flush_c_streams"]

# File objects of other types have no buffer of their own, or wrap one of these.
WRITERS = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom, io.BufferedRWPair)
# Base classes of file objects that are written in Python, such as GzipFile.
WRAPPERS = (io.TextIOBase, io.BufferedIOBase)
# Modules with pools, and the names of their registries of threads, which a process joins at its end. There is no public
# way to empty them.
POOLS = (("concurrent.futures.thread", "_threads_queues"), ("concurrent.futures.process", "_threads_wakeups"))


def discard_inherited_exit_work() -> None:
    """Drop the exit work of the parent at the start of a worker: only the parent has to do it.

    This work is exit handlers, finalizers such as those of `TemporaryDirectory`, and the flushing of files.
    """
    atexit._clear()  # noqa: SLF001
    # The registry is private, because there is no public list of finalizers.
    for finalizer in tuple(vars(weakref.finalize)["_registry"]):
        finalizer.atexit = False
    # These two functions register themselves only once, and the parent has already done that. The first one runs last.
    atexit.register(util._exit_function)  # type: ignore[attr-defined]  # noqa: SLF001
    atexit.register(weakref.finalize._exitfunc)  # type: ignore[attr-defined]  # noqa: SLF001
    # Thread pools of the parent have no threads here. Joining the thread that has forked would raise, because it is the
    # main thread of this process now.
    for module, threads in POOLS:
        if module in sys.modules:
            vars(sys.modules[module])[threads].clear()
    # From now on `_files` finds only objects that are created later.
    gc.freeze()


def finish_process() -> None:
    """Wait for non-daemon threads, run exit handlers, and close files, in the order in which the interpreter does it.

    Modules are not cleared. So the `__del__` of an object that a module holds runs only under spawn, where the
    interpreter itself ends the process.
    """
    threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001
    atexit._run_exitfuncs()  # noqa: SLF001
    names = ("stdin", "stdout", "stderr", "__stdin__", "__stdout__", "__stderr__")
    kept = {id(layer) for name in names for layer in _layers(getattr(sys, name))}
    for file in sorted(_files(), key=_depth):
        if id(file) not in kept and not file.closed:
            try:
                file.close()
            except Exception:
                # The failure is printed, and the other files are closed.
                import traceback

                traceback.print_exc()
    flush_c_streams()
    # The interpreter must find all objects when it clears modules.
    gc.unfreeze()


def flush_c_streams() -> None:
    """Write what C libraries have printed and hold back: `os._exit` would drop it, and a fork would have it, too."""
    with suppress(ImportError, OSError, AttributeError):
        # The module ctypes takes ten times as long to import. The argument stands for all streams.
        import _ctypes

        # None stands for this program; the type checkers' list lacks it.
        program = _ctypes.dlopen(None, 0)  # type: ignore[arg-type]
        _ctypes.call_function(_ctypes.dlsym(program, "fflush"), (0,))


def _layers(stream: object) -> Iterator[object]:
    """Yield a standard stream and the streams that it wraps.

    `multiprocessing` flushes them, and prints to them, after this.
    """
    while stream is not None:
        yield stream
        stream = getattr(stream, "buffer", None) or getattr(stream, "raw", None)


def _depth(file: io.IOBase) -> int:
    """The order of closing: text files first, then wrappers such as compressors, then the buffers below them."""
    return 0 if isinstance(file, io.TextIOBase) else 2 if isinstance(file, WRITERS) else 1


def _files() -> list[io.IOBase]:
    """The file objects of this process that may have a filled buffer."""
    kinds: set[type] = set()
    unseen: list[type] = [*WRITERS, *WRAPPERS]
    while unseen:
        kind = unseen.pop()
        if kind not in kinds:
            kinds.add(kind)
            unseen += kind.__subclasses__()
    return [each for each in gc.get_objects() if type(each) in kinds]

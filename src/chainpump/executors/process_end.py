"""A worker process ends as a plain Python program does, whatever has started it.

`multiprocessing` ends a fork by `os._exit`, which skips exit handlers and leaves files with what they have buffered.
"""

from __future__ import annotations

import atexit
import gc
import io
import sys
import threading
import weakref
from collections.abc import Iterator
from multiprocessing import util

__all__ = ["discard_inherited_exit_work", "finish_process"]

# A file object of any other kind has nothing to write, or wraps one of these.
WRITERS = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom, io.BufferedRWPair)
# Base classes of those that are written in Python, such as GzipFile.
WRAPPERS = (io.TextIOBase, io.BufferedIOBase)


def discard_inherited_exit_work() -> None:
    """At the start of a worker: what its parent has yet to do at its own exit is not the worker's to do.

    That is exit handlers, finalizers such as those of `TemporaryDirectory`, and files that are not flushed yet.
    """
    atexit._clear()  # noqa: SLF001
    # Private: there is no public list.
    for finalizer in tuple(vars(weakref.finalize)["_registry"]):
        finalizer.atexit = False
    # These two register themselves once, which the parent has done. The first one runs last.
    atexit.register(util._exit_function)  # type: ignore[attr-defined]  # noqa: SLF001
    atexit.register(weakref.finalize._exitfunc)  # type: ignore[attr-defined]  # noqa: SLF001
    # So that `_files` finds only objects that are made from now on.
    gc.freeze()


def finish_process() -> None:
    """Wait for threads that are not daemons, run exit handlers, close files: the order of the interpreter's own end.

    Modules are not taken apart: the `__del__` of objects that they hold runs only where the interpreter ends itself,
    under spawn.
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
                # Told, and no reason to leave the others open.
                import traceback

                traceback.print_exc()
    # An interpreter that takes itself apart needs to see all.
    gc.unfreeze()


def _layers(stream: object) -> Iterator[object]:
    """A standard stream, and what it wraps: `multiprocessing` flushes it, and prints to it after this."""
    while stream is not None:
        yield stream
        stream = getattr(stream, "buffer", None) or getattr(stream, "raw", None)


def _depth(file: io.IOBase) -> int:
    """Text is closed first, then what compresses or the like, then the buffers that they write to."""
    return 0 if isinstance(file, io.TextIOBase) else 2 if isinstance(file, WRITERS) else 1


def _files() -> list[io.IOBase]:
    """The file objects of this process that may have something buffered."""
    kinds: set[type] = set()
    unseen: list[type] = [*WRITERS, *WRAPPERS]
    while unseen:
        kind = unseen.pop()
        if kind not in kinds:
            kinds.add(kind)
            unseen += kind.__subclasses__()
    return [each for each in gc.get_objects() if type(each) in kinds]

"""Advice on what the operating system refuses, by its error."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from .shadowing import shadowed

__all__ = ["NOT_ITS_OWN", "channel_advice", "start_advice"]

# The text of the RuntimeError that CPython raises where the system refuses a thread.
NO_THREAD = "can't start new thread"
NOT_ITS_OWN = "A stage must not close descriptors that are not its own (os.closerange, daemonize, ...)."
NO_DESCRIPTOR = "no descriptor left: raise the limit (`ulimit -n`), or hold fewer arrays at once, which take one each."
# The beginning of the error of `tempfile`.
NO_TEMPORARY = "No usable temporary directory"
# The beginning of the name of the directory that holds the socket of the fork server.
OF_SERVER = "pymp-"

# Advice on what a channel is refused.
REFUSALS: Mapping[int, str] = {
    errno.EMFILE: f"Its process has {NO_DESCRIPTOR}",
    errno.ENFILE: f"The system has {NO_DESCRIPTOR}",
    errno.ENOMEM: "The system has no memory for large items, which cross in shared memory: hold fewer of them at once.",
    errno.ENOSPC: "Shared memory is full: give /dev/shm more room, or hold fewer large items at once.",
    errno.EFBIG: "Shared memory counts as a file: raise its limit (`ulimit -f`), or hold fewer large items.",
    errno.EBADF: NOT_ITS_OWN,
}


def channel_advice(error: OSError | MemoryError) -> str | None:
    """What to do about an error of a channel; None where there is no advice."""
    return REFUSALS.get(error.errno or 0) if isinstance(error, OSError) else REFUSALS[errno.ENOMEM]


def start_advice(error: BaseException) -> str:
    """What to do about an error that kept a worker, or a run, from starting; empty where there is no advice."""
    if isinstance(error, (AttributeError, ImportError)):
        return "A worker imports the program: define functions at the top level of a file, not under `if __name__ ...`."
    if isinstance(error, (ConnectionError, EOFError)):
        died = "Or the fork server has died, which starts workers: see its output above, and the limits of the system."
        return shadowed() or died
    if isinstance(error, OSError) and error.errno in OF_FILES:
        return OF_FILES[error.errno](error)
    if isinstance(error, OSError) or (isinstance(error, RuntimeError) and str(error) == NO_THREAD):
        return "The system refused: give it fewer workers, or raise its limits (`ulimit -a` shows them)."
    if isinstance(error, AssertionError) and "daemonic" in str(error):
        return "Python's rule: start the process that runs the pipeline with daemon=False, or use Threads()."
    return ""


def _missing(error: OSError) -> str:
    """A file or directory is missing: the working directory, the one for temporary files, or what the error names."""
    name = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else ""
    if NO_TEMPORARY in str(error):
        return "The fork server needs a directory for temporary files: set TMPDIR to one that may be written."
    if OF_SERVER in Path(name).name:
        return f"The directory for temporary files is gone, {Path(name).parent}: make it, or set TMPDIR and start anew."
    if not name and _has_no_directory():
        return 'The working directory was deleted: os.chdir() to another one, or use start_method="fork".'
    if not name:
        return f"Something has removed the fork server's socket, a file named {OF_SERVER}*: start the program anew."
    return f"{name} is not there: make it, or see who has removed it."


def _has_no_directory() -> bool:
    try:
        Path.cwd()
    except FileNotFoundError:
        return True
    return False


def _full(_: OSError) -> str:
    return "There is no room left in shared memory (/dev/shm), or for temporary files: make some."


def _too_large(_: OSError) -> str:
    return "Shared memory counts as a file: raise the limit on its size (`ulimit -f`)."


OF_FILES: Mapping[int | None, Callable[[OSError], str]] = {
    errno.ENOENT: _missing,
    errno.ENOTDIR: _missing,
    errno.ENOSPC: _full,
    errno.EFBIG: _too_large,
}

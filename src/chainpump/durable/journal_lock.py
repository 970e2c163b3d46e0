"""One run at a time holds a journal: a lock that ends with its process."""

from __future__ import annotations

import fcntl
import os
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path

from ..errors import JournalError

__all__ = ["JournalLock"]

# The end of the name of the file that is locked. It stays: to remove it could let two runs lock two files.
SUFFIX = "-lock"

# The journals that runs of this process hold, by process: the lock of a file belongs to a process, and a second one of
# the same process would be granted. A forked child does not hold those of its parent. `_GUARD` guards it.
_HELD: set[tuple[int, Path]] = set()
_GUARD = threading.Lock()


class JournalLock:
    """The lock of a journal, from when it is made until `release`. Raises JournalError if another run holds it."""

    def __init__(self, path: Path) -> None:
        self._key = (os.getpid(), path.resolve())
        with _GUARD:
            if self._key in _HELD:
                raise JournalError(
                    f"journal {path}: another run of this process holds it.\n  Let that run end, or use another file."
                )
            self._fd = _locked(path)
            _HELD.add(self._key)

    def release(self) -> None:
        """Let the next run have it."""
        with _GUARD:
            if self._key in _HELD:
                _HELD.discard(self._key)
                os.close(self._fd)


def _locked(path: Path) -> int:
    """A descriptor of the lock file, locked. Raises JournalError."""
    name = path.with_name(path.name + SUFFIX)
    try:
        fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise JournalError(
            f"journal {path}: the file {name} cannot be written: {error.strerror}.\n"
            "  A journal needs a folder that exists and that this process may write to."
        ) from error
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.pread(fd, 1000, 0).decode(errors="replace").strip() or "a process that has not said its name yet"
        os.close(fd)
        if not isinstance(error, (BlockingIOError, PermissionError)):
            raise JournalError(
                f"journal {path}: the file {name} cannot be locked: {error.strerror}.\n"
                "  Keep the journal on a file system that has locks."
            ) from error
        raise JournalError(
            f"journal {path}: another run holds it: {holder}.\n  Let that run end, or use another file."
        ) from error
    now = time.strftime("%Y-%m-%d %H:%M:%S %z")
    # The lock holds without this text, for which a full disk may have no room.
    with suppress(OSError):
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"process {os.getpid()} on {socket.gethostname()}, since {now}\n".encode(), 0)
    return fd

"""What the operating system offers: on Linux its own functions, on other systems the functions of POSIX.

CHAINPUMP_TRANSPORT=portable selects the functions of POSIX on Linux as well: for tests, and for a sandbox that forbids
the functions of Linux.
"""

from __future__ import annotations

import fcntl
import os
import sys

from ..errors import StageOptionError
from .descriptors import Descriptor, opened

__all__ = ["VARIABLE", "is_portable", "shared_file", "text_file", "trim"]

VARIABLE = "CHAINPUMP_TRANSPORT"
CHOICES = ("linux", "portable")
# Bytes. A file that is longer than this is trimmed.
MOST = 1 << 20
IN_MEMORY = "/dev/shm"  # noqa: S108  # files there have no name, so no other user can open or predict them


def is_portable() -> bool:
    """Return whether to use only the functions of POSIX. Raises StageOptionError for an unknown setting."""
    on_linux = sys.platform == "linux"
    choice = os.environ.get(VARIABLE) or CHOICES[not on_linux]
    if choice not in CHOICES:
        raise StageOptionError(f"{VARIABLE} must be {' or '.join(CHOICES)} but is: {choice!r}.")
    if choice == "linux" and not on_linux:
        raise StageOptionError(f"{VARIABLE}=linux does not work on {sys.platform}: unset it.")
    return choice == "portable"


def shared_file(name: str, nbytes: int, *, reserved: bool = False) -> Descriptor:
    """Make memory that several processes can map. It has no path, so it is freed with its last user.

    Its size is fixed if the system can seal it; with the size 0 it grows when it is written. It is sparse: pages take
    room when they are first written. With `reserved` they take it at once, which raises OSError if there is no room.
    `name` is shown to tools that inspect a process. The portable kind is a deleted file.
    """
    descriptor = text_file(name)
    if reserved:
        os.pwrite(descriptor.fileno(), bytes(nbytes), 0)
    else:
        os.ftruncate(descriptor.fileno(), nbytes)
    if not is_portable():
        # A process that reads a mapping after its file was truncated dies of SIGBUS. The seal prevents that, for
        # mistakes and for leaked descriptors. Pages may still be returned to the system and written again.
        seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL | (fcntl.F_SEAL_GROW if nbytes else 0)
        fcntl.fcntl(descriptor.fileno(), fcntl.F_ADD_SEALS, seals)
    return descriptor


def text_file(name: str) -> Descriptor:
    """Make memory to which processes append text. It is never mapped, so `trim` may truncate it. `name` as above."""
    if is_portable():
        # The import is slow, and no worker on Linux needs it.
        import tempfile

        with tempfile.TemporaryFile(dir=IN_MEMORY if os.access(IN_MEMORY, os.W_OK) else None) as file:
            return opened(os.dup, file.fileno())
    return opened(os.memfd_create, name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)


def trim(file: Descriptor) -> None:
    """Remove the old text of a file if it is long. The first line stays, because it names the owner of the file.

    Only the owner of the file may call it. Other processes read the file by a number that may already be another file.
    """
    size = os.fstat(file.fileno()).st_size
    if size > MOST:
        head, end, _ = os.pread(file.fileno(), size, 0).partition(b"\n")
        os.ftruncate(file.fileno(), len(head + end))

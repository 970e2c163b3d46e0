"""What the operating system offers: on Linux the best there is, elsewhere what every POSIX system has.

CHAINPUMP_TRANSPORT=portable takes the second on Linux, too: for tests, and where a sandbox forbids the first.
"""

from __future__ import annotations

import fcntl
import os
import sys

from ..errors import StageOptionError
from .descriptors import Descriptor

__all__ = ["VARIABLE", "is_portable", "shared_file", "text_file", "trim"]

VARIABLE = "CHAINPUMP_TRANSPORT"
CHOICES = ("linux", "portable")
# Bytes that a file may have come to before what is old in it is thrown away.
MOST = 1 << 20
IN_MEMORY = "/dev/shm"  # noqa: S108  # files there have no name, so nobody can open or foresee them


def is_portable() -> bool:
    """Whether to do without what only Linux has. Raises StageOptionError if the environment asks for something else."""
    on_linux = sys.platform == "linux"
    choice = os.environ.get(VARIABLE) or CHOICES[not on_linux]
    if choice not in CHOICES:
        raise StageOptionError(f"{VARIABLE} must be {' or '.join(CHOICES)} but is: {choice!r}.")
    if choice == "linux" and not on_linux:
        raise StageOptionError(f"{VARIABLE}=linux does not work on {sys.platform}: unset it.")
    return choice == "portable"


def shared_file(name: str, nbytes: int, *, reserved: bool = False) -> Descriptor:
    """Memory that several processes can map, behind a descriptor: without a name, so it goes with its last user.

    Of this size for good, where the system can seal it; with 0 it grows as it is written. Sparse: pages take room once
    they are touched, or at once if they are `reserved`, which raises OSError if there is none. `name` is for those who
    look on. The portable kind is a file that has been unlinked.
    """
    descriptor = text_file(name)
    if reserved:
        os.pwrite(descriptor.fileno(), bytes(nbytes), 0)
    else:
        os.ftruncate(descriptor.fileno(), nbytes)
    if not is_portable():
        # Who maps it dies by SIGBUS where it has been cut off. So nobody can: not by mistake, not by a descriptor that
        # has leaked. Pages may still be given back, and written.
        seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL | (fcntl.F_SEAL_GROW if nbytes else 0)
        fcntl.fcntl(descriptor.fileno(), fcntl.F_ADD_SEALS, seals)
    return descriptor


def text_file(name: str) -> Descriptor:
    """Memory that processes add text to, and read; nobody maps it, so `trim` may cut it off. Named as `shared_file`."""
    if is_portable():
        # With all that it imports, which no worker on Linux is to wait for.
        import tempfile

        with tempfile.TemporaryFile(dir=IN_MEMORY if os.access(IN_MEMORY, os.W_OK) else None) as file:
            return Descriptor(os.dup(file.fileno()))
    return Descriptor(os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING))


def trim(file: Descriptor) -> None:
    """Throw away what is old in a file that is added to, if that is much; its first line stays, which says whose it is.

    For its owner alone: others may look at it, and are never to cut off what may be another file by now.
    """
    size = os.fstat(file.fileno()).st_size
    if size > MOST:
        head, end, _ = os.pread(file.fileno(), size, 0).partition(b"\n")
        os.ftruncate(file.fileno(), len(head + end))

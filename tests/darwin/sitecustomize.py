"""A start-up file for every interpreter: hides what Linux has and Darwin lacks, from this library and nobody else.

    CHAINPUMP_TRANSPORT=portable PYTHONPATH=tests/darwin python -m pytest tests/contract tests/faults

Names of modules are hidden for good: the standard library has asked for most of them as it was imported, before this
file. A look into `/proc` is refused where the library asks, and not where a test does, which has to know of leftovers.
"""

import fcntl
import mmap
import os
import resource
import select
import signal
import socket
import sys

PACKAGE = "chainpump"
HIDDEN = {
    fcntl: ("F_ADD_SEALS", "F_GET_SEALS", "F_SETPIPE_SZ", "F_GETPIPE_SZ", "F_OFD_SETLK", "F_OFD_SETLKW"),
    mmap: ("MADV_REMOVE", "MADV_DONTFORK", "MADV_HUGEPAGE", "MAP_POPULATE"),
    os: (
        "EFD_CLOEXEC",
        "EFD_NONBLOCK",
        "EFD_SEMAPHORE",
        "O_PATH",
        "O_TMPFILE",
        "P_PIDFD",
        "copy_file_range",
        "eventfd",
        "eventfd_read",
        "eventfd_write",
        "memfd_create",
        "pidfd_open",
        "pipe2",
        "posix_fadvise",
        "posix_fallocate",
        "sched_getaffinity",
        "sched_setaffinity",
        "splice",
    ),
    resource: ("prlimit",),
    select: ("epoll",),
    signal: ("pidfd_send_signal", "sigtimedwait", "sigwaitinfo"),
    socket: ("SOCK_CLOEXEC", "SOCK_NONBLOCK", "SOCK_SEQPACKET"),
}
FILES = ("/proc", "/dev/shm", "/sys/fs/cgroup")
ACCESS = os.access
LOOKS = frozenset(("open", "os.listdir", "os.scandir"))


def is_asked_by_the_library() -> bool:
    """Whether the innermost caller that is no module of the standard library belongs to the package."""
    frame = sys._getframe(2)
    while frame is not None:
        name = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if name not in sys.stdlib_module_names:
            return name == PACKAGE
        frame = frame.f_back
    return False


def hide_files(event: str, args: tuple[object, ...]) -> None:
    """As an audit hook: there is no such file."""
    if event in LOOKS and isinstance(args[0], str) and args[0].startswith(FILES) and is_asked_by_the_library():
        raise FileNotFoundError(2, "No such file or directory", args[0])


def access(path: object, mode: int, **options: object) -> bool:
    """`os.access`, which no audit hook is told of."""
    hides = str(path).startswith(FILES) and is_asked_by_the_library()
    return not hides and ACCESS(path, mode, **options)  # type: ignore[arg-type]  # as it was called


for module, names in HIDDEN.items():
    for name in names:
        if hasattr(module, name):
            delattr(module, name)
os.access = access  # type: ignore[assignment]  # for the library alone
sys.addaudithook(hide_files)

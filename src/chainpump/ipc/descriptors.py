"""Owned file descriptors: closed once, handed to a worker as it starts, never copied by a stray fork.

`fork` copies every descriptor behind everyone's back. A copy of a writing end would hide the end of a channel, so
a forked child closes at once all that the library owns, except what it was started with.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from multiprocessing import reduction

# The interpreter's own, without the Python code around it.
from socket import SocketType
from typing import Any
from weakref import WeakSet

from ..lazy_dataclass import dataclass

__all__ = ["Descriptor", "HandedOver", "is_forking", "kept_by_fork", "pipe", "room_to_start"]


# The last of the numbers that every program takes for its standard streams.
STANDARD_ERROR = 2
# Descriptors; the standard library takes up to 8 to start a process, its fork server included.
SPARE = 16


class Descriptor:
    """One owned file descriptor; pickling it while a process is being spawned hands a duplicate over.

    Never one of the standard streams' numbers, which are free in a program that has closed them: what a worker prints
    would go there.
    """

    __slots__ = ("__weakref__", "_fd", "_socket")

    # Here, since a descriptor may outlive this module: as the interpreter exits, it clears modules before objects.
    _close = staticmethod(os.close)

    def __init__(self, fd: int) -> None:
        self._fd = fd if fd > STANDARD_ERROR else _moved(fd)
        self._socket: SocketType | None = None
        _TABLE.owned.add(self)

    @property
    def closed(self) -> bool:
        """Whether it has been closed; its number may be somebody else's by now."""
        return self._fd < 0

    def fileno(self) -> int:
        """The number; -1 once closed."""
        return self._fd

    def dup(self) -> Descriptor:
        """A second descriptor of the same open file, owned by the caller."""
        return Descriptor(os.dup(self._fd))

    def socket(self) -> SocketType:
        """The descriptor as a socket; it still belongs to, and is closed by, this object."""
        if self._socket is None:
            # If Ctrl-C breaks in behind the call, the socket has been made, is dropped, and has closed the descriptor.
            fd, self._fd = self._fd, -1
            self._socket = SocketType(fileno=fd)
            self._fd = fd
        return self._socket

    def close(self) -> None:
        """Close it; a second call does nothing."""
        fd, self._fd = self._fd, -1
        if fd < 0:
            return
        if self._socket is not None:
            self._socket.close()
        else:
            self._close(fd)

    def __del__(self) -> None:
        # Not if Ctrl-C has broken in before.
        if hasattr(self, "_fd"):
            self.close()

    def __reduce__(self) -> tuple[Callable[[Any], Descriptor], tuple[Any]]:
        # DupFd works only while a process is being spawned.
        return _received, (reduction.DupFd(self._fd),)


def _moved(fd: int) -> int:
    """The same open file under a higher number."""
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, STANDARD_ERROR + 1)
    finally:
        os.close(fd)


def _received(handed: Any) -> Descriptor:
    return Descriptor(handed.detach())


@dataclass(frozen=True, slots=True)
class HandedOver:
    """A descriptor that a new process has been given under its number, as `multiprocessing` has it."""

    number: int

    def detach(self) -> int:
        """The number."""
        return self.number


def pipe() -> tuple[Descriptor, Descriptor]:
    """A pipe: its reading and its writing end."""
    reading, writing = os.pipe()
    return Descriptor(reading), Descriptor(writing)


class _Table:
    """What the library owns of this process's descriptor table.

    owned: WeakSet copies itself before iterating, and the child of a fork has one thread: it needs no lock.
    kept: what the fork under way may keep. thread: whose it is. `lock` guards both: one fork of ours at a time.
    """

    def __init__(self) -> None:
        self.owned: WeakSet[Descriptor] = WeakSet()
        self.kept: frozenset[Descriptor] = frozenset()
        self.thread: int | None = None
        self.lock = threading.Lock()

    def close_in_child(self) -> None:
        """In the child of a fork, before anything else runs there."""
        for descriptor in list(self.owned - self.kept):
            descriptor.close()
        self.kept = frozenset()
        self.thread = None
        # Whoever held it is not in this process.
        self.lock = threading.Lock()


# The one mutable global: the table that fork copies is global to the process, too.
_TABLE = _Table()
os.register_at_fork(after_in_child=_TABLE.close_in_child)


@contextmanager
def kept_by_fork(descriptors: Iterable[Descriptor]) -> Generator[None, None, None]:
    """Let a worker forked inside this block keep these descriptors."""
    with _TABLE.lock:
        _TABLE.kept, _TABLE.thread = frozenset(descriptors), threading.get_ident()
        try:
            yield
        finally:
            _TABLE.kept, _TABLE.thread = frozenset(), None


def is_forking() -> bool:
    """Whether this code runs within `kept_by_fork`, as a finalizer may: it must wait for nobody who wants to fork."""
    return _TABLE.thread == threading.get_ident()


@contextmanager
def room_to_start() -> Generator[None, None, None]:
    """Let the standard library start a process inside this block. Raises OSError if it would run out of descriptors.

    It would do so half-way: it loses some then, and its fork server ends, which ends the workers of every other run.
    The standard streams that are closed lead to the null device meanwhile: a new interpreter takes whatever has their
    numbers for them, and may not start at all.
    """
    spare: list[int] = []
    try:
        while len(spare) < SPARE:
            spare.append(os.dup(spare[0]) if spare else os.open(os.devnull, os.O_RDWR))
        while spare and spare[-1] > STANDARD_ERROR:
            os.close(spare.pop())
        for fd in spare:
            os.set_inheritable(fd, True)
        yield
    finally:
        for fd in spare:
            os.close(fd)

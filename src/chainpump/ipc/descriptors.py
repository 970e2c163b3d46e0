"""Owned file descriptors: each is closed once, is passed to a worker at its start, and is not kept by other forks.

`fork` copies every descriptor of a process. A copy of a writing end would hide the end of a channel. So a forked child
immediately closes all descriptors that the library owns, except those that it was started with.

Any thread may fork at any moment, while another one opens or closes a descriptor:

* It forks after the system has opened a descriptor and before the table knows it: prevented, a fork waits for that.
* It forks while a descriptor is closed: the number leads to the null device before the table forgets it.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import reduction
from operator import methodcaller

# The class of the interpreter, without the Python code of `socket.socket`.
from socket import SocketType
from typing import Any, ParamSpec
from weakref import WeakSet

from ..lazy_dataclass import dataclass

__all__ = [
    "Descriptor",
    "HandedOver",
    "holds_up_forks",
    "kept_by_fork",
    "opened",
    "opened_pair",
    "pipe",
    "room_to_start",
]

P = ParamSpec("P")
# The highest descriptor number of the three standard streams.
STANDARD_ERROR = 2
# Seconds that a fork waits for another thread that opens a descriptor, which takes microseconds. But a finalizer may
# break in there and wait for a lock that the forking thread holds.
OPENED_WITHIN = 1.0
# How many descriptors must be free to start a process. The standard library uses up to 8, including its fork server.
SPARE = 16


def _close(fd: int) -> None:
    """Close a descriptor of the table. A fork at any moment copies what the child closes, or the null device."""
    # Without a free number, it is closed as it is.
    with suppress(OSError):
        null = os.open(os.devnull, os.O_RDWR)
        try:
            os.dup2(null, fd, inheritable=False)
        finally:
            os.close(null)
    _TABLE.numbers.discard(fd)
    os.close(fd)


class Descriptor:
    """One owned file descriptor. Pickling it while a process is being spawned passes a duplicate to that process.

    It never has the number of a standard stream. Such a number is free in a program that has closed the stream, and the
    output of `print` in a worker would go into this file.
    """

    __slots__ = ("__weakref__", "_fd", "_socket")

    def __init__(self, fd: int) -> None:
        self._fd = fd if fd > STANDARD_ERROR else _moved(fd)
        self._socket: SocketType | None = None
        _TABLE.numbers.add(self._fd)
        _TABLE.owned.add(self)

    @property
    def closed(self) -> bool:
        """Return whether it is closed. The system may have reused its number since."""
        return self._fd < 0

    def fileno(self) -> int:
        """Return the number; -1 if it is closed."""
        return self._fd

    def dup(self) -> Descriptor:
        """Return a second descriptor of the same open file, which the caller owns."""
        return opened(os.dup, self._fd)

    def socket(self) -> SocketType:
        """Return the descriptor as a socket, which this object owns and closes. Several threads get the same one."""
        if self._socket is not None:
            return self._socket
        with _TABLE.first_use:
            if self._socket is None:
                # If Ctrl-C interrupts directly after the call, the new socket is deleted and closes the descriptor. So
                # this object must not close it as well.
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
            self._socket.detach()
        # The interpreter clears modules before objects when it exits, and the system then closes the descriptor.
        if _TABLE is not None:
            _close(fd)

    def forget(self) -> None:
        """Another one closes it, since this is a copy in a forked child."""
        self._fd = -1
        if self._socket is not None:
            self._socket.detach()

    def __del__(self) -> None:
        # The attribute is missing if Ctrl-C has interrupted `__init__`.
        if hasattr(self, "_socket"):
            self.close()

    def __reduce__(self) -> tuple[Callable[[Any], Descriptor], tuple[Any]]:
        # DupFd works only while a process is being spawned.
        return _received, (reduction.DupFd(self._fd),)


def _moved(fd: int) -> int:
    """Return the same open file under a higher number."""
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, STANDARD_ERROR + 1)
    finally:
        _TABLE.numbers.discard(fd)
        os.close(fd)


def _received(duplicate: Any) -> Descriptor:
    return Descriptor(duplicate.detach())


@dataclass(frozen=True, slots=True)
class HandedOver:
    """A descriptor that a new process has received under its number, with the interface of `multiprocessing`."""

    number: int

    def detach(self) -> int:
        """Return the number."""
        return self.number


def opened(make: Callable[P, int], *arguments: P.args, **options: P.kwargs) -> Descriptor:
    """Own the descriptor that this call opens, without a wait. No fork happens in between."""
    return Descriptor(*_TABLE.opened(lambda: (make(*arguments, **options),)))


def opened_pair(make: Callable[[], tuple[int, int]]) -> tuple[Descriptor, Descriptor]:
    """Own both descriptors that `make` opens, without a wait. No fork happens in between."""
    first, second = _TABLE.opened(make)
    return Descriptor(first), Descriptor(second)


def pipe() -> tuple[Descriptor, Descriptor]:
    """Make a pipe, and return its reading and its writing end."""
    return opened_pair(os.pipe)


class _Table:
    """The descriptors of this process that the library owns.

    owned: needs no lock, because WeakSet copies itself before an iteration and a forked child has one thread. numbers:
    theirs, and those of descriptors whose objects are being deleted. opening: held while the system opens a descriptor,
    and by a fork. kept: the descriptors that the current fork keeps. thread: the thread that forks. `lock` guards these
    two: the library makes one fork at a time. first_use: guards that a descriptor becomes a socket; it is held for one
    system call. A finalizer may need `opening` or `first_use` for another descriptor meanwhile.
    """

    def __init__(self) -> None:
        self.owned: WeakSet[Descriptor] = WeakSet()
        self.numbers: set[int] = set()
        self.opening = threading.RLock()
        self.kept: frozenset[Descriptor] = frozenset()
        self.thread: int | None = None
        self.lock = threading.Lock()
        self.first_use = threading.RLock()

    def opened(self, make: Callable[[], Sequence[int]]) -> Sequence[int]:
        """What `make` opens is known to the table before this process can fork."""
        with self.opening:
            numbers = make()
            self.numbers.update(numbers)
        return numbers

    def before_fork(self) -> None:
        """Wait until no other thread opens a descriptor."""
        self.opening.acquire(timeout=OPENED_WITHIN)

    def after_fork(self) -> None:
        """Let other threads open descriptors again."""
        # This thread may have waited in vain.
        with suppress(RuntimeError):
            self.opening.release()

    @property
    def is_opening(self) -> bool:
        """Whether other threads cannot open descriptors until this one goes on."""
        # There is no public way to ask; `threading.Condition` calls the same method.
        return bool(methodcaller("_is_owned")(self.opening))

    def close_in_child(self) -> None:
        """Close the descriptors in a forked child, before any other code runs there."""
        kept = self.kept if self.thread == threading.get_ident() else frozenset[Descriptor]()
        for descriptor in list(self.owned - kept):
            descriptor.forget()
        remaining = {descriptor.fileno() for descriptor in kept}
        for number in self.numbers - remaining:
            # The program may have closed all that it does not know.
            with suppress(OSError):
                os.close(number)
        self.numbers = remaining
        self.kept = frozenset()
        self.thread = None
        # The threads that held the locks do not exist in this process.
        self.lock = threading.Lock()
        self.opening = threading.RLock()
        self.first_use = threading.RLock()


# This is the only mutable global variable: the descriptor table that fork copies is global to the process as well.
_TABLE = _Table()
os.register_at_fork(before=_TABLE.before_fork, after_in_parent=_TABLE.after_fork, after_in_child=_TABLE.close_in_child)


@contextmanager
def kept_by_fork(descriptors: Iterable[Descriptor]) -> Generator[None, None, None]:
    """Let a worker that is forked inside this block keep these descriptors."""
    with _TABLE.lock:
        _TABLE.kept, _TABLE.thread = frozenset(descriptors), threading.get_ident()
        try:
            yield
        finally:
            _TABLE.kept, _TABLE.thread = frozenset(), None


def holds_up_forks() -> bool:
    """Return whether other threads cannot fork until this one goes on. A finalizer here must not wait for a fork."""
    return _TABLE.thread == threading.get_ident() or _TABLE.is_opening


@contextmanager
def room_to_start() -> Generator[None, None, None]:
    """Let the standard library start a process inside this block. Raises OSError if descriptors would run out.

    Without this check the standard library would fail half-way. It would leak descriptors, and its fork server would
    end, which ends the workers of every other run. Inside the block, closed standard streams are opened on the null
    device. Otherwise a new interpreter would use any file with such a number as its standard stream, and might not
    start.
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

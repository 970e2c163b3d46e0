"""A program that this process starts, and the descriptors that it inherits."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from multiprocessing.context import set_spawning_popen
from typing import TYPE_CHECKING, Any

from ..ipc.descriptors import HandedOver

if TYPE_CHECKING:
    import subprocess

__all__ = ["Program", "passed_descriptors"]


@contextmanager
def passed_descriptors() -> Generator[Sequence[int], None, None]:
    """Let this thread pickle descriptors inside this block, for a program that inherits them under their numbers.

    Yields the list of these numbers, which grows.
    """
    passed = _PassedDescriptors()
    # This applies to the current thread only.
    set_spawning_popen(passed)  # type: ignore[arg-type]  # only these two methods are called
    try:
        yield passed.numbers
    finally:
        set_spawning_popen(None)


class _PassedDescriptors:
    """A record of the descriptors that are pickled in this thread. They are pickled as their numbers.

    The object stands for the process that `multiprocessing` is starting. Some objects can be pickled only while a
    process is being started.
    """

    def __init__(self) -> None:
        self.numbers: list[int] = []

    def duplicate_for_child(self, fd: int) -> int:
        """Record the descriptor. It keeps its number in the child."""
        self.numbers.append(fd)
        return fd

    def DupFd(self, fd: int) -> HandedOver:  # noqa: N802  # `multiprocessing` calls this name
        """Return an object that becomes a descriptor in the child."""
        return HandedOver(fd)


class Program:
    """The process of a program, with the interface that `ProcessHandle` uses.

    It reads the exit code itself, because `Popen` reports 0 when other code has already read the exit code.
    """

    def __init__(self, name: str, popen: subprocess.Popen[Any]) -> None:
        self.name = name
        self._popen = popen

    @property
    def pid(self) -> int:
        """The process id."""
        return self._popen.pid

    @property
    def exitcode(self) -> int | None:
        """The exit code, negative for a signal. It is None while the program runs, or if other code has read it."""
        self._wait(os.WNOHANG)
        return self._popen.returncode

    def join(self) -> None:
        """Wait until the program has ended."""
        self._wait(0)

    def _wait(self, options: int) -> None:
        if self._popen.returncode is not None:
            return
        try:
            pid, status = os.waitpid(self.pid, options)
        except ChildProcessError:
            # The process has died, and other code of the program has read its exit code.
            return
        if pid:
            self._popen.returncode = os.waitstatus_to_exitcode(status)

    def close(self) -> None:
        """There is nothing to release."""

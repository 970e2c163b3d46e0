"""A process that counts the system calls of another one, and kills it in front of one or behind it.

    worker   -- who it is, what to count to ------->   tracer: stops it at each entry and each return
             <------ it is traced from here on ----

It needs no tool: `ptrace` is called by way of ctypes. Run as a program, this file is the tracer.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["Tracer"]

# <sys/ptrace.h>.
SYSCALL, SEIZE, INTERRUPT = 24, 0x4206, 0x4207
# Its options TRACESYSGOOD and TRACECLONE.
MARK_CALLS, FOLLOW_THREADS = 1, 8
# __WALL of <sys/wait.h>.
ALL_THREADS = 0x40000000
AT_CALL = signal.SIGTRAP | 0x80
# Of `prctl`.
SET_PDEATHSIG = 1
# The same: where only ancestors may trace, this permits others.
SET_PTRACER, ANY = 0x59616D61, -1
# At the start of the file in which it counts: calls, nanoseconds of the death, process.
COUNTS = struct.Struct("<3Q")
# To whom.
ANSWER = struct.Struct("<Q")

LIBC = ctypes.CDLL(None)
LIBC.ptrace.argtypes = [ctypes.c_long] * 4


class Tracer:
    """How a worker reaches it: two FIFOs, by their paths."""

    def __init__(self, folder: Path) -> None:
        self._ask, self._answer = folder / "ask", folder / "answer"

    @classmethod
    @contextmanager
    def running(cls, folder: Path) -> Iterator[Tracer]:
        """Start one, for as long as the block runs."""
        tracer = cls(folder)
        paths = (tracer._ask, tracer._answer)
        for path in paths:
            os.mkfifo(path)
        with subprocess.Popen([sys.executable, "-S", __file__, *paths]) as process:
            try:
                yield tracer
            finally:
                process.kill()

    def attach(self, counts: Path, n: int) -> None:
        """Have this process killed at its n-th stop, the returns of system calls counted, too."""
        LIBC.prctl(SET_PTRACER, ANY, 0, 0, 0)
        self._ask.write_text(f"{os.getpid()} {n} {counts}\n")
        with self._answer.open("rb", buffering=0) as answer:
            while answer.read(ANSWER.size) != ANSWER.pack(os.getpid()):
                # Meant for one that died before it had read it.
                pass


def _serve(ask: str, answer: str) -> None:
    LIBC.prctl(SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # So that it never waits for a worker, which cannot go on meanwhile.
    told = os.open(answer, os.O_RDWR)
    while True:
        pid, n, counts = Path(ask).read_text().split(maxsplit=2)
        with Path(counts.rstrip("\n")).open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
            _trace(int(pid), int(n), memory, told)


def _trace(pid: int, n: int, memory: mmap.mmap, told: int) -> None:
    # Not permitted here: nothing is counted.
    if LIBC.ptrace(SEIZE, pid, 0, MARK_CALLS | FOLLOW_THREADS) == -1:
        os.write(told, ANSWER.pack(pid))
        return
    LIBC.ptrace(INTERRUPT, pid, 0, 0)
    calls, is_told = 0, False
    while True:
        thread, status = os.waitpid(-1, ALL_THREADS)
        if not os.WIFSTOPPED(status):
            # A process ends with the last of its threads.
            if thread == pid:
                return
            continue
        stopped_by, event = status >> 8 & 0xFF, status >> 16
        if stopped_by == AT_CALL:
            calls += 1
            COUNTS.pack_into(memory, 0, calls, 0, 0)
            if calls == n:
                where = Path(f"/proc/{pid}/task/{thread}/syscall").read_text().split()[0].encode()
                memory[32 : 32 + len(where)] = where
                COUNTS.pack_into(memory, 0, calls, time.monotonic_ns(), pid)
                os.kill(pid, signal.SIGKILL)
                continue
        passed_on = 0 if stopped_by == AT_CALL or event else stopped_by
        LIBC.ptrace(SYSCALL, thread, 0, passed_on)
        if not is_told:
            os.write(told, ANSWER.pack(pid))
            is_told = True


if __name__ == "__main__":
    _serve(*sys.argv[1:])

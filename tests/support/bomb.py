"""Death of a worker, or a signal to it, at a moment that a test counts out: its n-th line of the library, or call."""

from __future__ import annotations

import mmap
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.context import ForkProcess, ForkServerProcess, SpawnProcess
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType
from typing import Any

import chainpump
from chainpump.executors import start_methods
from support.gate import Gate
from support.ptrace import Tracer

__all__ = ["Bomb"]

LIBRARY = str(Path(chainpump.__file__).parent)
# Words of 8 bytes at the start of the file; then a text: where it died.
CELLS, STEPS, DIED_AT, PID = 4, 0, 1, 2
TEXT_BYTES = 1024


class Bomb:
    """Kills the first process of a name, at its n-th step; those after it live.

    It rests on a file, which outlives who dies, and travels by its path. tracer: counts system calls, instead of lines.
    gate: it does not kill, but announces itself there, and stays at that line until a signal has come. Lines of the
    main thread alone are counted then, since signals are handled there.
    """

    def __init__(self, path: Path, n: int, tracer: Tracer | None = None, gate: Gate | None = None) -> None:
        path.write_bytes(bytes(8 * CELLS + TEXT_BYTES))
        self.__setstate__((path, n, tracer, gate))

    def __getstate__(self) -> tuple[Path, int, Tracer | None, Gate | None]:
        return self._path, self.n, self._tracer, self.gate

    def __setstate__(self, state: tuple[Path, int, Tracer | None, Gate | None]) -> None:
        self._path, self.n, self._tracer, self.gate = state
        with self._path.open("r+b") as file:
            self._memory = memoryview(mmap.mmap(file.fileno(), 0))
        self._cells = self._memory[: 8 * CELLS].cast("Q")

    # ------------------------------------------------------------------------------------- what a test calls

    @contextmanager
    def planted(self, method: start_methods.StartMethod, stage: str) -> Iterator[None]:
        """Have the first worker of a stage carry it, of those that are started inside the block."""
        plain = start_methods.METHODS[method]

        def make(**options: Any) -> BaseProcess:
            if not str(options["name"]).startswith(f"chainpump-{stage}-"):
                return plain.kind(**options)
            doomed = DOOMED[method](**options)
            doomed.bomb = self
            return doomed

        start_methods.METHODS[method] = replace(plain, kind=make)
        try:
            yield
        finally:
            start_methods.METHODS[method] = plain

    @property
    def steps(self) -> int:
        """How many steps there were."""
        return self._cells[STEPS]

    @property
    def died_at(self) -> float | None:
        """When it went off, in seconds of the monotonic clock; None if it has not."""
        return self._cells[DIED_AT] / 1e9 or None

    @property
    def pid(self) -> int:
        """Whom it has killed, or stopped."""
        return self._cells[PID]

    @property
    def where(self) -> str:
        """In front of which step."""
        return self._memory[8 * CELLS :].tobytes().rstrip(b"\0").decode()

    # ------------------------------------------------------------------------------------ what a worker calls

    def arm(self) -> None:
        """Count from here on, in this thread and in those that it starts."""
        if self._cells[DIED_AT]:
            return
        if self._tracer is not None:
            self._tracer.attach(self._path, self.n)
        else:
            if self.gate is None:
                threading.settrace(self._enter)
            sys.settrace(self._enter)

    def _enter(self, frame: FrameType, event: str, argument: Any) -> Callable[..., Any] | None:
        return self._step if frame.f_code.co_filename.startswith(LIBRARY) else None

    def _step(self, frame: FrameType, event: str, argument: Any) -> Callable[..., Any]:
        if event == "line":
            self._cells[STEPS] += 1
            if self._cells[STEPS] == self.n:
                name = frame.f_code.co_filename.removeprefix(LIBRARY)
                self._go_off(f"{name}:{frame.f_lineno} in {frame.f_code.co_qualname}")
        return self._step

    def _go_off(self, where: str) -> None:
        text = where.encode()[:TEXT_BYTES]
        self._memory[8 * CELLS : 8 * CELLS + len(text)] = text
        self._cells[PID], self._cells[DIED_AT] = os.getpid(), time.monotonic_ns()
        if self.gate is None:
            os.kill(os.getpid(), signal.SIGKILL)
        else:
            _wait_for_signal(self.gate)

    @contextmanager
    def inherited(self) -> Iterator[None]:
        """Have processes that are forked inside the block carry it, as soon as descriptors are closed there."""
        INHERITED.append(self)
        try:
            yield
        finally:
            INHERITED.clear()


def _wait_for_signal(gate: Gate) -> None:
    """Announce this process, and wait until a signal has been handled; raises what its handler raises."""
    heard, told = os.pipe2(os.O_NONBLOCK)
    os.set_blocking(heard, True)
    before = signal.set_wakeup_fd(told)
    try:
        gate.announce()
        os.read(heard, 1)
    finally:
        signal.set_wakeup_fd(before)
        os.close(heard)
        os.close(told)


# By the next process that is forked.
INHERITED: list[Bomb] = []
os.register_at_fork(after_in_child=lambda: [bomb.arm() for bomb in INHERITED])


class _DoomedFork(ForkProcess):
    """Inherits its bomb."""

    bomb: Bomb

    def start(self) -> None:
        with self.bomb.inherited():
            super().start()


class _DoomedSpawn(SpawnProcess):
    """Reads its bomb before anything of the library's."""

    bomb: Bomb

    def __reduce__(self) -> Any:
        return _rebuilt, (_Armed(self.bomb), type(self), vars(self))


class _DoomedForkServer(ForkServerProcess):
    """The same."""

    bomb: Bomb

    def __reduce__(self) -> Any:
        return _rebuilt, (_Armed(self.bomb), type(self), vars(self))


DOOMED: dict[start_methods.StartMethod, Any] = {
    "fork": _DoomedFork,
    "spawn": _DoomedSpawn,
    "forkserver": _DoomedForkServer,
}


class _Armed:
    """A bomb that counts as soon as it has been read."""

    def __init__(self, bomb: Bomb) -> None:
        self._bomb = bomb

    def __reduce__(self) -> Any:
        return Bomb.arm, (self._bomb,)


def _rebuilt(_: None, kind: type[BaseProcess], state: dict[str, Any]) -> BaseProcess:
    process = kind.__new__(kind)
    vars(process).update(state)
    return process

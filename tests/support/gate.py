"""`Gate` and `Journal`: how a test meets a worker, and what a worker leaves as evidence, in any process or thread."""

from __future__ import annotations

import os
import select
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

__all__ = ["LIMIT", "WHOLE", "Gate", "Journal"]

T = TypeVar("T")

# Seconds; for every wait of a test. Only a defect comes near it, on a machine however slow and busy.
LIMIT = 60.0
# Seconds; for a program of several interpreters, which takes 1 s alone.
WHOLE = 300.0


class Gate:
    """Holds workers until the test lets them go. It rests on two FIFOs, so it travels to any process by its path.

    The worker says its process id on one FIFO, then waits for a byte on the other. The test's own copy keeps both FIFOs
    open for reading and writing: so nobody ever waits for an opening, and no end of file is ever seen.
    """

    def __init__(self, folder: Path) -> None:
        self._held = folder / "held"
        self._released = folder / "released"
        os.mkfifo(self._held)
        os.mkfifo(self._released)
        self._ends: tuple[int, ...] = tuple(os.open(path, os.O_RDWR) for path in (self._held, self._released))
        self._text = b""

    def __getstate__(self) -> tuple[Path, Path]:
        return self._held, self._released

    def __setstate__(self, state: tuple[Path, Path]) -> None:
        self._held, self._released = state
        self._ends = ()

    @property
    def held(self) -> Path:
        """Where a program that is no Python writes its process id, as a line, to say that it is here."""
        return self._held

    # ------------------------------------------------------------------------------------ what a worker calls

    def hold(self, item: T) -> T:
        """Say that this process is here, wait until the test releases it, and return the item."""
        self.announce()
        self.wait_released()
        return item

    def announce(self) -> None:
        """Say that this process is here, without waiting."""
        # No file object: one that Cancelled cuts off would warn.
        held = os.open(self._held, os.O_WRONLY)
        os.write(held, b"%d\n" % os.getpid())
        os.close(held)

    def wait_released(self) -> None:
        """Wait until the test releases one worker."""
        released = os.open(self._released, os.O_RDONLY)
        try:
            os.read(released, 1)
        finally:
            os.close(released)

    def hold_each(self, items: Iterable[T]) -> Iterator[T]:
        """As a stage: hold at every item."""
        for item in items:
            yield self.hold(item)

    def hold_at(self, items: Iterable[T], place: int) -> Iterator[T]:
        """As a stage: hold at the item in this place, counted from 0, and let the others pass."""
        for index, item in enumerate(items):
            yield self.hold(item) if index == place else item

    # -------------------------------------------------------------------------------------- what a test calls

    def wait_held(self) -> int:
        """Wait until a worker is inside; returns its process id. Each worker is told of once."""
        held = self._ends[0]
        while b"\n" not in self._text:
            ready, _, _ = select.select([held], [], [], LIMIT)
            assert ready, f"no worker came to the gate within {LIMIT:g} s"
            self._text += os.read(held, 4096)
        pid, _, self._text = self._text.partition(b"\n")
        return int(pid)

    def release(self, workers: int = 1) -> None:
        """Let this many workers go, those that are held or those that come."""
        os.write(self._ends[1], b"!" * workers)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        ends, self._ends = self._ends, ()
        for end in ends:
            os.close(end)


class Journal:
    """Lines that workers leave for the test, in the order in which they were written.

    The kernel appends whole lines, so the order is one order over all processes and threads.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        path.touch()

    def write(self, line: object) -> None:
        """Append a line."""
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(file, f"{line}\n".encode())
        finally:
            os.close(file)

    @property
    def lines(self) -> list[str]:
        """All lines so far."""
        return self._path.read_text().splitlines()

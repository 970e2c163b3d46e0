"""What a worker has in hand, where its successor finds it: for workers that are replaced when they die.

The kernel writes each frame straight into memory that outlives the worker, and the worker records there how much of it
has been dealt with and sent. So nothing is lost between the channel and the worker, whatever it dies of.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Sequence
from typing import NamedTuple

from .descriptors import Descriptor
from .system import shared_file

__all__ = ["Checkpoint", "Position"]

POSITION = struct.Struct("<5Q")


class Position(NamedTuple):
    """Where a successor goes on: at which entry of the frame, and with which counts of the board."""

    entry: int = 0
    # Before the frame.
    received: int = 0
    sent: int = 0
    skipped: int = 0
    dead: int = 0


class Checkpoint:
    """A position and a packet in shared memory; pickling it for a worker hands the descriptor over.

    The packet begins with a byte that is 0 where there is none: no frame does.
    """

    def __init__(self, nbytes: int) -> None:
        self._nbytes = POSITION.size + nbytes
        # There is room when a frame arrives.
        self._file = shared_file("chainpump-checkpoint", self._nbytes, reserved=True)
        self._open()

    def _open(self) -> None:
        self._memory = memoryview(mmap.mmap(self._file.fileno(), self._nbytes))
        self.packet = self._memory[POSITION.size :]

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """The descriptors that a forked worker keeps open."""
        return (self._file,)

    @property
    def is_empty(self) -> bool:
        """Whether there is no frame, or all of it has been dealt with."""
        return self.packet[0] == 0

    @property
    def position(self) -> Position:
        """How far the frame has been dealt with."""
        return Position(*POSITION.unpack_from(self._memory))

    def put_position(self, position: Position) -> None:
        """All entries before the position have been sent."""
        self._memory[: POSITION.size] = POSITION.pack(*position)

    def clear(self) -> None:
        """The frame has been dealt with."""
        self.packet[0] = 0

    def dup(self) -> Checkpoint:
        """The same memory behind descriptors of the caller's own."""
        twin = Checkpoint.__new__(Checkpoint)
        twin.__setstate__((self._nbytes, self._file.dup()))
        return twin

    def close(self) -> None:
        """Close the descriptor; the memory goes with the last view of it."""
        self._file.close()

    def __getstate__(self) -> tuple[int, Descriptor]:
        return self._nbytes, self._file

    def __setstate__(self, state: tuple[int, Descriptor]) -> None:
        self._nbytes, self._file = state
        self._open()

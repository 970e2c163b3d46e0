"""The checkpoint of a worker that is replaced when it dies: its current frame and its position in it.

The kernel writes each frame directly into memory that outlives the worker. The worker records there how many items of
the frame it has processed and sent. So no item is lost between the channel and the worker, however the worker dies.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Sequence
from typing import NamedTuple

from .board import Cell
from .descriptors import Descriptor
from .system import shared_file

__all__ = ["Checkpoint", "Position"]

POSITION = struct.Struct("<7Q")
# The counts of the board that a position holds, in its order.
COUNTS = (Cell.RECEIVED, Cell.SENT, Cell.SKIPPED, Cell.DEAD, Cell.SKIPPED_PARTS, Cell.DEAD_PARTS)


class Position(NamedTuple):
    """Where a replacement continues: at which entry of the frame, and with which counts of the board."""

    entry: int = 0
    # The number of items that the worker has received before this frame.
    received: int = 0
    sent: int = 0
    skipped: int = 0
    dead: int = 0
    skipped_parts: int = 0
    dead_parts: int = 0

    @classmethod
    def of(cls, row: memoryview, entry: int) -> Position:
        """A position with the counts of a row."""
        skipped, dead = row[Cell.SKIPPED], row[Cell.DEAD]
        parts = row[Cell.SKIPPED_PARTS], row[Cell.DEAD_PARTS]
        return cls(entry, row[Cell.RECEIVED], row[Cell.SENT], skipped, dead, *parts)


class Checkpoint:
    """A position and a packet in shared memory. Pickling it for a worker passes the descriptor to the worker.

    The first byte of the packet is 0 if there is no frame; no frame begins with 0.
    """

    def __init__(self, nbytes: int) -> None:
        self._nbytes = POSITION.size + nbytes
        # The memory is reserved, so that a frame always has room when it arrives.
        self._file = shared_file("chainpump-checkpoint", self._nbytes, reserved=True)
        self._open()

    def _open(self) -> None:
        self._memory = memoryview(mmap.mmap(self._file.fileno(), self._nbytes))
        self.packet = self._memory[POSITION.size :]

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """Return the descriptors that a forked worker must keep."""
        return (self._file,)

    @property
    def is_empty(self) -> bool:
        """Return whether there is no frame, or the whole frame has been processed."""
        return self.packet[0] == 0

    @property
    def position(self) -> Position:
        """Return the position up to which the frame has been processed."""
        return Position(*POSITION.unpack_from(self._memory))

    def put_position(self, position: Position) -> None:
        """Record that all entries before this position have been sent."""
        self._memory[: POSITION.size] = POSITION.pack(*position)

    def restore_counts(self, row: memoryview) -> None:
        """Let a worker continue with the counts of its predecessor. row: its cells of the board."""
        if self.is_empty:
            self.put_position(Position.of(row, 0))
        else:
            for cell, value in zip(COUNTS, self.position[1:], strict=True):
                row[cell] = value

    def clear(self) -> None:
        """Mark the frame as processed."""
        self.packet[0] = 0

    def dup(self) -> Checkpoint:
        """Return the same memory with new descriptors, which the caller owns."""
        twin = Checkpoint.__new__(Checkpoint)
        twin.__setstate__((self._nbytes, self._file.dup()))
        return twin

    def close(self) -> None:
        """Close the descriptor. The memory is freed with its last view."""
        self._file.close()

    def __getstate__(self) -> tuple[int, Descriptor]:
        return self._nbytes, self._file

    def __setstate__(self, state: tuple[int, Descriptor]) -> None:
        self._nbytes, self._file = state
        self._open()

"""A board for the tests of this folder."""

from __future__ import annotations

import pytest

from chainpump.transport.board import Board


class PrivateBoard(Board):
    """A board in this process's own memory: nothing to share, nothing to close."""

    def _open(self) -> None:
        self._cells = memoryview(bytearray(8 * self._length)).cast("Q")

    def __init__(self, workers: int, junctions: int, stages: int) -> None:
        self._sizes = (workers, junctions, stages)
        self._open()


@pytest.fixture
def board() -> Board:
    """A board for two workers, one junction between them, in two stages."""
    return PrivateBoard(2, 1, 2)

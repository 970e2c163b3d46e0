"""A board, and a file with pipelines in it, for the tests of this folder."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chainpump.ipc.board import Board

MODULE = """
from chainpump import Pipeline, sink

class nightly:
    ingest = Pipeline([1, 2]).into(sink(sum))

numbers = Pipeline([1, 2, 3])

def make():
    return numbers

limit = 3
"""


class PrivateBoard(Board):
    """A board in this process's own memory: nothing to share, nothing to close."""

    def _open(self) -> None:
        self._cells = memoryview(bytearray(8 * self._length)).cast("Q")
        self._views = {}

    def __init__(self, workers: int, junctions: int, stages: int) -> None:
        self._sizes = (workers, junctions, stages)
        self._open()


@pytest.fixture
def board() -> Board:
    """A board for two workers, one junction between them, in two stages."""
    return PrivateBoard(2, 1, 2)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file with pipelines in it, in the current directory; what importing it changes is undone."""
    path = tmp_path / "cli_target.py"
    path.write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, path.stem, raising=False)
    yield path
    sys.modules.pop(path.stem, None)

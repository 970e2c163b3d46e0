"""Large arguments of functions: the same to every worker, wherever it runs, and in memory once."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chainpump import Pipeline, Processes
from chainpump.ipc.system import is_portable
from chainpump.pickling.shared_functions import MEMORY
from faults.places import PROCESSES, on
from support.gate import Gate

LARGE = 1 << 20


class Scale:
    """A table that its function writes into, as one that normalises or caches does."""

    def __init__(self, table: Any) -> None:
        self.table = table

    def __call__(self, item: int) -> int:
        self.table[item] += item
        return int(self.table[item])


class Dies:
    """The same, but once it dies."""

    def __init__(self, table: Any, gate: Gate) -> None:
        self.scale, self.gate = Scale(table), gate

    def __call__(self, item: int) -> int:
        return self.scale(self.gate.hold(item) if item == 1 else item)


@pytest.mark.parametrize("place", PROCESSES)
def test_workers_may_write_into_arrays_among_the_arguments_and_nobody_else_sees_it(place: str) -> None:
    table = np.zeros(LARGE, dtype="i8")
    assert list(Pipeline(range(50)).map(Scale(table), on=on(place, 2))) == list(range(50))
    assert not table.any()


def test_successor_has_the_arguments_as_they_were(gate: Gate) -> None:
    table = np.zeros(LARGE, dtype="i8")
    with Pipeline(range(10)).map(Dies(table, gate), on=Processes(1, restarts=1)).open() as run:
        items = iter(run)
        assert next(items) == 0
        os.kill(gate.wait_held(), signal.SIGKILL)
        # Its successor is there.
        gate.wait_held()
        gate.release()
        assert list(items) == list(range(1, 10))


def open_here() -> list[Path]:
    targets = [path.readlink() for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    return [target for target in targets if str(target).startswith(f"/memfd:{MEMORY}")]


@pytest.mark.skipif(is_portable(), reason="only the memory of Linux has a name")
def test_main_process_drops_what_it_has_sent_its_workers(gate: Gate) -> None:
    scale = Dies(np.zeros(LARGE, dtype="i8"), gate)
    with Pipeline(range(10)).map(scale, on=Processes(2)).open() as run:
        gate.wait_held()
        assert open_here() == []
        gate.release()
        assert list(run) == list(range(10))
    with Pipeline(range(10)).map(scale, on=Processes(1, restarts=1)).open() as run:
        gate.wait_held()
        # For a successor.
        assert open_here() != []
        gate.release()
        assert list(run) == list(range(10))
    assert open_here() == []

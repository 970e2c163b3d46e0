"""Views of large items that are kept once their run is over: they keep their own memory, and no more."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chainpump import Pipeline, source
from faults.places import PROCESSES, on

MIB = 1 << 20
# The latter on the portable transport, among others.
SLABS = ("/memfd:chainpump-slabs", "/dev/shm/#")


def arrays(count: int) -> Iterator[Any]:
    """Arrays of 1 MB."""
    for n in range(count):
        yield np.full(MIB // 8, n)


def held() -> int:
    """Bytes of slabs that this process has: each mapping has a descriptor."""
    found = {}
    for path in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            if str(path.readlink()).startswith(SLABS):
                status = path.stat()
                found[status.st_dev, status.st_ino] = status.st_blocks * 512
    return sum(found.values())


@pytest.mark.parametrize("place", PROCESSES)
def test_one_view_of_each_of_several_runs_keeps_nothing_else_of_them(place: str) -> None:
    before = held()
    kept = [view for _ in range(2) for view in deque(Pipeline(source(arrays, 12), on=on(place)), maxlen=1)]
    assert 2 * MIB <= held() - before <= 2 * MIB + 65_536
    assert [view[-1] for view in kept] == [11, 11]
    del kept[0]
    assert MIB <= held() - before <= MIB + 65_536
    kept.clear()
    assert held() - before <= 65_536


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_view_that_a_fork_has_as_well_keeps_its_items_there() -> None:
    kept = list(Pipeline(source(arrays, 2), on=on("forkserver")))
    dropped, drop = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(drop)
        os.read(dropped, 1)
        os._exit(int(kept[1].sum()) != MIB // 8)
    kept.clear()
    os.close(drop)
    os.close(dropped)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

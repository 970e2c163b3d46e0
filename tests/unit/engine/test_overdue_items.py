"""The time limit of an item is about that item alone: a worker that has finished it meanwhile goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from chainpump.engine import replacement
from chainpump.engine.worker_slot import ReplacementRecord
from chainpump.ipc.board import Board, Cell

TIMEOUT = 3.0


@pytest.fixture
def slot() -> Iterator[Any]:
    """What `replacement` looks at of a slot."""
    board = Board(1, 1, 1)
    group = SimpleNamespace(replaceable=SimpleNamespace(timeout=TIMEOUT))
    yield SimpleNamespace(group=group, rows=[board.row(0)], replacements=ReplacementRecord())
    board.release(with_views=True)


class Struck:
    """A worker, and how often it was struck."""

    def __init__(self) -> None:
        self.times = 0
        self.handle = self

    def strike(self) -> None:
        self.times += 1


def begin(slot: Any, item: int, ago: float) -> int:
    """The worker of the slot has begun an item some seconds ago."""
    row = slot.rows[0]
    row[Cell.ITEM], row[Cell.SINCE] = item, time.monotonic_ns() - int(ago * 1e9)
    return int(row[Cell.SINCE])


def test_an_item_is_overdue_once(slot: Any) -> None:
    begin(slot, 4, ago=2 * TIMEOUT)
    assert replacement.is_overdue(slot)
    assert not replacement.is_overdue(slot)
    assert replacement.due(slot) is None


def test_an_item_that_is_in_time_is_not_overdue(slot: Any) -> None:
    since = begin(slot, 4, ago=0)
    assert not replacement.is_overdue(slot)
    assert replacement.due(slot) == since / 1e9 + TIMEOUT


def test_a_worker_that_has_finished_the_item_is_not_struck(slot: Any) -> None:
    worker: Any = Struck()
    begin(slot, 4, ago=2 * TIMEOUT)
    assert replacement.is_overdue(slot)
    begin(slot, 5, ago=0)
    replacement.kill_if_overdue(slot, worker)
    assert worker.times == 0


def test_a_worker_that_was_spared_is_struck_for_a_later_item(slot: Any) -> None:
    """On another machine, it may have finished the item before it was to be struck."""
    worker: Any = Struck()
    begin(slot, 4, ago=2 * TIMEOUT)
    assert replacement.is_overdue(slot)
    replacement.kill_if_overdue(slot, worker)
    since = begin(slot, 5, ago=0)
    assert not replacement.is_overdue(slot)
    assert replacement.due(slot) == since / 1e9 + TIMEOUT
    begin(slot, 5, ago=2 * TIMEOUT)
    assert replacement.is_overdue(slot)
    replacement.kill_if_overdue(slot, worker)
    assert worker.times == 2

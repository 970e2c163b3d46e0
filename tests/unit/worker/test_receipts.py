"""Receipts for dead letters: a worker waits until all have been taken, or until it is cancelled."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from chainpump.errors import Cancelled
from chainpump.ipc import wait_times
from chainpump.ipc.board import Board, Cell
from chainpump.ipc.system import VARIABLE
from chainpump.worker.receipts import ON_THEIR_WAY, ReceiptGiver
from support.gate import LIMIT
from support.processes import until


class Ends:
    """Both ends for the worker of row 1."""

    def __init__(self) -> None:
        self.board = Board(2, 0, 0)
        self.row = self.board.row(1)
        # A worker before it had letters, too.
        self.row[Cell.LETTERS] = 7
        self.giver = ReceiptGiver(self.row)
        self.receipts = self.giver.receipts()
        self.receipts.open(self.board, 1)
        self.is_over = self.was_cancelled = False

    def waiting(self) -> threading.Thread:
        """A thread that waits as the worker does."""
        thread = threading.Thread(target=self._wait)
        thread.start()
        until(lambda: wait_times.is_waiting(self.row, Cell.BLOCKED), "the worker waits")
        return thread

    def _wait(self) -> None:
        try:
            self.receipts.wait(lambda: self.is_over)
        except Cancelled:
            self.was_cancelled = True


@pytest.fixture(params=["linux", "portable"])
def ends(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ends]:
    monkeypatch.setenv(VARIABLE, request.param)
    ends = Ends()
    yield ends
    ends.receipts.close()
    ends.giver.close()
    ends.board.release(with_views=True)


def test_without_letters_nobody_waits(ends: Ends) -> None:
    ends.receipts.wait(lambda: False)


def test_a_worker_waits_for_its_last_letter(ends: Ends) -> None:
    for _ in range(2):
        ends.receipts.expect()
    thread = ends.waiting()
    ends.giver.taken(1)
    assert thread.is_alive()
    ends.giver.taken(2)
    thread.join(LIMIT)
    assert not thread.is_alive()
    # And not again.
    ends.receipts.wait(lambda: False)
    assert not wait_times.is_waiting(ends.row, Cell.BLOCKED)


def test_more_letters_than_a_pipe_has_room_for_are_counted(ends: Ends) -> None:
    for _ in range(20_000):
        ends.receipts.expect()
    for count in range(20_000):
        ends.giver.taken(count + 1)
    ends.receipts.wait(lambda: False)


def test_a_worker_that_is_cancelled_does_not_wait_on(ends: Ends) -> None:
    ends.receipts.expect()
    thread = ends.waiting()
    ends.is_over = True
    ends.giver.wake()
    thread.join(LIMIT)
    assert ends.was_cancelled


def test_a_worker_may_have_only_so_many_letters_on_their_way(ends: Ends) -> None:
    for _ in range(ON_THEIR_WAY):
        assert not ends.receipts.are_too_many
        ends.receipts.expect()
    assert ends.receipts.are_too_many
    ends.giver.taken(1)
    assert not ends.receipts.are_too_many

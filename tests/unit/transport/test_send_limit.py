"""The limit of sending ahead, moved by a worker of another machine: only its copy on the board arrives here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chainpump.ipc.board import Board, Cell
from chainpump.transport.frames import Span
from chainpump.transport.send_limit import Gate, Gates, Limit
from support.threads import meanwhile

WAITING, RESTORING = 0, 1


@pytest.fixture
def sides() -> Iterator[tuple[Board, Gate, Limit]]:
    """A worker that waits, and what wakes it for a limit of another machine."""
    board, gates = Board(2, 1, 2), Gates(RESTORING, [WAITING], least=4)
    gates.begin(board)
    gate, limit = gates.sending(WAITING), gates.returning()
    assert gate is not None
    gate.open(board)
    limit.open(board)
    yield board, gate, limit
    for each in (gate, limit, gates):
        each.close()
    board.release(with_views=True)


def test_a_limit_that_arrives_wakes_who_may_send_now(sides: tuple[Board, Gate, Limit]) -> None:
    board, gate, limit = sides
    assert not gate.may_send(Span(500, 510))
    with meanwhile(gate.wait) as waiting:
        board.row(RESTORING)[Cell.LIMIT] = 501
        limit.wake()
        waiting.result()
    assert gate.may_send(Span(500, 510))
    assert board.row(WAITING)[Cell.WAITS_FOR] == 0


def test_a_limit_that_is_too_low_wakes_nobody_and_is_not_changed(sides: tuple[Board, Gate, Limit]) -> None:
    board, gate, limit = sides
    assert not gate.may_send(Span(500, 510))
    board.row(RESTORING)[Cell.LIMIT] = 500
    limit.wake()
    assert board.row(WAITING)[Cell.WAITS_FOR] == 2 * 501
    assert board.row(RESTORING)[Cell.LIMIT] == 500


def test_parts_of_an_item_have_a_limit_of_their_own(sides: tuple[Board, Gate, Limit]) -> None:
    board, gate, limit = sides
    assert not gate.may_send(Span(0, 9, prefix=(500,)))
    board.row(RESTORING)[Cell.LIMIT] = 600
    limit.wake()
    assert board.row(WAITING)[Cell.WAITS_FOR] == 2 * 501 + 1
    board.row(RESTORING)[Cell.LIMIT_OF_PARTS] = 501
    limit.wake()
    gate.wait()
    assert gate.may_send(Span(0, 9, prefix=(500,)))

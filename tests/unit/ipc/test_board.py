"""The shared mapping on which workers say how far they are."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from chainpump.ipc.board import Board, Cell, State

WORKERS, JUNCTIONS, STAGES = 3, 2, 3


@pytest.fixture
def board() -> Iterator[Board]:
    board = Board(WORKERS, JUNCTIONS, STAGES)
    yield board
    board.release(with_views=True)


def test_everything_starts_at_zero(board: Board) -> None:
    assert all(not any(board.row(worker)) for worker in range(WORKERS))
    assert [board.hint(junction)[0] for junction in range(JUNCTIONS)] == [0] * JUNCTIONS
    assert [board.flag(stage)[0] for stage in range(STAGES)] == [0] * STAGES
    assert board.row(0)[Cell.STATE] == State.STARTING


def test_no_two_cells_share_a_place(board: Board) -> None:
    views = [board.row(worker) for worker in range(WORKERS)]
    views += [board.hint(junction) for junction in range(JUNCTIONS)]
    views += [board.flag(stage) for stage in range(STAGES)]
    for number, view in enumerate(views, start=1):
        for cell in range(len(view)):
            view[cell] = number
    assert [set(view) for view in views] == [{number} for number in range(1, len(views) + 1)]


def test_a_row_has_room_for_every_cell(board: Board) -> None:
    assert len(board.row(0)) > max(cell for name, cell in vars(Cell).items() if name.isupper())


def test_views_of_one_cell_see_each_other(board: Board) -> None:
    board.row(1)[Cell.SENT] = 2**64 - 1
    assert board.row(1)[Cell.SENT] == 2**64 - 1


@pytest.mark.parametrize(
    "states,done",
    [
        ((State.DONE, State.DONE), True),
        ((State.DONE, State.STOPPED), True),
        ((State.DONE, State.RUNNING), False),
        ((State.STARTING, State.DONE), False),
    ],
)
def test_all_are_done_when_each_has_said_so(board: Board, states: tuple[State, State], done: bool) -> None:
    for worker, state in enumerate(states):
        board.row(worker)[Cell.STATE] = state
    assert board.all_done(range(2)) is done


def test_nobody_to_ask_is_done(board: Board) -> None:
    assert board.all_done(())


def test_rows_outlive_the_descriptor(board: Board) -> None:
    row = board.row(0)
    board.close()
    row[Cell.SENT] = 7
    assert row[Cell.SENT] == 7


def test_a_worker_that_maps_the_descriptor_sees_the_same_cells(board: Board) -> None:
    sizes, file = board.__getstate__()
    theirs = Board.__new__(Board)
    theirs.__setstate__((sizes, file.dup()))
    theirs.row(2)[Cell.RECEIVED] = 5
    assert board.row(2)[Cell.RECEIVED] == 5
    theirs.close()


def test_the_descriptor_is_not_inherited_by_other_programs(board: Board) -> None:
    (file,) = board.descriptors
    assert not os.get_inheritable(file.fileno())

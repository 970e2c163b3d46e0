"""Batch sizes are kept for the same stages, and for a bounded number of chains."""

from collections.abc import Iterator

import pytest

from chainpump import Inline, Pipeline
from chainpump.engine.kept_hints import MOST, KeptHints
from chainpump.ipc.board import Board


@pytest.fixture
def board() -> Iterator[Board]:
    made = Board(2, 2, 3)
    yield made
    made.release(with_views=True)


def stages(function=abs, items=(1, 2)):
    return Pipeline(items).map(function, on=Inline()).plan().stages


def remembered(board: Board, kept: KeptHints, chain) -> list[int]:
    board.hint(0)[0] = board.hint(1)[0] = 0
    kept.recall(chain, board)
    return [board.hint(0)[0], board.hint(1)[0]]


def test_same_functions_find_the_hints_of_the_last_run_whatever_the_items_are(board: Board) -> None:
    kept = KeptHints()
    board.hint(0)[0], board.hint(1)[0] = 7, 9
    kept.remember(stages(), board, 2)
    assert remembered(board, kept, stages(items=(3, 4, 5))) == [7, 9]
    assert remembered(board, kept, stages(str)) == [0, 0]


def test_run_that_has_found_nothing_leaves_the_hints_of_the_run_before(board: Board) -> None:
    kept = KeptHints()
    board.hint(0)[0] = 7
    kept.remember(stages(), board, 2)
    board.hint(0)[0] = 0
    kept.remember(stages(), board, 2)
    assert remembered(board, kept, stages()) == [7, 0]


def test_number_of_chains_is_bounded(board: Board) -> None:
    kept = KeptHints()
    board.hint(0)[0] = 7
    for number in range(MOST + 5):
        kept.remember(stages(lambda _, number=number: number), board, 2)
    assert len(vars(kept)["_hints"]) == MOST

"""Where the order of items is restored: what passes, and how much room is given back for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from chainpump.ipc.board import Board, Cell
from chainpump.transport.credits import CreditReturn, Credits
from chainpump.transport.flow import FIRST_ITEMS, HELD_BYTES, MAX_WINDOW
from chainpump.transport.frames import Frame, Span
from chainpump.transport.reorder_buffer import ReorderBuffer
from chainpump.transport.send_limit import Gate, Gates

LEAST = 16


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def gates(stack: ExitStack, board: Board) -> Gates:
    """Of worker 0, whose items worker 1 puts in order."""
    gates = Gates(1, [0], LEAST)
    gates.begin(board)
    stack.callback(gates.close)
    return gates


@pytest.fixture
def gate(stack: ExitStack, gates: Gates, board: Board) -> Gate:
    gate = gates.sending(0)
    assert gate is not None
    gate.open(board)
    stack.callback(gate.close)
    return gate


@pytest.fixture
def reorder_buffer(stack: ExitStack, gates: Gates, board: Board) -> ReorderBuffer:
    reorder_buffer = ReorderBuffer(gates.returning())
    reorder_buffer.open(board)
    stack.callback(reorder_buffer.close)
    return reorder_buffer


@pytest.fixture
def credits(stack: ExitStack) -> Credits:
    credits = Credits.of(0)
    stack.callback(credits.close)
    return credits


def push(reorder_buffer: ReorderBuffer, start: int, stop: int, nbytes: int = 0) -> None:
    reorder_buffer.push(Frame(0, Span(start, stop), list(range(start, stop)), nbytes=nbytes))


def taken(reorder_buffer: ReorderBuffer) -> list[list[int]]:
    """The entries of the frames whose turn it is."""
    frames = []
    while (frame := reorder_buffer.next()) is not None:
        frames.append(frame.entries)
    return frames


def taken_credits(credits: Credits) -> int:
    """Take all credits and return their number."""
    count = 0
    while credits.take():
        count += 1
    return count


def ahead(reorder_buffer: ReorderBuffer, board: Board) -> int:
    """How many items may be under way beyond those that have passed."""
    reorder_buffer.release()
    return board.row(1)[Cell.LIMIT] - reorder_buffer.passed


def pass_frames(reorder_buffer: ReorderBuffer, start: int, frames: int, each: int, nbytes: int) -> int:
    """Some frames come and are finished; returns the number of the next item."""
    for number in range(start, start + frames * each, each):
        push(reorder_buffer, number, number + each, nbytes)
        taken(reorder_buffer)
    reorder_buffer.release()
    return start + frames * each


def test_frames_pass_in_their_turn(reorder_buffer: ReorderBuffer) -> None:
    push(reorder_buffer, 2, 4)
    assert reorder_buffer.next() is None
    assert reorder_buffer.passed == 0
    push(reorder_buffer, 0, 2)
    assert taken(reorder_buffer) == [[0, 1], [2, 3]]
    assert reorder_buffer.passed == 4


def test_an_item_has_passed_only_with_all_its_parts(reorder_buffer: ReorderBuffer) -> None:
    reorder_buffer.push(Frame(0, Span(0, 2, (0,)), ["a", "b"]))
    assert taken(reorder_buffer) == [["a", "b"]]
    assert reorder_buffer.passed == 0
    reorder_buffer.push(Frame(0, Span(2, 2, (0,), last=True), []))
    assert taken(reorder_buffer) == [[]]
    assert reorder_buffer.passed == 1


# --------------------------------------------------------------------------------------------------------- limit


def test_many_small_items_may_be_under_way(reorder_buffer: ReorderBuffer, board: Board) -> None:
    pass_frames(reorder_buffer, 0, 40, 1_000, nbytes=8_000)
    assert ahead(reorder_buffer, board) == MAX_WINDOW


@pytest.mark.parametrize("least,expected", [(LEAST, FIRST_ITEMS), (1_000, 1_000)], ids=["few workers", "many workers"])
def test_before_anything_has_come_few_items_may_be_under_way(
    board: Board, stack: ExitStack, least: int, expected: int
) -> None:
    gates = Gates(1, [0], least)
    stack.callback(gates.close)
    gates.begin(board)
    assert board.row(1)[Cell.LIMIT] == board.row(1)[Cell.LIMIT_OF_PARTS] == expected
    reorder_buffer = ReorderBuffer(gates.returning())
    stack.callback(reorder_buffer.close)
    reorder_buffer.open(board)
    reorder_buffer.release()
    assert board.row(1)[Cell.LIMIT] == board.row(1)[Cell.LIMIT_OF_PARTS] == expected


def test_at_first_room_grows_with_what_has_come_so_that_each_time_more_is_under_way(
    reorder_buffer: ReorderBuffer, board: Board
) -> None:
    under_way = []
    for number in (0, 10, 100, 1_000):
        under_way.append(ahead(reorder_buffer, board))
        push(reorder_buffer, number, 10 * number or 10)
        taken(reorder_buffer)
    assert under_way == [FIRST_ITEMS + 2 * arrived for arrived in (0, 10, 100, 1_000)]


def test_small_items_behind_a_slow_first_one_do_not_wait_for_it(reorder_buffer: ReorderBuffer, board: Board) -> None:
    for number in range(1, MAX_WINDOW, 1_000):
        assert board.row(1)[Cell.LIMIT] > number
        push(reorder_buffer, number, number + 1_000)
        reorder_buffer.release()
    assert reorder_buffer.passed == 0
    assert board.row(1)[Cell.LIMIT] == MAX_WINDOW


def test_items_under_way_are_bounded_by_the_bytes_that_they_will_take(
    reorder_buffer: ReorderBuffer, board: Board
) -> None:
    pass_frames(reorder_buffer, 0, 100, 10, nbytes=10 * 65_536)
    assert HELD_BYTES // 65_536 <= ahead(reorder_buffer, board) <= 1.01 * HELD_BYTES // 65_536


def test_there_is_always_room_for_what_keeps_the_workers_busy(reorder_buffer: ReorderBuffer, board: Board) -> None:
    pass_frames(reorder_buffer, 0, 50, 4, nbytes=40 * HELD_BYTES)
    assert ahead(reorder_buffer, board) == LEAST


def test_when_items_become_large_the_limit_follows_at_once_and_takes_room_back(
    reorder_buffer: ReorderBuffer, board: Board
) -> None:
    number = pass_frames(reorder_buffer, 0, 20, 1_000, nbytes=8_000)
    # Too early.
    push(reorder_buffer, number + 1, number + 2, nbytes=1 << 20)
    assert ahead(reorder_buffer, board) <= 2 * HELD_BYTES >> 20
    push(reorder_buffer, number + 2, number + 3, nbytes=HELD_BYTES)
    assert ahead(reorder_buffer, board) == LEAST


def test_what_has_waited_for_its_turn_makes_room_again(reorder_buffer: ReorderBuffer, board: Board) -> None:
    for number in range(1, 11):
        push(reorder_buffer, number, number + 1, nbytes=HELD_BYTES // 10)
    assert ahead(reorder_buffer, board) == LEAST
    push(reorder_buffer, 0, 1)
    # A second time, by a successor.
    push(reorder_buffer, 5, 6, nbytes=HELD_BYTES)
    taken(reorder_buffer)
    pass_frames(reorder_buffer, 11, 20, 1_000, nbytes=0)
    assert ahead(reorder_buffer, board) > 1_000


def test_what_an_item_has_become_counts_rather_than_its_pickle(reorder_buffer: ReorderBuffer, board: Board) -> None:
    reorder_buffer.push(Frame(0, Span(1, 2), [bytes(2 * HELD_BYTES)], nbytes=100))
    assert ahead(reorder_buffer, board) == LEAST


def waits(gate: Gate, *spans: Span) -> list[bool]:
    return [not gate.may_send(span) for span in spans]


def test_parts_of_an_item_wait_for_its_turn_while_much_is_held(
    reorder_buffer: ReorderBuffer, gate: Gate, board: Board
) -> None:
    push(reorder_buffer, 1, 2, nbytes=HELD_BYTES)
    reorder_buffer.release()
    assert waits(gate, Span(0, 9, (0,)), Span(2, 3), Span(0, 9, (2,)), Span(LEAST, LEAST + 1)) == [0, 0, 1, 1]


def test_whoever_waits_is_woken_when_its_turn_has_come_close_and_not_before(
    reorder_buffer: ReorderBuffer, gate: Gate, board: Board
) -> None:
    push(reorder_buffer, 1, 2, nbytes=HELD_BYTES)
    reorder_buffer.release()
    assert waits(gate, Span(LEAST, LEAST + 1)) == [True]
    reorder_buffer.release()
    assert board.row(0)[Cell.WAITS_FOR]
    push(reorder_buffer, 0, 1)
    taken(reorder_buffer)
    reorder_buffer.release()
    assert not board.row(0)[Cell.WAITS_FOR]
    gate.wait()
    assert waits(gate, Span(LEAST, LEAST + 1)) == [False]


def test_who_was_woken_is_woken_even_if_the_limit_has_gone_down_again(
    gates: Gates, reorder_buffer: ReorderBuffer, board: Board, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(reorder_buffer, 1, 2, nbytes=HELD_BYTES)
    reorder_buffer.release()
    gate = gates.sending(0)
    assert gate is not None
    stack.callback(gate.close)
    gate.open(board)

    class Own:
        def __setitem__(self, cell: int, value: int) -> None:
            board.row(0)[cell] = value
            if value:
                push(reorder_buffer, 0, 1)
                # Small ones: the limit goes up.
                pass_frames(reorder_buffer, 2, 20, 10, nbytes=0)
                push(reorder_buffer, 400, 401, nbytes=HELD_BYTES)
                reorder_buffer.release()

    monkeypatch.setattr(gate, "_own", Own())
    assert waits(gate, Span(300, 301)) == [True]
    assert woken(gate.wait)


def woken(wait: Callable[[], None]) -> bool:
    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    thread.join(5)
    return not thread.is_alive()


# -------------------------------------------------------------------------------------------------------- credits


def test_credits_are_exact_and_a_limit_is_not(reorder_buffer: ReorderBuffer, credits: Credits) -> None:
    assert ReorderBuffer(CreditReturn(credits)).is_exact
    assert not reorder_buffer.is_exact


def test_each_item_gives_its_credit_back_once(credits: Credits) -> None:
    reorder_buffer = ReorderBuffer(CreditReturn(credits))
    push(reorder_buffer, 0, 5)
    taken(reorder_buffer)
    given = []
    for release in (
        lambda: reorder_buffer.release(1),
        lambda: reorder_buffer.release(1),
        lambda: reorder_buffer.release(3),
    ):
        release()
        given.append(taken_credits(credits))
    reorder_buffer.release()
    given.append(taken_credits(credits))
    reorder_buffer.release()
    reorder_buffer.release(2)
    given.append(taken_credits(credits))
    assert given == [1, 0, 2, 2, 0]


def test_items_that_came_to_nothing_give_their_credits_back(credits: Credits) -> None:
    reorder_buffer = ReorderBuffer(CreditReturn(credits))
    reorder_buffer.push(Frame(0, Span(0, 9), []))
    taken(reorder_buffer)
    reorder_buffer.release()
    assert taken_credits(credits) == 9


def test_an_item_in_pieces_gives_one_credit_back(credits: Credits) -> None:
    reorder_buffer = ReorderBuffer(CreditReturn(credits))
    given = []
    for frame in (
        Frame(0, Span(0, 100, (0,)), [None] * 100),
        Frame(0, Span(100, 110, (0,)), [None] * 10),
        Frame(0, Span(110, 110, (0,), last=True), []),
    ):
        reorder_buffer.push(frame)
        taken(reorder_buffer)
        reorder_buffer.release()
        given.append(taken_credits(credits))
    assert given == [0, 0, 1]


def test_a_frame_that_comes_twice_gives_its_credits_back_once(credits: Credits) -> None:
    reorder_buffer = ReorderBuffer(CreditReturn(credits))
    for _ in range(3):
        push(reorder_buffer, 0, 4)
        taken(reorder_buffer)
        reorder_buffer.release()
    assert taken_credits(credits) == 4


# ------------------------------------------------------------------------------------------------------ its ends


def test_a_reorder_buffer_owns_its_credits() -> None:
    kept = Credits.of(LEAST)
    reorder_buffer = ReorderBuffer(CreditReturn(kept.dup()))
    (descriptor,) = reorder_buffer.descriptors
    assert descriptor.fileno() != kept.descriptors[0].fileno()
    reorder_buffer.close()
    reorder_buffer.close()
    assert kept.take()
    kept.close()


def test_a_reorder_buffer_travels_as_it_was_when_the_run_began(reorder_buffer: ReorderBuffer) -> None:
    push(reorder_buffer, 0, 100)
    taken(reorder_buffer)
    state = reorder_buffer.__getstate__()
    other = ReorderBuffer.__new__(ReorderBuffer)
    other.__setstate__(state)
    assert (other.passed, other.is_exact, other.descriptors) == (0, False, reorder_buffer.descriptors)


# --------------------------------------------------------------------------------------- until another one goes on


def test_a_buffer_that_holds_nothing_is_drained_and_another_one_resumes_behind_what_has_passed(
    reorder_buffer: ReorderBuffer, gates: Gates, board: Board, stack: ExitStack
) -> None:
    pass_frames(reorder_buffer, 0, 10, 10, nbytes=80)
    assert reorder_buffer.drain()
    limit = board.row(1)[Cell.LIMIT]
    other = ReorderBuffer(gates.returning())
    stack.callback(other.close)
    other.open(board)
    other.resume(reorder_buffer.passed)
    push(other, 100, 110)
    assert taken(other) == [list(range(100, 110))]
    other.release()
    assert board.row(1)[Cell.LIMIT] >= limit


def test_while_it_drains_only_what_the_held_frames_wait_for_may_be_sent(
    reorder_buffer: ReorderBuffer, gate: Gate, board: Board
) -> None:
    pass_frames(reorder_buffer, 0, 1, 10, nbytes=80)
    limit = board.row(1)[Cell.LIMIT]
    # They have left under a higher limit than the present one.
    push(reorder_buffer, limit + 5, limit + 7)
    assert not reorder_buffer.drain()
    reorder_buffer.release()
    assert gate.may_send(Span(limit + 6, limit + 7))
    assert not gate.may_send(Span(limit + 7, limit + 8))
    push(reorder_buffer, 10, limit + 5)
    taken(reorder_buffer)
    assert reorder_buffer.drain()
    assert reorder_buffer.passed == limit + 7
    assert gate.may_send(Span(limit + 7, limit + 8))


def test_who_waits_below_the_limit_is_woken_while_it_drains(
    reorder_buffer: ReorderBuffer, gate: Gate, board: Board
) -> None:
    """In normal times only those are woken that have much room."""
    limit = board.row(1)[Cell.LIMIT]
    assert not gate.may_send(Span(limit, limit + 1))
    push(reorder_buffer, limit + 1, limit + 2)
    assert not reorder_buffer.drain()
    reorder_buffer.release()
    # It would block otherwise.
    gate.wait()
    assert gate.may_send(Span(limit, limit + 1))


def test_an_item_that_has_passed_in_part_is_waited_for(reorder_buffer: ReorderBuffer) -> None:
    reorder_buffer.push(Frame(0, Span(0, 2, (0,)), ["a", "b"]))
    taken(reorder_buffer)
    assert not reorder_buffer.drain()
    reorder_buffer.push(Frame(0, Span(2, 2, (0,), last=True), []))
    taken(reorder_buffer)
    assert reorder_buffer.drain()


def test_credits_are_held_back_while_it_drains_and_each_is_returned_once(credits: Credits) -> None:
    reorder_buffer = ReorderBuffer(CreditReturn(credits.dup()))
    push(reorder_buffer, 0, 2)
    push(reorder_buffer, 3, 4)
    taken(reorder_buffer)
    assert not reorder_buffer.drain()
    reorder_buffer.release()
    assert taken_credits(credits) == 0
    push(reorder_buffer, 2, 3)
    taken(reorder_buffer)
    assert reorder_buffer.drain()
    assert taken_credits(credits) == 4
    other = ReorderBuffer(CreditReturn(credits.dup()))
    other.resume(reorder_buffer.passed)
    other.release()
    assert taken_credits(credits) == 0
    push(other, 4, 5)
    taken(other)
    other.release()
    assert taken_credits(credits) == 1
    for each in (reorder_buffer, other):
        each.close()

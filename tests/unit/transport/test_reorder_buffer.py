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
from chainpump.transport.reorder_buffer import Turnstile
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
def turnstile(stack: ExitStack, gates: Gates, board: Board) -> Turnstile:
    turnstile = Turnstile(gates.returning())
    turnstile.open(board)
    stack.callback(turnstile.close)
    return turnstile


@pytest.fixture
def credits(stack: ExitStack) -> Credits:
    credits = Credits.of(0)
    stack.callback(credits.close)
    return credits


def push(turnstile: Turnstile, start: int, stop: int, nbytes: int = 0) -> None:
    turnstile.push(Frame(0, Span(start, stop), list(range(start, stop)), nbytes=nbytes))


def taken(turnstile: Turnstile) -> list[list[int]]:
    """The entries of the frames whose turn it is."""
    frames = []
    while (frame := turnstile.next()) is not None:
        frames.append(frame.entries)
    return frames


def slots(credits: Credits) -> int:
    """How many slots there are; takes them."""
    count = 0
    while credits.take():
        count += 1
    return count


def ahead(turnstile: Turnstile, board: Board) -> int:
    """How many items may be under way beyond those that have passed."""
    turnstile.release()
    return board.row(1)[Cell.LIMIT] - turnstile.passed


def pass_frames(turnstile: Turnstile, start: int, frames: int, each: int, nbytes: int) -> int:
    """Some frames come and are finished; returns the number of the next item."""
    for number in range(start, start + frames * each, each):
        push(turnstile, number, number + each, nbytes)
        taken(turnstile)
    turnstile.release()
    return start + frames * each


def test_frames_pass_in_their_turn(turnstile: Turnstile) -> None:
    push(turnstile, 2, 4)
    assert turnstile.next() is None
    assert turnstile.passed == 0
    push(turnstile, 0, 2)
    assert taken(turnstile) == [[0, 1], [2, 3]]
    assert turnstile.passed == 4


def test_an_item_has_passed_only_with_all_its_parts(turnstile: Turnstile) -> None:
    turnstile.push(Frame(0, Span(0, 2, (0,)), ["a", "b"]))
    assert taken(turnstile) == [["a", "b"]]
    assert turnstile.passed == 0
    turnstile.push(Frame(0, Span(2, 2, (0,), last=True), []))
    assert taken(turnstile) == [[]]
    assert turnstile.passed == 1


# --------------------------------------------------------------------------------------------------------- limit


def test_many_small_items_may_be_under_way(turnstile: Turnstile, board: Board) -> None:
    pass_frames(turnstile, 0, 40, 1_000, nbytes=8_000)
    assert ahead(turnstile, board) == MAX_WINDOW


@pytest.mark.parametrize("least,expected", [(LEAST, FIRST_ITEMS), (1_000, 1_000)], ids=["few workers", "many workers"])
def test_before_anything_has_come_few_items_may_be_under_way(
    board: Board, stack: ExitStack, least: int, expected: int
) -> None:
    gates = Gates(1, [0], least)
    stack.callback(gates.close)
    gates.begin(board)
    assert board.row(1)[Cell.LIMIT] == board.row(1)[Cell.LIMIT_OF_PARTS] == expected
    turnstile = Turnstile(gates.returning())
    stack.callback(turnstile.close)
    turnstile.open(board)
    turnstile.release()
    assert board.row(1)[Cell.LIMIT] == board.row(1)[Cell.LIMIT_OF_PARTS] == expected


def test_at_first_room_grows_with_what_has_come_so_that_each_time_more_is_under_way(
    turnstile: Turnstile, board: Board
) -> None:
    under_way = []
    for number in (0, 10, 100, 1_000):
        under_way.append(ahead(turnstile, board))
        push(turnstile, number, 10 * number or 10)
        taken(turnstile)
    assert under_way == [FIRST_ITEMS + 2 * arrived for arrived in (0, 10, 100, 1_000)]


def test_small_items_behind_a_slow_first_one_do_not_wait_for_it(turnstile: Turnstile, board: Board) -> None:
    for number in range(1, MAX_WINDOW, 1_000):
        assert board.row(1)[Cell.LIMIT] > number
        push(turnstile, number, number + 1_000)
        turnstile.release()
    assert turnstile.passed == 0
    assert board.row(1)[Cell.LIMIT] == MAX_WINDOW


def test_items_under_way_are_bounded_by_the_bytes_that_they_will_take(turnstile: Turnstile, board: Board) -> None:
    pass_frames(turnstile, 0, 100, 10, nbytes=10 * 65_536)
    assert HELD_BYTES // 65_536 <= ahead(turnstile, board) <= 1.01 * HELD_BYTES // 65_536


def test_there_is_always_room_for_what_keeps_the_workers_busy(turnstile: Turnstile, board: Board) -> None:
    pass_frames(turnstile, 0, 50, 4, nbytes=40 * HELD_BYTES)
    assert ahead(turnstile, board) == LEAST


def test_when_items_become_large_the_limit_follows_at_once_and_takes_room_back(
    turnstile: Turnstile, board: Board
) -> None:
    number = pass_frames(turnstile, 0, 20, 1_000, nbytes=8_000)
    push(turnstile, number + 1, number + 2, nbytes=1 << 20)  # too early
    assert ahead(turnstile, board) <= 2 * HELD_BYTES >> 20
    push(turnstile, number + 2, number + 3, nbytes=HELD_BYTES)
    assert ahead(turnstile, board) == LEAST


def test_what_has_waited_for_its_turn_makes_room_again(turnstile: Turnstile, board: Board) -> None:
    for number in range(1, 11):
        push(turnstile, number, number + 1, nbytes=HELD_BYTES // 10)
    assert ahead(turnstile, board) == LEAST
    push(turnstile, 0, 1)
    push(turnstile, 5, 6, nbytes=HELD_BYTES)  # a second time, by a successor
    taken(turnstile)
    pass_frames(turnstile, 11, 20, 1_000, nbytes=0)
    assert ahead(turnstile, board) > 1_000


def test_what_an_item_has_become_counts_rather_than_its_pickle(turnstile: Turnstile, board: Board) -> None:
    turnstile.push(Frame(0, Span(1, 2), [bytes(2 * HELD_BYTES)], nbytes=100))
    assert ahead(turnstile, board) == LEAST


def waits(gate: Gate, *spans: Span) -> list[bool]:
    return [not gate.may_send(span) for span in spans]


def test_parts_of_an_item_wait_for_its_turn_while_much_is_held(turnstile: Turnstile, gate: Gate, board: Board) -> None:
    push(turnstile, 1, 2, nbytes=HELD_BYTES)
    turnstile.release()
    assert waits(gate, Span(0, 9, (0,)), Span(2, 3), Span(0, 9, (2,)), Span(LEAST, LEAST + 1)) == [0, 0, 1, 1]


def test_whoever_waits_is_woken_when_its_turn_has_come_close_and_not_before(
    turnstile: Turnstile, gate: Gate, board: Board
) -> None:
    push(turnstile, 1, 2, nbytes=HELD_BYTES)
    turnstile.release()
    assert waits(gate, Span(LEAST, LEAST + 1)) == [True]
    turnstile.release()
    assert board.row(0)[Cell.WAITS_FOR]
    push(turnstile, 0, 1)
    taken(turnstile)
    turnstile.release()
    assert not board.row(0)[Cell.WAITS_FOR]
    gate.wait()
    assert waits(gate, Span(LEAST, LEAST + 1)) == [False]


def test_who_was_woken_is_woken_even_if_the_limit_has_gone_down_again(
    gates: Gates, turnstile: Turnstile, board: Board, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(turnstile, 1, 2, nbytes=HELD_BYTES)
    turnstile.release()
    gate = gates.sending(0)
    assert gate is not None
    stack.callback(gate.close)
    gate.open(board)

    class Own:
        def __setitem__(self, cell: int, value: int) -> None:
            board.row(0)[cell] = value
            if value:
                push(turnstile, 0, 1)
                pass_frames(turnstile, 2, 20, 10, nbytes=0)  # small ones: the limit goes up
                push(turnstile, 400, 401, nbytes=HELD_BYTES)
                turnstile.release()

    monkeypatch.setattr(gate, "_own", Own())
    assert waits(gate, Span(300, 301)) == [True]
    assert woken(gate.wait)


def woken(wait: Callable[[], None]) -> bool:
    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    thread.join(5)
    return not thread.is_alive()


# -------------------------------------------------------------------------------------------------------- credits


def test_credits_are_exact_and_a_limit_is_not(turnstile: Turnstile, credits: Credits) -> None:
    assert Turnstile(CreditReturn(credits)).is_exact
    assert not turnstile.is_exact


def test_each_item_gives_its_slot_back_once(credits: Credits) -> None:
    turnstile = Turnstile(CreditReturn(credits))
    push(turnstile, 0, 5)
    taken(turnstile)
    given = []
    for release in (lambda: turnstile.release(1), lambda: turnstile.release(1), lambda: turnstile.release(3)):
        release()
        given.append(slots(credits))
    turnstile.release()
    given.append(slots(credits))
    turnstile.release()
    turnstile.release(2)
    given.append(slots(credits))
    assert given == [1, 0, 2, 2, 0]


def test_items_that_came_to_nothing_give_their_slots_back(credits: Credits) -> None:
    turnstile = Turnstile(CreditReturn(credits))
    turnstile.push(Frame(0, Span(0, 9), []))
    taken(turnstile)
    turnstile.release()
    assert slots(credits) == 9


def test_an_item_in_pieces_gives_one_slot_back(credits: Credits) -> None:
    turnstile = Turnstile(CreditReturn(credits))
    given = []
    for frame in (
        Frame(0, Span(0, 100, (0,)), [None] * 100),
        Frame(0, Span(100, 110, (0,)), [None] * 10),
        Frame(0, Span(110, 110, (0,), last=True), []),
    ):
        turnstile.push(frame)
        taken(turnstile)
        turnstile.release()
        given.append(slots(credits))
    assert given == [0, 0, 1]


def test_a_frame_that_comes_twice_gives_its_slots_back_once(credits: Credits) -> None:
    turnstile = Turnstile(CreditReturn(credits))
    for _ in range(3):
        push(turnstile, 0, 4)
        taken(turnstile)
        turnstile.release()
    assert slots(credits) == 4


# ------------------------------------------------------------------------------------------------------ its ends


def test_a_turnstile_owns_its_slots() -> None:
    kept = Credits.of(LEAST)
    turnstile = Turnstile(CreditReturn(kept.dup()))
    (descriptor,) = turnstile.descriptors
    assert descriptor.fileno() != kept.descriptors[0].fileno()
    turnstile.close()
    turnstile.close()
    assert kept.take()
    kept.close()


def test_a_turnstile_travels_as_it_was_when_the_run_began(turnstile: Turnstile) -> None:
    push(turnstile, 0, 100)
    taken(turnstile)
    state = turnstile.__getstate__()
    other = Turnstile.__new__(Turnstile)
    other.__setstate__(state)
    assert (other.passed, other.is_exact, other.descriptors) == (0, False, turnstile.descriptors)

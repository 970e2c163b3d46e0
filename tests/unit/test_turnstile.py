"""Where the order of items is restored: what passes, and how much room is given back for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from chainpump.transport.credits import Credits, Window
from chainpump.transport.flow import HELD_BYTES, MAX_WINDOW
from chainpump.transport.frames import Frame, Span
from chainpump.transport.turnstile import Turnstile

LEAST = 16


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def window(stack: ExitStack) -> Window:
    window = Window.of(LEAST)
    stack.callback(window.close)
    return window


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


def room(window: Window) -> int:
    """How many items may be numbered; takes all of it."""
    items = 0
    while window.take(1):
        items += 1
    return items


def slots(credits: Credits) -> int:
    """How many slots there are; takes them."""
    count = 0
    while credits.take():
        count += 1
    return count


def windows(turnstile: Turnstile, window: Window, frames: int, each: int, nbytes: int) -> list[int]:
    """How far ahead items may be numbered, after each of some frames that have been finished."""
    granted, sizes = room(window), []
    for number in range(frames):
        push(turnstile, number * each, (number + 1) * each, nbytes)
        taken(turnstile)
        turnstile.release()
        granted += room(window)
        sizes.append(granted - (number + 1) * each)
    return sizes


def test_frames_pass_in_their_turn(window: Window) -> None:
    turnstile = Turnstile(window, LEAST)
    push(turnstile, 2, 4)
    assert turnstile.next() is None
    assert turnstile.passed == 0
    push(turnstile, 0, 2)
    assert taken(turnstile) == [[0, 1], [2, 3]]
    assert turnstile.passed == 4


def test_an_item_has_passed_only_with_all_its_parts(window: Window) -> None:
    turnstile = Turnstile(window, LEAST)
    turnstile.push(Frame(0, Span(0, 2, (0,)), ["a", "b"]))
    assert taken(turnstile) == [["a", "b"]]
    assert turnstile.passed == 0
    turnstile.push(Frame(0, Span(2, 2, (0,), last=True), []))
    assert taken(turnstile) == [[]]
    assert turnstile.passed == 1


# -------------------------------------------------------------------------------------------------------- window


def test_a_window_grows_while_items_take_little_room(window: Window) -> None:
    sizes = windows(Turnstile(window, LEAST), window, 20, 1_000, nbytes=8_000)
    assert sizes[:4] == [2 * LEAST, 4 * LEAST, 8 * LEAST, 16 * LEAST]
    assert MAX_WINDOW - MAX_WINDOW // 8 <= sizes[-1] <= max(sizes) <= MAX_WINDOW  # given in eighths


def test_a_window_is_bounded_by_the_bytes_that_it_may_take(window: Window) -> None:
    sizes = windows(Turnstile(window, LEAST), window, 100, 10, nbytes=10 * 65_536)
    bound = HELD_BYTES // 65_536
    assert bound - bound // 8 <= sizes[-1] <= bound + bound // 8
    assert max(sizes[20:]) <= bound + bound // 8


def test_a_window_is_never_less_than_what_keeps_the_workers_busy(window: Window) -> None:
    sizes = windows(Turnstile(window, LEAST), window, 50, 4, nbytes=40 * HELD_BYTES)
    assert all(LEAST - LEAST // 8 <= size <= LEAST for size in sizes)


def test_a_window_shrinks_when_items_become_large_but_takes_nothing_back(window: Window) -> None:
    turnstile = Turnstile(window, LEAST)
    ahead = windows(turnstile, window, 20, 1_000, nbytes=8_000)[-1]
    number = 20_000
    while number + 1_000 <= 20_000 + ahead:  # the rest of the large window
        push(turnstile, number, number + 1_000, nbytes=1_000 << 20)
        taken(turnstile)
        turnstile.release()
        assert room(window) == 0
        number += 1_000
    push(turnstile, number, number + 1_000, nbytes=1_000 << 20)
    taken(turnstile)
    turnstile.release()
    assert number + 1_000 - (20_000 + ahead) + LEAST <= room(window) <= 1_000 + 2 * HELD_BYTES // (1 << 20)


def test_what_came_too_early_gives_no_room(window: Window) -> None:
    turnstile = Turnstile(window, LEAST)
    room(window)
    push(turnstile, 1, 1_000)
    taken(turnstile)
    turnstile.release()
    assert room(window) == 0
    push(turnstile, 0, 1)
    taken(turnstile)
    turnstile.release()
    assert room(window) == 1_000 + LEAST  # twice the size, less what was granted at first


def test_room_is_given_seldom(window: Window) -> None:
    turnstile = Turnstile(window, LEAST)
    windows(turnstile, window, 20, 1_000, nbytes=8_000)
    given = []
    for number in range(20_000, 120_000, 1_000):
        push(turnstile, number, number + 1_000)
        taken(turnstile)
        turnstile.release()
        given.append(room(window))
    assert min(each for each in given if each) > MAX_WINDOW // 8
    assert len([each for each in given if each]) <= 100_000 // (MAX_WINDOW // 8)


def test_releasing_twice_gives_nothing_more(window: Window) -> None:
    turnstile = Turnstile(window, LEAST)
    push(turnstile, 0, 100)
    taken(turnstile)
    turnstile.release()
    room(window)
    turnstile.release()
    turnstile.release(50)
    assert room(window) == 0


# -------------------------------------------------------------------------------------------------------- credits


def test_credits_are_exact_and_a_window_is_not(window: Window, credits: Credits) -> None:
    assert Turnstile(credits, 1).is_exact
    assert not Turnstile(window, LEAST).is_exact


def test_each_item_gives_its_slot_back_once(credits: Credits) -> None:
    turnstile = Turnstile(credits, 1)
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
    turnstile = Turnstile(credits, 1)
    turnstile.push(Frame(0, Span(0, 9), []))
    taken(turnstile)
    turnstile.release()
    assert slots(credits) == 9


def test_an_item_in_pieces_gives_one_slot_back(credits: Credits) -> None:
    turnstile = Turnstile(credits, 1)
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
    turnstile = Turnstile(credits, 1)
    for _ in range(3):
        push(turnstile, 0, 4)
        taken(turnstile)
        turnstile.release()
    assert slots(credits) == 4


# ------------------------------------------------------------------------------------------------------ its ends


@pytest.mark.parametrize("make", [Window.of, Credits.of], ids=["window", "credits"])
def test_a_turnstile_owns_its_room(make: Callable[[int], Window | Credits]) -> None:
    kept = make(LEAST)
    turnstile = Turnstile(kept.dup(), LEAST)
    (descriptor,) = turnstile.descriptors
    assert descriptor.fileno() != kept.descriptors[0].fileno()
    turnstile.close()
    turnstile.close()
    assert kept.take(1) if isinstance(kept, Window) else kept.take()
    kept.close()


def test_a_turnstile_travels_as_it_was_when_the_run_began(window: Window) -> None:
    turnstile = Turnstile(window, LEAST)
    push(turnstile, 0, 100)
    taken(turnstile)
    state = turnstile.__getstate__()
    other = Turnstile.__new__(Turnstile)
    other.__setstate__(state)
    assert (other.passed, other.is_exact, other.descriptors) == (0, False, turnstile.descriptors)

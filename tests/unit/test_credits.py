"""Counters in the kernel: exact slots, and the window of whoever numbers items."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from chainpump.transport.credits import Credits, Window
from chainpump.transport.system import VARIABLE


@pytest.fixture(params=["linux", "portable"], autouse=True)
def transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """An eventfd, and a pipe."""
    monkeypatch.setenv(VARIABLE, request.param)


@pytest.fixture
def window() -> Iterator[Window]:
    window = Window.of(3)
    yield window
    window.close()


@pytest.fixture
def credits() -> Iterator[Credits]:
    credits = Credits.of(3)
    yield credits
    credits.close()


def test_credits_are_taken_one_by_one(credits: Credits) -> None:
    assert [credits.take() for _ in range(5)] == [True, True, True, False, False]
    credits.give(2)
    assert [credits.take() for _ in range(3)] == [True, True, False]


def test_a_window_lets_through_as_many_items_as_it_has_room_for(window: Window) -> None:
    assert [window.take(1) for _ in range(4)] == [True, True, True, False]


def test_the_last_frame_may_reach_out_of_the_window(window: Window) -> None:
    assert window.take(2)
    assert window.take(10)
    assert not window.take(1)


def test_a_frame_that_reached_out_of_the_window_is_paid_for_later(window: Window) -> None:
    assert window.take(10)  # 7 too many
    window.give(7)
    assert not window.take(1)
    window.give(1)
    assert window.take(1)
    assert not window.take(1)


def test_what_is_given_adds_up(window: Window) -> None:
    assert window.take(2)
    window.give(4)
    window.give(5)
    assert [window.take(5), window.take(5), window.take(1)] == [True, True, False]


def test_a_duplicate_shares_the_count(window: Window) -> None:
    other = window.dup()
    assert window.take(3)
    assert not window.take(1)
    other.give(2)
    assert window.take(2)
    other.close()
    assert not window.take(1)  # and has a descriptor of its own


def woken(wait: Callable[[], None], wake: Callable[[], None]) -> bool:
    """Whether who waits goes on once it is woken."""
    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    wake()
    thread.join(60)
    return not thread.is_alive()


def test_who_waits_for_the_window_goes_on_when_there_is_room(window: Window) -> None:
    assert window.take(3)
    assert not window.take(1)
    assert woken(window.wait, lambda: window.give(1))
    assert window.take(1)


@pytest.mark.parametrize("kind", [Window, Credits])
def test_a_flood_wakes_who_waits_for_good(kind: type[Window | Credits]) -> None:
    counter = kind.of(0)
    assert woken(counter.wait, counter.flood)
    counter.flood()  # a second cancel
    counter.wait()
    counter.close()

"""Counters in the kernel: exact credits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from chainpump.ipc.system import VARIABLE
from chainpump.transport.credits import Credits


@pytest.fixture(params=["linux", "portable"], autouse=True)
def transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """An eventfd, and a pipe."""
    monkeypatch.setenv(VARIABLE, request.param)


@pytest.fixture
def credits() -> Iterator[Credits]:
    credits = Credits.of(3)
    yield credits
    credits.close()


def test_credits_are_taken_one_by_one(credits: Credits) -> None:
    assert [credits.take() for _ in range(5)] == [True, True, True, False, False]
    credits.give(2)
    assert [credits.take() for _ in range(3)] == [True, True, False]


def test_a_duplicate_shares_the_count(credits: Credits) -> None:
    other = credits.dup()
    assert [credits.take() for _ in range(4)] == [True, True, True, False]
    other.give(1)
    assert credits.take()
    other.close()
    # And has a descriptor of its own.
    assert not credits.take()


def woken(wait: Callable[[], None], wake: Callable[[], None]) -> bool:
    """Whether who waits goes on once it is woken."""
    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    wake()
    thread.join(60)
    return not thread.is_alive()


def test_who_waits_goes_on_when_there_is_a_credit() -> None:
    credits = Credits.of(0)
    assert woken(credits.wait, credits.give)
    assert credits.take()
    credits.close()


def test_a_flood_wakes_who_waits_for_good() -> None:
    credits = Credits.of(0)
    assert woken(credits.wait, credits.wake_all)
    # A second cancel.
    credits.wake_all()
    credits.wait()
    credits.close()

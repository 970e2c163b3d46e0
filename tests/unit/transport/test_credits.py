"""Counters in the kernel, and those of threads in one process: exact credits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from chainpump.ipc.counters import Counter, counter
from chainpump.ipc.local_counter import LocalCounter
from chainpump.ipc.system import VARIABLE
from chainpump.transport.credits import Credits
from chainpump.transport.thread_channel import MemoryChannel
from support.gate import LIMIT
from support.threads import meanwhile

Make = Callable[..., Counter]


@pytest.fixture(params=["linux", "portable", "threads"])
def make(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Make:
    """An eventfd, a pipe, and a count without descriptors."""
    if request.param == "threads":
        return LocalCounter
    monkeypatch.setenv(VARIABLE, request.param)
    return counter


@pytest.fixture
def credits(make: Make) -> Iterator[Credits]:
    credits = Credits(make(3, one_by_one=True), 3)
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


def test_who_waits_goes_on_when_there_is_a_credit(make: Make) -> None:
    credits = Credits(make(0, one_by_one=True), 1)
    assert woken(credits.wait, credits.give)
    assert credits.take()
    credits.close()


def test_a_flood_wakes_who_waits_for_good(make: Make) -> None:
    credits = Credits(make(0, one_by_one=True), 1)
    assert woken(credits.wait, credits.wake_all)
    # A second cancel.
    credits.wake_all()
    credits.wait()
    credits.close()


# ------------------------------------------------------------------------------------------------- several takers


class Stopping:
    """A counter whose first `take` stops when the kernel has given the units, until the test lets it go on."""

    def __init__(self, count: Counter) -> None:
        self._count = count
        self._is_first = True
        self.has_taken, self.may_go_on = threading.Event(), threading.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._count, name)

    def take(self) -> int:
        taken = self._count.take()
        if self._is_first:
            self._is_first = False
            self.has_taken.set()
            assert self.may_go_on.wait(LIMIT)
        return taken


def free(credits: Credits) -> int:
    """How many there are, which are then taken."""
    return len([*iter(credits.take, False)])


def test_a_thread_that_is_within_take_gains_and_loses_nothing_by_another_taker(make: Make) -> None:
    # Any: it delegates all other methods.
    count: Any = Stopping(make(3, one_by_one=True))
    credits = Credits(count, 3)
    one, other = credits.taker(), credits.taker()
    with meanwhile(one.take) as taken:
        assert count.has_taken.wait(LIMIT)
        assert [other.take() for _ in range(3)] == [True, True, False]
        for _ in range(2):
            other.put_back()
        count.may_go_on.set()
        assert taken.result(LIMIT)
    assert free(other) == 2
    one.put_back()
    assert free(one) == 1
    credits.close()


def test_the_only_taker_may_be_within_take_while_credits_return(make: Make) -> None:
    # Any: it delegates all other methods.
    count: Any = Stopping(make(3, one_by_one=False))
    credits = Credits(count, 3)
    one = credits.taker()
    with meanwhile(one.take) as taken:
        assert count.has_taken.wait(LIMIT)
        credits.give(2)
        count.may_go_on.set()
        assert taken.result(LIMIT)
    assert free(one) == 4
    one.put_back()
    assert free(one) == 1
    credits.close()


@pytest.mark.parametrize("number, takers", [(1, 4), (3, 4), (3, 1)])
def test_takers_at_once_never_have_more_credits_than_there_are_and_none_is_lost(number: int, takers: int) -> None:
    channel = MemoryChannel(takers, 1, number)
    returning = channel.receiver().credits
    assert returning is not None
    begin = threading.Barrier(takers)
    # `append` and `pop` of a list are atomic, and so is its length.
    taken: list[None] = []

    def take_often(credits: Credits) -> int:
        most = 0
        begin.wait(LIMIT)
        for turn in range(500):
            while not credits.take():
                credits.wait()
            taken.append(None)
            most = max(most, len(taken))
            taken.pop()
            if turn % 3:
                returning.give()
            else:
                credits.put_back()
        return most

    senders = [channel.sender(producer).credits for producer in range(takers)]
    with ThreadPoolExecutor(takers) as pool:
        most = [pool.submit(take_often, credits) for credits in senders if credits is not None]
        assert max(future.result(LIMIT) for future in most) <= number
    assert sum(free(credits) for credits in senders if credits is not None) == number
    channel.close()

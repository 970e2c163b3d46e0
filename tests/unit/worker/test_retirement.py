"""When a worker retires: a decision about numbers, and the worker's own look at its memory."""

from __future__ import annotations

import mmap
from collections.abc import Callable

import pytest

from chainpump.worker import retirement
from chainpump.worker.retirement import Advice, Retirement, Share, decide, own_memory
from chainpump.worker.turn import turn

MB = 1_000_000


# Seconds.
START_UP = 1.0


def retirement_of(share: Share, clock: list[float], prepare: Callable[[], object] = lambda: None) -> Retirement:
    """That of a worker which has just started."""
    made = Retirement(share)
    made.prepare = prepare
    clock[0] += START_UP
    return made


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(retirement.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    nbytes = [50 * MB]
    monkeypatch.setattr(retirement, "own_memory", lambda: nbytes[0])
    return nbytes


@pytest.mark.parametrize(
    "done, worked, start_up, advice",
    [
        pytest.param(0.0, 0.0, 1.0, Advice.STAY, id="nothing is known yet"),
        pytest.param(-0.1, 5.0, 1.0, Advice.STAY, id="its memory has shrunk"),
        pytest.param(0.5, 10.0, 1.0, Advice.STAY, id="the rest takes ten start-up times"),
        pytest.param(0.9, 10.0, 1.0, Advice.PREPARE, id="the rest takes about one start-up time"),
        pytest.param(0.1, 0.1, 1.0, Advice.PREPARE, id="its share is short"),
        pytest.param(0.99, 10.0, 0.0, Advice.STAY, id="a start takes no time"),
        pytest.param(1.0, 10.0, 1.0, Advice.RETIRE, id="its share is done"),
        pytest.param(1.5, 0.0, 1.0, Advice.RETIRE, id="it has done more than its share"),
    ],
)
def test_a_worker_prepares_in_time_and_retires_after_its_share(
    done: float, worked: float, start_up: float, advice: Advice
) -> None:
    assert decide(done, worked, start_up) is advice


def test_the_larger_part_of_two_shares_counts() -> None:
    share = Share(items=100, above=300 * MB)
    assert share.done(50, 10 * MB, 100 * MB) == 0.5
    assert share.done(50, 90 * MB, 100 * MB) == 0.9


def test_a_successor_is_requested_once_before_the_share_is_done(clock: list[float]) -> None:
    requests: list[float] = []
    watched = retirement_of(Share(items=10), clock, lambda: requests.append(clock[0] - START_UP))
    # The items that earlier workers of the slot have received do not count.
    due = []
    for received in range(100, 112):
        due.append(watched.is_due(received))
        clock[0] += 1
    assert due == [False] * 10 + [True] * 2
    # After 8 of 10 items in 8 s, the rest takes 2 s.
    assert requests == [8.0]


def test_memory_counts_from_what_the_worker_has_started_with(clock: list[float], memory: list[int]) -> None:
    requests: list[int] = []
    watched = retirement_of(Share(above=100 * MB), clock, lambda: requests.append(memory[0] // MB))
    due = []
    for each in (50, 50, 60, 70, 85, 90, 95, 100):
        memory[0] = each * MB
        due.append(watched.is_due(0))
        clock[0] += 1
    assert due == [False] * 7 + [True]
    assert requests == [85]


def test_a_worker_that_is_due_remains_due_although_its_memory_shrinks(clock: list[float], memory: list[int]) -> None:
    watched = retirement_of(Share(above=60 * MB), clock)
    assert not watched.is_due(0)
    memory[0] = 70 * MB
    assert watched.is_due(1)
    memory[0] = 50 * MB
    assert watched.is_due(1)


@pytest.mark.parametrize("limit", [40 * MB, 50 * MB])
def test_a_worker_that_starts_at_its_limit_or_above_says_so(clock: list[float], memory: list[int], limit: int) -> None:
    watched = retirement_of(Share(above=limit), clock)
    assert not watched.is_due(0)
    assert (watched.excess, watched.limit) == (50 * MB, limit)


def test_without_a_limit_of_memory_nobody_measures_it(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retirement, "own_memory", lambda: pytest.fail("it was measured"))
    watched = retirement_of(Share(items=1), clock)
    assert [watched.is_due(0), watched.is_due(1)] == [False, True]
    assert watched.excess is None


def test_the_wait_for_its_turn_is_no_part_of_the_start_up(clock: list[float]) -> None:
    waiting, giving = turn()
    giving.give()
    requests: list[float] = []
    watched = Retirement(Share(items=10), waiting)
    watched.prepare = lambda: requests.append(clock[0])
    assert waiting.wait()
    waiting.waited = 100.0
    clock[0] += 100 + START_UP
    for received in range(10):
        watched.is_due(received)
        clock[0] += 1
    assert requests == [100 + START_UP + 8]


def test_items_of_earlier_workers_of_a_kept_process_count(clock: list[float], memory: list[int]) -> None:
    watched = retirement_of(Share(items=10, above=100 * MB), clock)
    watched.items_before = 8
    assert [watched.is_due(0), watched.is_due(1), watched.is_due(2)] == [False, False, True]
    assert watched.items == 10


def test_a_kept_process_that_is_above_its_limit_retires_at_once(clock: list[float], memory: list[int]) -> None:
    watched = retirement_of(Share(above=40 * MB), clock)
    watched.items_before = 0
    assert watched.is_due(0)
    assert watched.excess is None


def test_memory_that_was_touched_counts() -> None:
    before = own_memory()
    block = bytearray(32 * MB)
    block[:: mmap.PAGESIZE] = b"x" * len(range(0, len(block), mmap.PAGESIZE))
    assert own_memory() - before > 16 * MB


def test_without_proc_the_peak_of_the_process_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise FileNotFoundError

    monkeypatch.setattr(retirement.os, "open", refuse)
    assert own_memory() > 1 * MB

"""Signals and Cancelled break into a worker's thread anywhere: what it wakes others with must not stay locked then."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from itertools import count
from types import FrameType
from typing import Any

import pytest

from chainpump import Cancelled
from chainpump.ipc.wakeups import Event, SharedEvent, Wakeup
from chainpump.transport.flusher import Flusher
from support.gate import LIMIT
from support.threads import ends, meanwhile


def broken_into(call: Callable[[], object], at: int, by: Callable[[], object]) -> bool:
    """Do something else in front of the `at`-th instruction of a call; whether it came so far."""
    left = at

    def step(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal left
        frame.f_trace_opcodes = True
        if event == "opcode":
            left -= 1
            if left == 0:
                by()
        return step

    # Of any frame: 3.12 asks for it before it traces.
    sys._getframe().f_trace_opcodes = True
    sys.settrace(step)
    try:
        call()
    except Cancelled:
        pass
    finally:
        sys.settrace(None)
    return left <= 0


def cancel() -> None:
    """What a worker's handler of SIGTERM does."""
    raise Cancelled("broken into")


@pytest.mark.parametrize("name", ["arm", "stop"])
def test_flusher_can_be_stopped_wherever_it_was_broken_into(name: str) -> None:
    for at in count(1):
        flusher = Flusher(lambda: 0)
        flusher.arm()
        came = broken_into(getattr(flusher, name), at, cancel)
        assert ends(flusher.stop), f"not after instruction {at} of {name}"
        if not came:
            assert at > 1, "no instruction was traced"
            return


def test_latch_is_set_by_a_handler_wherever_that_has_broken_in() -> None:
    def set_and_wait(event: Event) -> None:
        event.set()
        event.wait(LIMIT)

    def at_each_instruction() -> None:
        for at in count(1):
            event = Event()
            if not broken_into(partial(set_and_wait, event), at, event.set):
                reached.append(at)
                return

    reached: list[int] = []
    assert ends(at_each_instruction)
    assert reached[0] > 1, "no instruction was traced"


def test_latch_ends_a_wait_and_those_after_it() -> None:
    event = Event()
    assert not event.wait(0)
    threading.Timer(0.01, event.set).start()
    assert event.wait(LIMIT)
    assert event.wait(LIMIT)
    event.set()
    assert event.is_set


def test_bell_that_was_rung_twice_wakes_once() -> None:
    wakeup = Wakeup()
    wakeup.set()
    wakeup.set()
    assert wakeup.wait(LIMIT)
    assert not wakeup.wait(0)


def test_event_wakes_all_threads_that_wait_and_those_that_come_later() -> None:
    event = SharedEvent()
    assert not event.wait(0)
    with ExitStack() as stack:
        found = [stack.enter_context(meanwhile(partial(event.wait, LIMIT))) for _ in range(3)]
        event.set()
    assert [each.result() for each in found] == [True] * 3
    assert event.wait()
    assert event.is_set


def test_a_thread_that_is_interrupted_in_its_wait_delays_no_other() -> None:
    for at in count(1):
        event = SharedEvent()
        came = broken_into(partial(event.wait, 0), at, cancel)
        assert not event.wait(0)
        assert ends(event.set), f"not after instruction {at}"
        assert event.wait(LIMIT)
        if not came:
            assert at > 1, "no instruction was traced"
            return


def test_event_is_set_by_a_handler_wherever_that_interrupts_a_wait_for_it() -> None:
    for at in count(1):
        event = SharedEvent()
        came = broken_into(partial(event.wait, 0), at, event.set)
        assert event.is_set is came
        if not came:
            assert at > 1, "no instruction was traced"
            return
        assert event.wait(LIMIT)

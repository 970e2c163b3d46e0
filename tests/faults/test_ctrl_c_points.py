"""Ctrl-C at any moment: `python -m tests.ctrl_c_points`, in short."""

from __future__ import annotations

from contextlib import suppress
from itertools import count

import pytest

from chainpump import Pipeline, Threads, sink, source
from chainpump.pipeline import opened
from chainpump.transport.frames import Span
from chainpump.transport.thread_channel import MemoryChannel
from ctrl_c_points import Finger, press_at_each, slowly, total
from faults.places import FORK
from support.cases import in_turns
from support.threads import ends
from support.verdict import Verdict

# Of about 9,000 moments, each 401st is tested, so that the tests take seconds. The command tests all of them.
EVERY = 401


@in_turns
@pytest.mark.parametrize(
    "place, way",
    [
        *((place, way) for place in ("threads", "forkserver", "inline") for way in ("iterated", "sink")),
        ("threads", "opened"),
    ],
)
def test_ctrl_c_at_any_moment_ends_the_run_and_leaves_nothing(place: str, way: str) -> None:
    verdict = Verdict()
    moments = press_at_each(place, way, EVERY, 0, verdict)
    assert verdict.wrong == []
    assert verdict.outcomes["interrupted"] == moments // EVERY > 10


@FORK
def test_ctrl_c_at_any_moment_ends_a_run_of_forked_workers() -> None:
    verdict = Verdict()
    press_at_each("fork", "iterated", EVERY, EVERY // 2, verdict)
    assert verdict.wrong == []
    assert verdict.outcomes["interrupted"] > 10


def test_channel_between_threads_is_hung_up_wherever_ctrl_c_has_broken_in() -> None:
    def used(channel: MemoryChannel) -> None:
        channel.sender(0).send([1], False, Span(0, 1), None)
        channel.get(wait=True)
        channel.wait(0)

    for n in count(1):
        channel, finger = MemoryChannel(1, 1, None), Finger(n)
        with suppress(KeyboardInterrupt):
            finger.run(lambda: used(channel))  # noqa: B023  # it is over before the next one
        assert ends(channel.hang_up), f"not after moment {n}, {finger.where}"
        if finger.pressed_at is None:
            assert n > 10
            return


def test_run_ends_wherever_ctrl_c_has_broken_into_the_wait_for_its_value() -> None:
    summed = Pipeline(source(slowly), on=Threads()).into(sink(total), on=Threads())
    for n in count(1):
        run, finger = opened(summed), Finger(n)
        with suppress(KeyboardInterrupt):
            finger.run(run.result)
        assert ends(run.close), f"not after moment {n}, {finger.where}"
        if finger.pressed_at is None:
            assert n > 10
            return

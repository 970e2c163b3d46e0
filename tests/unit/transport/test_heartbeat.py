"""Heartbeats: when to send one, and when a peer is lost. The clock is a number."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainpump.transport.heartbeat import Heartbeat, Verdict

QUIET, SEND, LOST = Verdict.QUIET, Verdict.SEND, Verdict.LOST


def looks(heartbeat: Heartbeat, *times: float) -> list[Verdict]:
    return [heartbeat.look(now) for now in times]


def test_a_heartbeat_is_sent_each_second_if_nothing_else_is() -> None:
    heartbeat = Heartbeat(0.0)
    assert looks(heartbeat, 0.9, 1.0, 1.9, 2.0) == [QUIET, SEND, QUIET, SEND]
    heartbeat.sent(2.5)
    assert looks(heartbeat, 3.0, 3.4, 3.5) == [QUIET, QUIET, SEND]


def test_a_peer_is_lost_after_five_seconds_of_silence() -> None:
    assert looks(Heartbeat(0.0), *map(float, range(1, 6))) == [SEND] * 4 + [LOST]
    heartbeat = Heartbeat(0.0)
    looks(heartbeat, 1.0, 2.0, 3.0)
    heartbeat.received(3.9)
    assert LOST not in looks(heartbeat, 4.0, 5.0, 6.0, 7.0, 8.0, 8.8)
    assert heartbeat.look(8.9) is LOST


def test_a_process_that_was_stopped_itself_takes_nobody_for_lost() -> None:
    heartbeat = Heartbeat(0.0)
    assert looks(heartbeat, 1.0, 3600.0, 3601.0) == [SEND, SEND, SEND]
    # The peer has not been heard since, so it is lost in the end.
    assert looks(heartbeat, 3602.0, 3603.0) == [SEND, LOST]


def test_a_lost_peer_that_comes_back_stays_lost() -> None:
    heartbeat = Heartbeat(0.0, every=1.0, lost_after=2.0)
    assert looks(heartbeat, 1.0, 2.0) == [SEND, LOST]
    heartbeat.received(2.5)
    assert looks(heartbeat, 3.0, 4.0) == [LOST, LOST]


@pytest.mark.parametrize("every,lost_after", [(0.0, 1.0), (-1.0, 1.0), (2.0, 2.0)])
def test_intervals_that_cannot_work_are_refused(every: float, lost_after: float) -> None:
    with pytest.raises(ValueError, match=r"^every must be above 0 and below lost_after but got: "):
        Heartbeat(0.0, every=every, lost_after=lost_after)


@given(st.lists(st.floats(0.01, 5), min_size=1), st.floats(0, 1e9))
def test_who_looks_when_it_is_time_sends_in_time(delays: Sequence[float], now: float) -> None:
    """Whatever else is sent and received: each look at its time leads to a heartbeat, or to a later look."""
    heartbeat = Heartbeat(now)
    sent = now
    for delay in delays:
        due = heartbeat.next_look
        if now + delay < due:
            now += delay
            heartbeat.sent(now)
            heartbeat.received(now)
            sent = now
            continue
        now = due
        heartbeat.received(now)
        if heartbeat.look(now) is SEND:
            sent = now
        assert heartbeat.next_look > now
        assert now - sent <= 1.001


@given(st.lists(st.floats(0.0, 100.0), min_size=1))
def test_silence_counts_at_most_a_second_for_each_look(delays: Sequence[float]) -> None:
    heartbeat = Heartbeat(0.0)
    now = silence = 0.0
    for delay in delays:
        now += delay
        silence += min(delay, 1.0)
        verdict = heartbeat.look(now)
        if abs(silence - 5.0) > 1e-6:
            assert (verdict is LOST) == (silence > 5.0)
        if verdict is LOST:
            return

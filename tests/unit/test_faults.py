"""What the variable may say, and what a worker meets of it."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from chainpump import Pipeline, StageOptionError
from chainpump.ipc.fault_injection import VARIABLE, Fate, Faults, Point, Rule
from chainpump.transport.process_channel import PacketChannel
from chainpump.transport.thread_channel import MemoryChannel


def fate(text: str, stages: tuple[str, ...] = ("score",), number: int = 0, generation: int = 0) -> Fate | None:
    return Faults.read(text).fate(list(stages), number, generation)


def struck(text: str, point: Point, calls: int, number: int = 0) -> list[int]:
    """At which of so many calls it raises."""
    met = fate(text, number=number)
    assert met is not None
    call: Callable[[], None] = met.before(point, lambda: None)
    found = []
    for n in range(1, calls + 1):
        try:
            call()
        except OSError:
            found.append(n)
    return found


@pytest.mark.parametrize(
    "text, rules, seed",
    [
        ("", (), "0"),
        ("send=0.01", (Rule(Point.SEND, None, 0.01, 0, "raise"),), "0"),
        ("slab@decode=#3:kill;seed=7", (Rule(Point.SLAB, "decode", 0.0, 3, "kill"),), "7"),
        (
            " spawn=1:exit, control=1e-3:delay ; seed=12 ",
            (Rule(Point.SPAWN, None, 1.0, 0, "exit"), Rule(Point.CONTROL, None, 0.001, 0, "delay")),
            "12",
        ),
    ],
)
def test_text_says_which_points_fail_when_and_how(text: str, rules: tuple[Rule, ...], seed: str) -> None:
    assert Faults.read(text) == Faults(rules, seed)


@pytest.mark.parametrize(
    "text, part, rule",
    [
        ("sent=0.1", "sent=0.1", "a point is one of spawn, start, send, receive, slab, control"),
        ("send=0.1, =0.1", "=0.1", "a point is one of spawn, start, send, receive, slab, control"),
        ("send=0.1:die", "send=0.1:die", "an action is one of raise, exit, kill, delay"),
        *(
            (part, part, "'=' is followed by a probability such as 0.01, or by a call such as #3")
            for part in ("send", "send=", "send=0", "send=2", "send=-0.5", "send=nan", "send=#0", "send=#x", "send=#")
        ),
        *((f"send=0.1;{seed}", seed, "behind ';' comes seed=NUMBER") for seed in ("7", "seed", "seed=", "seed=x")),
    ],
)
def test_text_that_means_nothing_is_refused_with_the_part_that_does_not(text: str, part: str, rule: str) -> None:
    with pytest.raises(StageOptionError) as caught:
        Faults.read(text)
    assert str(caught.value) == f"{VARIABLE}={text!r} cannot be read at {part!r}: {rule}."


def test_bad_value_ends_a_run_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "sent=0.1")
    with pytest.raises(StageOptionError, match=rf"^{VARIABLE}='sent=0\.1' cannot be read at 'sent=0\.1': "):
        list(Pipeline(range(3)))


def test_worker_whom_nothing_concerns_has_no_fate() -> None:
    assert fate("") is None
    assert fate("send@other=0.5") is None
    assert fate("send@score=#1", generation=1) is None  # its predecessor has met it


def test_stages_that_share_a_worker_share_its_fate() -> None:
    met = fate("send@score=#1", stages=("decode", "score"))
    assert met is not None
    assert met.rules == (Rule(Point.SEND, "score", 0.0, 1, "raise"),)


def test_successor_meets_what_comes_by_chance_but_not_what_was_counted_out() -> None:
    met = fate("send=#1,receive=0.5", generation=1)
    assert met is not None
    assert [rule.point for rule in met.rules] == [Point.RECEIVE]


def test_call_that_was_counted_out_fails_once() -> None:
    assert struck("send=#3", Point.SEND, 10) == [3]


def test_chance_is_the_same_for_the_same_seed_and_worker_and_differs_between_workers() -> None:
    first = struck("send=0.3;seed=7", Point.SEND, 100)
    assert 10 < len(first) < 60
    assert struck("send=0.3;seed=7", Point.SEND, 100) == first
    assert struck("send=0.3;seed=8", Point.SEND, 100) != first
    assert struck("send=0.3;seed=7", Point.SEND, 100, number=1) != first


def test_other_points_are_left_as_they_are() -> None:
    met = fate("send=1")
    assert met is not None
    assert met.before(Point.RECEIVE, len) is len


@pytest.mark.parametrize("action", ["exit", "kill"])
def test_main_process_is_spared(action: str) -> None:
    met = fate(f"spawn=1:{action}")
    assert met is not None
    assert met.process == os.getpid()
    with pytest.raises(OSError, match=rf"^\[Errno 5\] {VARIABLE} asked for a fault at 'spawn'$"):
        met.before(Point.SPAWN, lambda: None)()


@pytest.mark.parametrize("channel", [MemoryChannel, PacketChannel])
def test_ends_without_a_fate_are_as_their_class_says(channel: type[MemoryChannel | PacketChannel]) -> None:
    junction = channel(1, 1, None)
    ends = (junction.sender(0), junction.receiver())
    try:
        for end in ends:
            end.open(None)
            assert not {"send", "receive", "_place"} & set(vars(end))
            end.open(Fate((Rule(Point.SEND, None, 1.0, 0, "raise"), Rule(Point.RECEIVE, None, 1.0, 0, "raise")), "", 0))
            assert {"send", "receive"} & set(vars(end))
    finally:
        for end in ends:
            end.close()
        junction.close()

"""Progress, made of two readings of the board."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from chainpump.ipc.board import State
from chainpump.messages.names import Role
from chainpump.progress.reading import Reading, StageFacts, WorkerReading
from chainpump.progress.snapshot import Progress, clock, progress, units

SECOND = 1_000_000_000

LOAD = StageFacts("load", Role.SOURCE, "Inline()", 1, group=0)
DECODE = StageFacts("decode", Role.STAGE, "Processes(2)", 2, group=1, grows=True, on_processes=True)
SAVE = StageFacts("save", Role.SINK, "Threads(1)", 1, group=2)
PLACES = (LOAD, DECODE, SAVE)


def seconds(lived: float, starved: float = 0, blocked: float = 0) -> dict[str, Any]:
    return {"lived": int(lived * SECOND), "starved": int(starved * SECOND), "blocked": int(blocked * SECOND)}


def reading(at: float, *stages: Sequence[WorkerReading], began: float = 0) -> Reading:
    return Reading(int(at * SECOND), int(began * SECOND), stages)


BEFORE = reading(
    10,
    [WorkerReading(alive=True, sent=500, **seconds(10, 0, 5))],
    [
        WorkerReading(alive=True, received=250, finished=240, sent=240, **seconds(10)),
        WorkerReading(alive=True, received=240, finished=240, sent=240, **seconds(8, 1)),
    ],
    [WorkerReading(alive=True, received=480, finished=480, **seconds(10, 9))],
)
NOW = reading(
    14,
    [WorkerReading(alive=True, sent=700, **seconds(14, 0, 8))],
    [
        WorkerReading(alive=True, received=350, finished=330, skipped=15, sent=330, retried=3, **seconds(14)),
        WorkerReading(received=330, finished=320, dead=2, sent=320, restarts=1, **seconds(11, 1.5, 0.5)),
    ],
    [WorkerReading(alive=True, received=650, finished=640, **seconds(14, 12))],
)


def test_counts_are_those_of_all_workers_until_now() -> None:
    load, decode, save = progress(PLACES, NOW, BEFORE).stages
    assert (load.sent, load.alive, load.in_flight) == (700, 1, 0)
    assert (decode.received, decode.sent, decode.in_flight) == (680, 650, 680 - 650 - 15 - 2)
    assert (decode.alive, decode.skipped, decode.dead, decode.retried, decode.restarts) == (1, 15, 2, 3, 1)
    assert (save.received, save.in_flight, save.executor, save.role) == (650, 10, "Threads(1)", "sink")


def test_workers_on_other_machines_are_also_counted_for_each_machine() -> None:
    def placed(reading: Reading) -> Reading:
        load, decode, save = reading.stages
        return replace(reading, stages=[load, [decode[0]._replace(host="n1"), decode[1]._replace(host="n2")], save])

    load, decode, save = progress(PLACES, placed(NOW), placed(BEFORE)).stages
    assert decode == replace(progress(PLACES, NOW, BEFORE).stages[1], hosts=decode.hosts)
    first, second = decode.hosts
    assert (first.host, first.workers, first.alive, first.received, first.rate) == ("n1", 1, 1, 350, 25)
    assert (second.host, second.workers, second.alive, second.received, second.restarts) == ("n2", 1, 0, 330, 1)
    assert load.hosts == save.hosts == ()


def test_rates_and_shares_are_those_of_the_time_between_two_readings() -> None:
    load, decode, save = progress(PLACES, NOW, BEFORE).stages
    assert (load.rate, decode.rate, save.rate) == (200 / 4, 190 / 4, 170 / 4)
    assert (load.busy, load.starved, load.blocked) == (0.25, 0, 0.75)
    assert (decode.busy, decode.starved, decode.blocked) == pytest.approx((6 / 7, 0.5 / 7, 0.5 / 7))
    assert (save.busy, save.starved, save.blocked) == (0.25, 0.75, 0)


def test_without_an_earlier_reading_they_are_those_of_the_whole_run() -> None:
    snapshot = progress(PLACES, NOW)
    assert snapshot.stages[0].rate == 700 / 14
    assert (snapshot.seconds, snapshot.elapsed) == (14, 14)


def test_what_comes_out_is_what_the_last_stage_has_received() -> None:
    snapshot = progress(PLACES, NOW, BEFORE)
    assert (snapshot.items, snapshot.rate, snapshot.elapsed, snapshot.seconds) == (650, 170 / 4, 14, 4)


def test_of_an_unknown_number_of_items_no_part_is_done() -> None:
    snapshot = progress(PLACES, NOW, BEFORE)
    assert (snapshot.length, snapshot.fraction, snapshot.percent, snapshot.left) == (None, None, None, None)


def test_the_part_that_is_done_is_followed_through_the_chain() -> None:
    """What the source has made, times what each stage has dealt with of what it was sent."""
    snapshot = progress(PLACES, NOW, BEFORE, length=1000)
    now, before = 700 / 1000 * 667 / 700 * 640 / 650, 500 / 1000 * 480 / 500 * 480 / 480
    assert snapshot.fraction == pytest.approx(now)
    assert snapshot.percent == pytest.approx(100 * now)
    assert snapshot.left == pytest.approx((1 - now) * 4 / (now - before))


@pytest.mark.parametrize(
    "sent, finished, length, done",
    [
        pytest.param(0, 0, 10, 0.0, id="nothing yet"),
        pytest.param(10, 0, 10, 0.0, id="made, and waiting"),
        pytest.param(10, 5, 10, 0.5, id="half"),
        pytest.param(10, 10, 10, 1.0, id="all"),
        pytest.param(12, 12, 10, 1.0, id="more than was said"),
        pytest.param(0, 0, 0, 1.0, id="of nothing"),
    ],
)
def test_a_part_lies_between_nothing_and_all(sent: int, finished: int, length: int, done: float) -> None:
    now = reading(1, [WorkerReading(sent=sent)], [WorkerReading(received=finished, finished=finished)])
    assert progress((LOAD, SAVE), now, length=length).fraction == done


def test_items_that_were_done_before_are_a_part_of_the_whole() -> None:
    now = reading(1, [WorkerReading(sent=10)], [WorkerReading(received=5, finished=5)])
    snapshot = progress((LOAD, SAVE), now, length=10, done_before=30)
    assert (snapshot.length, snapshot.done_before, snapshot.items) == (40, 30, 5)
    assert snapshot.fraction == pytest.approx(35 / 40)
    assert snapshot.left == pytest.approx(1.0)
    assert "88% of 40, 30 done before" in snapshot.line()


def test_once_the_source_has_ended_it_is_known_how_much_there_is_to_do() -> None:
    load = [each._replace(state=State.DONE) for each in NOW.stages[0]]
    snapshot = progress(PLACES, replace(NOW, stages=[load, *NOW.stages[1:]]), BEFORE)
    assert snapshot.length == 700
    assert snapshot.fraction == pytest.approx(667 / 700 * 640 / 650)
    assert "94% of 700" in snapshot.line()


def test_a_line_tells_what_policies_have_left_out() -> None:
    assert progress(PLACES, NOW).line().endswith("bottleneck decode, 15 skipped, 2 dead letters")


def test_a_run_that_does_not_get_on_has_no_time_left_to_tell() -> None:
    later = reading(15, *NOW.stages)
    assert progress(PLACES, later, NOW, length=1000).left is None


def test_before_anything_has_started_there_is_nothing_to_share() -> None:
    first = progress(PLACES, reading(0, [WorkerReading()], [WorkerReading()] * 2, [WorkerReading()]))
    assert [(each.busy, each.starved, each.blocked, each.rate) for each in first.stages] == [(0, 0, 0, 0)] * 3
    assert (first.rate, first.bottleneck) == (0, None)


def test_the_bottleneck_is_the_one_of_the_time_between_two_readings() -> None:
    assert progress(PLACES, NOW, BEFORE).bottleneck == "decode"


def test_who_has_ended_is_no_bottleneck_any_more() -> None:
    ended = reading(14, *BEFORE.stages)
    assert progress(PLACES, ended, BEFORE).bottleneck is None


def test_load_is_of_the_whole_time_of_all_workers_since_the_first_of_them_began() -> None:
    now = reading(10, [WorkerReading(**seconds(4, 1))], [WorkerReading(**seconds(8))] * 2, [WorkerReading()], began=2)
    load, decode, save = units(PLACES, now)
    assert (load.load, decode.load, save.load) == (3 / 8, 1.0, 0)
    assert (load.is_source, decode.grows, decode.on_processes, decode.workers) == (True, True, True, 2)


def test_load_of_auto_workers_is_of_the_time_of_those_that_were_there() -> None:
    auto = replace(DECODE, workers=8, is_auto=True)
    spare = [WorkerReading()] * 5
    now = reading(10, [WorkerReading(**seconds(10, 5))], [WorkerReading(**seconds(10)), *spare], [WorkerReading()])
    assert [(each.load, each.workers) for each in units((LOAD, auto, SAVE), now)][1] == (1.0, 1)
    some = [WorkerReading(**seconds(10)), WorkerReading(**seconds(10)), WorkerReading(**seconds(8, 7)), *spare]
    now = reading(10, [WorkerReading(**seconds(10, 5))], some, [WorkerReading()])
    assert [(each.load, each.workers) for each in units((LOAD, auto, SAVE), now)][1] == (21 / 28, 3)


def test_neighbours_that_share_their_workers_are_one_unit() -> None:
    joined = (LOAD, StageFacts("parse", Role.STAGE, "Inline()", 1, group=0), SAVE)
    now = reading(10, [WorkerReading(**seconds(10))], [WorkerReading(**seconds(10))], [WorkerReading(**seconds(10, 9))])
    assert [unit.names for unit in units(joined, now)] == [("load", "parse"), ("save",)]
    told = progress(joined, now)
    assert told.bottleneck == "load + parse"
    assert [each.is_bottleneck for each in told.stages] == [True, True, False]


def test_of_stages_of_one_name_only_the_one_that_holds_up_the_others_is_marked() -> None:
    assert [each.is_bottleneck for each in progress([replace(each, stage="a + b") for each in PLACES], NOW).stages] == [
        False,
        True,
        False,
    ]


def test_a_snapshot_prints_as_a_table() -> None:
    assert str(progress(PLACES, BEFORE, length=1000)).splitlines() == [
        "stage   on            alive  received  sent  items/s  queued  in flight  busy  starved  blocked",
        "load    Inline()          1             500       50                      50%       0%      50%",
        "decode  Processes(2)      2       490   480       49      10         10   94%       6%       0%",
        "save    Threads(1)        1       480             48       0          0   10%      90%       0%",
        "480 items, 48/s, 0:10, 48% of 1,000, 0:10 left, bottleneck decode",
    ]


def test_what_only_some_stages_have_gets_a_column() -> None:
    head, _, decode, *_ = str(progress(PLACES, NOW)).splitlines()
    assert head.split()[-4:] == ["skipped", "dead", "retried", "restarts"]
    assert decode.split()[-4:] == ["15", "2", "3", "1"]


@pytest.mark.parametrize("seconds, text", [(0, "0:00"), (7.9, "0:07"), (750, "12:30"), (3723, "1:02:03")])
def test_a_clock_shows_seconds_minutes_and_hours(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_a_snapshot_is_frozen() -> None:
    snapshot: Progress = progress(PLACES, NOW)
    with pytest.raises(AttributeError):
        snapshot.items = 3  # type: ignore[misc]  # that is the point

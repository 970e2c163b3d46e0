"""What a run looked like, as a value, a table and JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from chainpump.errors import DeadItem
from chainpump.messages.names import Role
from chainpump.progress.reading import Reading, StageFacts, WorkerReading
from chainpump.progress.report import Report, report

SECOND = 1_000_000_000

PLACES = (
    StageFacts("load", Role.SOURCE, "Inline()", 1, group=0),
    StageFacts("decode", Role.STAGE, "Processes(2)", 2, group=1, grows=True, on_processes=True),
    StageFacts("save", Role.SINK, "Threads(1)", 1, group=2),
)


def worker(lived: float, starved: float = 0, blocked: float = 0, **counts: Any) -> WorkerReading:
    return WorkerReading(
        lived=int(lived * SECOND), starved=int(starved * SECOND), blocked=int(blocked * SECOND), **counts
    )


DECODERS = [
    worker(10, received=60, finished=55, skipped=5, sent=55, memory=30_000_000, cpu=8 * SECOND),
    worker(10, received=40, finished=40, sent=40, memory=40_000_000, cpu=7 * SECOND, delayed=3 * SECOND),
]
FINAL = Reading(
    10 * SECOND,
    0,
    [[worker(4, 0, 3, sent=100)], DECODERS, [worker(10, 9, received=95, finished=95)]],
    is_over=True,
)


@pytest.fixture
def made() -> Report[int]:
    return report(PLACES, FINAL, 95, [DeadItem("decode", 7, "x", ValueError("no date"), "")], [None, 12, 3], SECOND)


def test_counts_and_seconds_are_sums_over_the_workers_of_a_stage(made: Report[int]) -> None:
    decode = made.stages[1]
    assert (decode.stage, decode.role, decode.executor, decode.workers) == ("decode", "stage", "Processes(2)", 2)
    assert (decode.received, decode.finished, decode.skipped, decode.sent) == (100, 95, 5, 95)
    assert (decode.busy, decode.starved, decode.blocked, decode.lived) == (20, 0, 0, 20)
    assert (decode.memory, decode.cpu) == ((30_000_000, 40_000_000), 15)
    assert [each.is_bottleneck for each in made.stages] == [False, True, False]


def test_a_stage_on_other_machines_has_a_row_for_each_of_them() -> None:
    there = [each._replace(host=host) for each, host in zip(DECODERS, ("n1", "n2"), strict=True)]
    made = report(
        PLACES, replace(FINAL, stages=[FINAL.stages[0], there, FINAL.stages[2]]), 95, (), [None, 12, 3], SECOND
    )
    assert made.stages[1].hosts[1].memory == (40_000_000,)
    head, _, decode, first, second, *_ = str(made).splitlines()
    assert head == (
        "stage   on            host  received  skipped  sent  items/s  busy  starved  blocked"
        "  peak in flight  peak memory"
    )
    assert decode.split() == ["decode", "Processes(2)", "100", "5", "95", "10", "100%", "0%", "0%", "12", "40", "MB"]
    assert first.split() == ["n1", "60", "5", "55", "6", "100%", "0%", "0%", "30", "MB"]
    assert second.split() == ["n2", "40", "40", "4", "100%", "0%", "0%", "40", "MB"]
    told = json.loads(made.to_json())["stages"][1]
    assert [(each["host"], each["received"], each["hosts"]) for each in told["hosts"]] == [
        ("n1", 60, []),
        ("n2", 40, []),
    ]


def test_rates_are_of_the_whole_run(made: Report[int]) -> None:
    assert (made.duration, [each.rate for each in made.stages]) == (10, [10, 10, 9.5])


def test_items_in_flight_are_known_only_where_somebody_looked(made: Report[int]) -> None:
    assert [each.peak_in_flight for each in made.stages] == [None, 12, 3]
    unseen = report(PLACES, FINAL, None, (), None, 0)
    assert [each.peak_in_flight for each in unseen.stages] == [None] * 3
    assert "peak in flight" not in str(unseen)


def test_a_report_prints_as_a_table_with_its_bottleneck(made: Report[int]) -> None:
    head, load, decode, save, run, advice, letters, letter = str(made).splitlines()
    assert head == (
        "stage   on            received  skipped  sent  items/s  busy  starved  blocked  peak in flight  peak memory"
    )
    assert load == "load    Inline()                          100       10   25%       0%      75%"
    assert decode == (
        "decode  Processes(2)       100        5    95       10  100%       0%       0%              12        40 MB"
    )
    assert save == "save    Threads(1)          95                      10   10%      90%       0%               3"
    assert run == "10.00 s; the bottleneck is 'decode'"
    assert advice.startswith("'decode' has a load of 100% on 2 workers, 'load' of 10%")
    assert (letters, letter) == ("1 dead letter:", "  'decode', item 7, 'x': ValueError: no date")
    many = replace(made, dead_letters=[replace(made.dead_letters[0], error=ValueError("long\n" * 99))] * 7)
    *_, fifth, more = str(many).splitlines()
    assert fifth.startswith(r"  'decode', item 7, 'x': ValueError: long\nlong\nlong")
    assert (len(fifth), more) == (185, "  and 2 more in report.dead_letters")


def test_a_report_shows_itself_in_a_notebook(made: Report[int]) -> None:
    page = made._repr_html_()
    assert ">decode ◀</td>" in page
    assert "10.00 s; the bottleneck is &#x27;decode&#x27;<br>" in page
    assert "1 dead letter:<br>" in page


def test_without_a_bottleneck_nothing_is_said_of_one() -> None:
    idle = Reading(10 * SECOND, 0, [[worker(10, 0, 9)], [worker(10, 10)] * 2, [worker(10, 9)]], is_over=True)
    made = report(PLACES, idle, None, (), None, 0)
    assert (made.bottleneck, made.advice) == (None, "")
    assert str(made).splitlines()[-1] == "10.00 s"


def test_a_process_that_died_without_a_word_leaves_open_what_the_machine_has_room_for() -> None:
    killed = Reading(FINAL.at, 0, [FINAL.stages[0], [DECODERS[0], worker(10)], FINAL.stages[2]], is_over=True)
    made = report(PLACES, killed, None, (), None, SECOND)
    assert made.advice == "'decode' has a load of 100% on 2 workers, 'load' of 10%."
    assert made.stages[1].memory == (30_000_000,)


def test_a_report_says_so_unless_the_run_has_ended_well(made: Report[int]) -> None:
    failed = replace(made, status="failed", error="StageError: sink 'save' raised OSError on item 3:\n  it is full")
    assert str(failed).splitlines()[4:7] == [
        "10.00 s, failed; the bottleneck is 'decode'",
        "StageError: sink 'save' raised OSError on item 3:",
        "  it is full",
    ]
    assert str(replace(made, status="cancelled")).splitlines()[4] == "10.00 s, cancelled; the bottleneck is 'decode'"
    told = json.loads(failed.to_json())
    assert (told["status"], told["error"]) == ("failed", failed.error)


def test_json_has_all_but_the_value(made: Report[int]) -> None:
    told = json.loads(made.to_json())
    assert list(told) == [
        "started",
        "status",
        "error",
        "failed_stage",
        "done_before",
        "again_at_most",
        "done",
        "left",
        "duration",
        "bottleneck",
        "advice",
        "dead_letters",
        "letters",
        "latency",
        "stages",
        "decisions",
    ]
    assert (told["status"], told["error"], told["started"]) == ("completed", None, None)
    assert json.loads(replace(made, started=0.0).to_json())["started"] == "1970-01-01T00:00:00+00:00"
    letter = {"stage": "decode", "index": 7, "part": 0, "item": "'x'", "error": "ValueError: no date"}
    assert told["letters"] == [letter]
    assert (told["duration"], told["bottleneck"], told["dead_letters"]) == (10, "decode", 1)
    assert list(told["stages"][1].items()) == [
        ("stage", "decode"),
        ("role", "stage"),
        ("executor", "Processes(2)"),
        ("workers", 2),
        ("received", 100),
        ("finished", 95),
        ("sent", 95),
        ("skipped", 5),
        ("dead", 0),
        ("retried", 0),
        ("restarts", 0),
        ("recycled", 0),
        ("busy", 20),
        ("starved", 0),
        ("blocked", 0),
        ("rate", 10),
        ("peak_in_flight", 12),
        ("memory", [30_000_000, 40_000_000]),
        ("cpu", 15),
        ("delayed", 3),
        ("is_bottleneck", True),
        ("set_up", 0),
        ("host", ""),
        ("hosts", []),
    ]


def test_a_run_in_which_nothing_started_has_a_report_too() -> None:
    nothing = Reading(0, 0, [[WorkerReading()], [WorkerReading()] * 2, [WorkerReading()]], is_over=True)
    assert "decode" in str(report(PLACES, nothing, None, (), None, 0))

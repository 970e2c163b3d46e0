"""The live table of a terminal: bars, marks, and what a narrow terminal does without."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from chainpump.progress.live_table import live_table
from chainpump.progress.snapshot import Progress, StageProgress

LOAD = StageProgress("load", "source", "Inline()", 1, 1, 0, 1_700, 85.0, 0, 0.25, 0.0, 0.75)
DECODE = StageProgress(
    "decode",
    "stage",
    "Processes(2)",
    2,
    2,
    1_680,
    1_650,
    82.5,
    17,
    0.9,
    0.1,
    0.0,
    skipped=13,
    is_bottleneck=True,
    queued=20,
)
SAVE = StageProgress("save", "sink", "Threads(1)", 1, 0, 1_650, 0, 82.5, 10, 0.0, 0.0, 0.0)
PROGRESS = Progress(20.0, 10.0, 1_650, 82.5, 3_300, 0.5, 20.0, "decode", (LOAD, DECODE, SAVE))


def drawn(width: int, height: int = 24, *, of: Progress = PROGRESS, ascii_only: bool = False) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    with console.capture() as capture:
        console.print(live_table(of, width, height, ascii_only=ascii_only))
    return [line.rstrip() for line in capture.get().splitlines()]


def test_a_table_shows_shares_as_bars_and_marks_the_bottleneck_and_says_what_the_marks_mean() -> None:
    head, load, decode, save, *below = drawn(120)
    assert " ".join(head.split()) == "stage on alive received sent items/s queued in flight busy skipped time"
    assert load.split() == ["load", "Inline()", "1", "1,700", "85", "25%", "0", "█████▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒"]
    assert decode.startswith("decode ◀  Processes(2)      2     1,680  1,650       82      20         17   90%  ")
    assert decode.endswith("   13  ██████████████████··")
    assert save.split() == ["save", "Threads(1)", "0", "1,650", "82", "0", "10", "0%", "0"]
    assert below == [
        "1,650 items, 82/s, 0:20, 50% of 3,300, 0:20 left, bottleneck decode, 13 skipped",
        "◀ bottleneck  █ busy  · starved: waits for items  ▒ blocked: waits to send",
    ]


@pytest.mark.parametrize(
    "width, decode",
    [
        (100, "decode ◀  Processes(2)     1,680       82      20         17   90%       13  ██████████████████··"),
        (80, "decode ◀     1,680       82      20         17   90%       13  █████████·"),
        (60, "decode ◀       82      20         17   90%  █████████·"),
        (45, "decode ◀       82      20   90%  █████████·"),
        (36, "decode ◀       82   90%"),
        (20, "decode ◀       82"),
        (17, "de…e ◀       82"),
    ],
)
def test_a_narrow_terminal_keeps_names_rates_and_the_mark_of_the_bottleneck(width: int, decode: str) -> None:
    lines = drawn(width)
    assert lines[2] == decode
    assert max(map(len, lines)) <= width
    assert lines[-1].startswith("◀ bottleneck")


def test_a_long_name_is_cut_in_the_middle() -> None:
    long = replace(PROGRESS, stages=(LOAD, replace(DECODE, stage="normalise_addresses_of_europe"), SAVE))
    assert drawn(30, of=long)[2] == "normalis…f_europe ◀       82"
    wide = replace(PROGRESS, stages=(LOAD, replace(DECODE, stage="日本語の名前を読む"), SAVE))
    assert max(len(line) + sum(each > "⺀" for each in line) for line in drawn(24, of=wide)) <= 24


def test_a_terminal_without_unicode_gets_plain_marks() -> None:
    _, load, decode, *_, legend = drawn(80, ascii_only=True)
    assert decode.startswith("decode <")
    assert load.split()[-1] == "##========"
    assert legend == "< bottleneck  # busy  . starved: waits for items  = blocked: waits to send"


ON_HOSTS = replace(
    DECODE,
    hosts=(
        replace(DECODE, host="n1", alive=1, received=1_200, is_bottleneck=False),
        replace(DECODE, host="n2", alive=0, received=480, is_bottleneck=False),
    ),
)


def test_a_stage_on_other_machines_has_a_row_for_each_of_them_as_long_as_these_fit() -> None:
    progress = replace(PROGRESS, stages=(LOAD, ON_HOSTS, SAVE))
    head, load, decode, first, second, save, line, _ = drawn(130, 9, of=progress)
    assert " ".join(head.split()) == ("stage on host alive received sent items/s queued in flight busy skipped time")
    assert first.split()[:4] == ["n1", "1", "1,200", "1,650"]
    assert second.split()[:4] == ["n2", "0", "480", "1,650"]
    assert decode.split()[:5] == ["decode", "◀", "Processes(2)", "2", "1,680"]
    assert [each.split()[0] for each in (load, save)] == ["load", "save"]
    assert "bottleneck decode, 13 skipped, workers on 1 of 2 hosts" in line
    head, _, _, _, line, _ = drawn(130, 8, of=progress)
    assert "host" not in head
    assert line.endswith("workers on 1 of 2 hosts")
    assert "hosts" not in replace(progress, is_over=True).line()

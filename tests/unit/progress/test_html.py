"""A report as a page: all of it is there, nothing is fetched, and a browser draws it."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from chainpump import DeadItem, Report, StageReport
from chainpump.progress.history import Sample
from chainpump.progress.latency import Latency
from chainpump.progress.run_record import Status

LOAD = StageReport(
    "load", "source", "Inline()", 1, 0, 0, 400, 0, 0, 0, 0, 0, busy=1.0, starved=0.0, blocked=3.0, rate=40.0
)
MIXED = replace(
    LOAD,
    stage="mix <&> match",
    role="stage",
    received=400,
    sent=200,
    busy=19.0,
    starved=1.0,
    blocked=0.0,
    is_bottleneck=True,
)
SAVE = StageReport(
    "save", "sink", "Threads(1)", 1, 200, 200, 0, 0, 0, 0, 0, 0, busy=2.0, starved=8.0, blocked=0.0, rate=20.0
)
SAMPLES = (Sample(2.0, (300, 80, 40), (0, 5, 1)), Sample(10.0, (400, 400, 200), (0, 0, 0)))
LATENCY = Latency([(0.5, 10), (1.0, 40), (2.0, 20), (8.0, 1)])
REPORT = Report(None, (LOAD, MIXED, SAVE), 10.0, (), "mix <&> match", "'mix' is busy.", SAMPLES, LATENCY)
# Elements without an end.
VOID = {"meta"}


class Elements(HTMLParser):
    """What a page is made of: every element that begins also ends, in the right order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += f"{data} "


@pytest.fixture
def written(tmp_path: Path) -> Path:
    REPORT.to_html(tmp_path / "run.html")
    return tmp_path / "run.html"


def test_a_page_shows_stages_figures_and_advice(written: Path) -> None:
    text = Elements(written.read_text()).text
    assert all(stage.stage in text for stage in REPORT.stages)
    for said in ("the bottleneck is", "'mix' is busy.", "400 items", "200 items", "Threads(1)", "0:10"):
        assert said in text


@pytest.mark.parametrize(
    "status, error, said",
    [
        (
            "failed",
            "StageError: stage 'mix' raised <odd>:\n  three",
            "failed \nStageError: stage 'mix' raised <odd>:\n  three ",
        ),
        ("cancelled", None, "cancelled "),
        ("running", None, "running "),
        ("completed", None, None),
    ],
)
def test_a_banner_says_so_unless_the_run_has_ended_well(
    status: Status, error: str | None, said: str | None, tmp_path: Path
) -> None:
    replace(REPORT, status=status, error=error).to_html(tmp_path / "run.html")
    elements = Elements((tmp_path / "run.html").read_text())
    banners = [
        attrs["class"] for tag, attrs in elements.found if (tag, f"status {status}") == (tag, attrs.get("class"))
    ]
    assert len(banners) == (said is not None)
    assert said is None or said in elements.text


def test_the_bottleneck_alone_has_an_edge_of_its_own(written: Path) -> None:
    boxes = [dict(attrs) for _, attrs in Elements(written.read_text()).found if "stroke" in attrs and "rx" in attrs]
    assert [box["stroke"] for box in boxes] == ["var(--line)", "var(--slow)", "var(--line)"]


def test_nothing_is_fetched(written: Path) -> None:
    page = written.read_text()
    assert not re.search(r"https?:|url\(|@import", page)
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in Elements(page).found}


def test_a_flow_is_as_wide_as_it_has_items(written: Path) -> None:
    found = Elements(written.read_text()).found
    flows = [float(each["width"] or 0) for tag, each in found if tag == "rect" and each.get("fill") == "var(--flow)"]
    assert flows[:2] == [60.0, 31.0]


def test_a_histogram_has_a_bar_for_each_class_and_a_line_for_each_percentile(written: Path) -> None:
    elements = Elements(written.read_text())
    bars = [each for tag, each in elements.found if tag == "rect" and each.get("fill") == "var(--flow)"][2:]
    heights = [float(each["height"] or 0) for each in bars]
    assert heights == [24.0, 96.0, 48.0, 2.4]
    places = [float(each["x"] or 0) for each in bars]
    assert places[3] - places[2] == pytest.approx(2 * (places[2] - places[1]), abs=0.2), (
        "two doublings are as wide as twice one"
    )
    assert "50% within 1 s, 90% within 2 s, 99% within 8 s" in elements.text
    assert sum("stroke-dasharray" in each for _, each in elements.found) == 3


def test_bars_are_as_long_as_shares(written: Path) -> None:
    found = Elements(written.read_text()).found
    blocked = [float(each["width"] or 0) for tag, each in found if each.get("fill") == "var(--blocked)"]
    assert blocked == [0.75 * 336, 0, 0]


def test_each_stage_has_a_line_over_time(written: Path) -> None:
    lines = [each["points"] or "" for tag, each in Elements(written.read_text()).found if tag == "polyline"]
    assert len(lines) == 2 * len(REPORT.stages)
    assert [len(line.split()) for line in lines] == [2] * 3 + [3] * 3
    tops = [min(float(point.partition(",")[2]) for point in line.split()) for line in lines[:3]]
    assert tops[1] - tops[0] == tops[2] - tops[1] > 40, "each has a scale of its own, below that of the one before"


def test_a_first_burst_does_not_flatten_the_rest(tmp_path: Path) -> None:
    moved = [900, 1_200, 1_510, 1_800]
    samples = tuple(Sample(float(at), (items, 0, 0), (0, 0, 0)) for at, items in enumerate(moved, 1))
    replace(REPORT, samples=samples, duration=4.0).to_html(tmp_path / "run.html")
    elements = Elements((tmp_path / "run.html").read_text())
    assert "up to 310/s, at first 900/s" in elements.text
    line = next(each["points"] or "" for tag, each in elements.found if tag == "polyline")
    heights = [float(point.partition(",")[2]) for point in line.split()]
    assert heights[0] == heights[2] == min(heights), "the burst is cut off at the top"
    assert max(heights) - min(heights) < 4


def test_a_page_says_when_it_was_and_which_stage_has_failed_and_lists_dead_letters(tmp_path: Path) -> None:
    letters = [DeadItem("mix <&> match", 7, {"a": 1}, ValueError("no <b>"), "")] * 201
    failed = replace(REPORT, status="failed", failed_stage="save", started=1_700_000_000.0, dead_letters=letters)
    failed.to_html(tmp_path / "run.html")
    elements = Elements((tmp_path / "run.html").read_text())
    assert re.search(r"2023-11-1[45] \d\d:\d\d:20 UTC[+-]\d{4}, took 0:10", elements.text)
    edges = [attrs["stroke"] for _, attrs in elements.found if "stroke" in attrs and "rx" in attrs]
    assert edges == ["var(--line)", "var(--slow)", "var(--bad)"]
    for said in (" failed ", " bottleneck ", "The first 200 of 201.", "{'a': 1}", "ValueError: no <b>"):
        assert said in elements.text


def test_a_long_name_fits_its_box_and_is_told_whole_where_the_pointer_is(tmp_path: Path) -> None:
    name = "normalise_the_addresses_of_all_customers_in_europe"
    replace(REPORT, stages=(LOAD, replace(MIXED, stage=name), SAVE)).to_html(tmp_path / "run.html")
    page = (tmp_path / "run.html").read_text()
    assert f">normalise_the_addr…stomers_in_europe<title>{name}</title></text>" in page


def test_without_samples_the_page_says_how_to_get_them(tmp_path: Path) -> None:
    replace(REPORT, samples=(), latency=None).to_html(str(tmp_path / "run.html"))
    elements = Elements((tmp_path / "run.html").read_text())
    assert "observe=" in elements.text
    assert "Time from" not in elements.text
    assert "polyline" not in {tag for tag, _ in elements.found}


def test_of_a_run_that_ended_before_the_first_snapshot_the_page_says_that_it_was_too_short(tmp_path: Path) -> None:
    replace(REPORT, samples=SAMPLES[-1:]).to_html(tmp_path / "run.html")
    elements = Elements((tmp_path / "run.html").read_text())
    assert "too short for a chart" in elements.text
    assert "observe=" not in elements.text


def test_a_run_in_which_nothing_happened_has_a_page(tmp_path: Path) -> None:
    idle = replace(LOAD, sent=0, busy=0.0, blocked=0.0, rate=0.0)
    Report(None, (idle,), 0.0).to_html(tmp_path / "run.html")
    Elements((tmp_path / "run.html").read_text())


CHROMIUM = shutil.which("chromium")
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--hide-scrollbars"),
)


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")
def test_a_browser_draws_it_on_a_phone(written: Path, tmp_path: Path) -> None:
    sizes = []
    for number, url in enumerate(("about:blank", written.as_uri())):
        picture = tmp_path / f"{number}.png"
        subprocess.run(
            [
                CHROMIUM or "",
                *QUIET,
                f"--user-data-dir={tmp_path / 'profile'}",
                "--window-size=500,1200",
                f"--screenshot={picture}",
                url,
            ],
            check=True,
            capture_output=True,
            timeout=100,
        )
        sizes.append(picture.stat().st_size)
    blank, drawn = sizes
    assert drawn > 3 * blank

"""A report as one page of HTML: the chain of stages, the table, and charts over time. It loads nothing else.

The drawings are plain SVG. Colours are custom properties, so that one page serves light and dark themes.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import pairwise
from math import log2

# A page shows nothing of a run's value.
from typing import Any

from .history import Sample
from .html_table import html_table, shown
from .latency import PERCENTS, STEPS, Latency, readable
from .run_record import RunRecord, StageReport
from .snapshot import clock

__all__ = ["page"]

# Units of every drawing: about what a phone shows.
WIDTH = 360
# Heights of a stage and of the flow behind it.
BOX, GAP = 58, 30
# Widths of a flow without items, and of the greatest.
THIN, THICK = 2, 60
# Height of a chart.
CHART = 150
# Its margins.
LEFT, RIGHT, TOP, BOTTOM = 8, 8, 18, 18
# Height of a line of small text.
LABEL = 11

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1b1f24; --faint: #667; --line: #d5d9e0; --box: #f4f6f9;
  --busy: #2a8a4a; --starved: #c3c9d2; --blocked: #d9902f; --flow: #9db8dc; --slow: #c0392b; }
@media (prefers-color-scheme: dark) { :root { --paper: #15181d; --ink: #e4e8ee; --faint: #98a2b0; --line: #343b46;
  --box: #20252d; --busy: #4cb36e; --starved: #4a5361; --blocked: #dfa04a; --flow: #40608c; --slow: #ff7a6b; } }
body { margin: 0 auto; max-width: 60rem; padding: 1rem; background: var(--paper); color: var(--ink);
  font: 16px/1.45 system-ui, sans-serif; }
h1 { font-size: 1.25rem; margin: 0 0 .25rem; } h2 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
.status { margin: .75rem 0; padding: .5rem .75rem; background: var(--box); border-left: .3rem solid var(--flow);
  white-space: pre-wrap; overflow-wrap: anywhere; }
.failed { border-color: var(--slow); } .cancelled { border-color: var(--blocked); }
p { margin: .25rem 0; } .faint, .small { color: var(--faint); } .small { font-size: .8rem; }
.drawings { display: grid; grid-template-columns: repeat(auto-fit, minmax(18rem, 1fr)); gap: 1rem 2rem; }
svg { width: 100%; height: auto; display: block; } text { fill: var(--ink); font-size: 12px; }
text.faint { fill: var(--faint); font-size: 10px; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .85rem; white-space: nowrap; }
th, td { padding: .25rem .6rem; text-align: right; border-bottom: 1px solid var(--line); }
.legend { display: flex; flex-wrap: wrap; gap: .2rem .9rem; font-size: .8rem; padding: 0; margin: .3rem 0; }
.legend li { list-style: none; } .legend i { display: inline-block; width: .8em; height: .8em; margin-right: .35em; }
"""


def page(report: RunRecord[Any]) -> str:
    """The whole page."""
    held_by = f"; the bottleneck is <strong>{shown(report.bottleneck)}</strong>" if report.bottleneck else ""
    chain = " → ".join(shown(stage.stage) for stage in report.stages)
    return "\n".join(
        (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{chain}</title><style>{STYLE}</style></head><body>",
            f"<h1>{chain}</h1>{_status(report)}",
            f"<p>{clock(report.duration)}{held_by}</p><p>{escape(report.advice)}</p>",
            '<div class="drawings"><section><h2>Flow</h2>',
            _chain(report.stages),
            _legend([("busy", "var(--busy)"), ("starved", "var(--starved)"), ("blocked", "var(--blocked)")]),
            "</section>",
            _over_time(report),
            _latency(report.latency),
            '</div><h2>Figures</h2><div class="wide">',
            html_table(*report.cells()),
            "</div>",
            _decisions(report),
            "</body></html>\n",
        )
    )


def _status(report: RunRecord[Any]) -> str:
    """How the run has ended, unless it was completed."""
    if report.status == "completed":
        return ""
    why = f"\n{escape(report.error)}" if report.error is not None else ""
    return f'<p class="status {report.status}"><strong>{report.status}</strong>{why}</p>'


def _chain(stages: Sequence[StageReport]) -> str:
    """Each stage as a box with a bar for its time; between two stages a flow, whose width is its number of items."""
    most = max((stage.sent for stage in stages), default=0) or 1
    parts = []
    for index, stage in enumerate(stages):
        y = index * (BOX + GAP)
        if index + 1 < len(stages):
            width = THIN + (THICK - THIN) * stage.sent / most
            parts.append(
                f'<rect x="{WIDTH / 2 - width / 2:.1f}" y="{y + BOX}" width="{width:.1f}" height="{GAP}" '
                f'fill="var(--flow)"/><text x="{WIDTH / 2 + THICK / 2 + 8}" y="{y + BOX + GAP / 2 + 4}" class="faint">'
                f"{stage.sent:,} items</text>"
            )
        edge = "var(--slow)" if stage.is_bottleneck else "var(--line)"
        parts.append(
            f'<rect x="1" y="{y + 1}" width="{WIDTH - 2}" height="{BOX - 2}" rx="6" fill="var(--box)" stroke="{edge}" '
            f'stroke-width="{2 if stage.is_bottleneck else 1}"/>'
            f'<text x="12" y="{y + 22}">{shown(stage.stage)}</text>'
            f'<text x="{WIDTH - 12}" y="{y + 22}" text-anchor="end" class="faint">{shown(stage.executor)}, '
            f"{stage.rate:,.0f} items/s</text>{_bar(stage, y + 34)}"
        )
    height = len(stages) * (BOX + GAP) - GAP
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="the chain of stages">{"".join(parts)}</svg>'


def _bar(stage: StageReport, y: int) -> str:
    x, parts = 12.0, []
    for name in ("busy", "starved", "blocked"):
        width = (WIDTH - 24) * getattr(stage, name) / stage.lived if stage.lived else 0.0
        parts.append(
            f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="10" fill="var(--{name})">'
            f"<title>{name} {width / (WIDTH - 24):.0%}</title></rect>"
        )
        x += width
    return "".join(parts)


def _over_time(report: RunRecord[Any]) -> str:
    names = [stage.stage for stage in report.stages]
    # A single sample is that of the end.
    if len(report.samples) < 2:
        unseen = "Nobody looked on while it went: run it with observe= or progress=True."
        why = "The run was too short for a chart." if report.samples else unseen
        return f'<section><h2>Over time</h2><p class="faint">{why}</p></section>'
    nothing = (0,) * len(names)
    samples = (Sample(0.0, nothing, nothing), *report.samples)
    rates = [
        (late.at, [(a - b) / (late.at - early.at) for a, b in zip(late.moved, early.moved, strict=True)])
        for early, late in pairwise(samples)
        if late.at > early.at
    ]
    waiting = [(sample.at, [float(count) for count in sample.in_flight]) for sample in samples]
    return (
        f"<section><h2>Items a second</h2>{_chart(rates, report.duration)}"
        f"<h2>Items in flight</h2>{_chart(waiting, report.duration)}"
        f"{_legend([(name, _colour(index)) for index, name in enumerate(names)])}</section>"
    )


def _chart(points: Sequence[tuple[float, Sequence[float]]], duration: float) -> str:
    """A chart with a line for each stage. points: seconds, and a number for each stage."""
    most = max((figure for _, figures in points for figure in figures), default=0.0) or 1.0
    across, up = (WIDTH - LEFT - RIGHT) / (duration or 1.0), (CHART - TOP - BOTTOM) / most
    base = CHART - BOTTOM
    lines = []
    for index in range(len(points[0][1]) if points else 0):
        path = " ".join(f"{LEFT + at * across:.1f},{base - figures[index] * up:.1f}" for at, figures in points)
        lines.append(f'<polyline points="{path}" fill="none" stroke="{_colour(index)}" stroke-width="1.6"/>')
    return (
        f'<svg viewBox="0 0 {WIDTH} {CHART}" role="img"><path d="M{LEFT} {TOP}H{WIDTH - RIGHT}M{LEFT} {base}'
        f'H{WIDTH - RIGHT}" stroke="var(--line)"/><text x="{LEFT}" y="{TOP - 5}" class="faint">{most:,.0f}</text>'
        f'<text x="{LEFT}" y="{CHART - 4}" class="faint">0:00</text><text x="{WIDTH - RIGHT}" y="{CHART - 4}" '
        f'text-anchor="end" class="faint">{clock(duration)}</text>{"".join(lines)}</svg>'
    )


def _latency(latency: Latency | None) -> str:
    """A histogram of the latency on a logarithmic scale, with a line at each percentile."""
    if latency is None:
        return ""

    def index(seconds: float) -> int:
        return round(STEPS * log2(seconds / first))

    first, last = latency.classes[0][0], latency.classes[-1][0]
    wide = (WIDTH - LEFT - RIGHT) / (index(last) + 1)
    base, most = CHART - BOTTOM, max(count for _, count in latency.classes)
    parts = []
    for seconds, count in latency.classes:
        height = max((base - 2 * TOP) * count / most, 1.0)
        parts.append(
            f'<rect x="{LEFT + index(seconds) * wide:.1f}" y="{base - height:.1f}" width="{0.9 * wide:.1f}" '
            f'height="{height:.1f}" fill="var(--flow)"><title>{count:,} within {readable(seconds)}</title></rect>'
        )
    for row, percent in enumerate(PERCENTS):
        x, y = LEFT + (index(latency.quantile(percent / 100)) + 0.95) * wide, (row + 1) * LABEL
        parts.append(
            f'<path d="M{x:.1f} {y}V{base}" stroke="var(--faint)" stroke-dasharray="3 3"/>'
            f'<text x="{x - 3:.1f}" y="{y}" text-anchor="end" class="faint">{percent}%</text>'
        )
    return (
        f'<section><h2>Time from source to sink</h2><svg viewBox="0 0 {WIDTH} {CHART}" '
        f'role="img" aria-label="how long items took"><path d="M{LEFT} {base}H{WIDTH - RIGHT}" stroke="var(--line)"/>'
        f'{"".join(parts)}<text x="{LEFT}" y="{CHART - 4}" class="faint">{readable(first)}</text><text '
        f'x="{WIDTH - RIGHT}" y="{CHART - 4}" text-anchor="end" class="faint">{readable(last)}</text></svg>'
        f'<p class="small">{latency}</p></section>'
    )


def _colour(index: int) -> str:
    # Steps of the golden angle, so that neighbours differ most.
    return f"hsl({(210 + index * 137) % 360} 60% 50%)"


def _legend(entries: Sequence[tuple[str, str]]) -> str:
    items = (f'<li><i style="background:{colour}"></i>{shown(name)}</li>' for name, colour in entries)
    return f'<ul class="legend">{"".join(items)}</ul>'


def _decisions(report: RunRecord[Any]) -> str:
    """The table of scaling decisions, if there were any."""
    if not report.decisions:
        return ""
    heads = ["stage", "reason", "seconds", "workers"]
    rows = [[each.stage, each.reason, f"{each.at:.2f}", f"{each.before} → {each.after}"] for each in report.decisions]
    return f'<h2>Workers given and taken back</h2><div class="wide">{html_table(heads, rows)}</div>'

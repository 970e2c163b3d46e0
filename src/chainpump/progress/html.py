"""A report as one page of HTML: the chain of stages, the table, and charts over time. It loads nothing else.

The drawings are plain SVG. Colours are custom properties, so that one page serves light and dark themes.
"""

from __future__ import annotations

import time
from html import escape

# A page shows nothing of a run's value.
from typing import Any

from ..messages.printable import shortened
from .charts import WIDTH, chart, colour, histogram, legend, rates
from .history import Sample
from .html_table import html_table, shown
from .run_record import RunRecord, StageReport
from .snapshot import clock, rate_text

__all__ = ["page"]

# Heights of a stage and of the flow behind it.
BOX, GAP = 74, 30
# Widths of a flow without items, and of the greatest.
THIN, THICK = 2, 60
# Letters of the name of a stage in its box, and of its executor.
NAME, EXECUTOR = 36, 40
# The most dead letters of a page: a browser can still scroll it.
LETTERS = 200

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1b1f24; --faint: #667; --line: #d5d9e0; --box: #f4f6f9;
  --busy: #2a8a4a; --starved: #c3c9d2; --blocked: #d9902f; --flow: #9db8dc; --slow: #8250df; --bad: #c0392b; }
@media (prefers-color-scheme: dark) { :root { --paper: #15181d; --ink: #e4e8ee; --faint: #98a2b0; --line: #343b46;
  --box: #20252d; --busy: #4cb36e; --starved: #4a5361; --blocked: #dfa04a; --flow: #40608c; --slow: #b392f0;
  --bad: #ff7a6b; } }
body { margin: 0 auto; max-width: 60rem; padding: 1rem; background: var(--paper); color: var(--ink);
  font: 16px/1.45 system-ui, sans-serif; }
h1 { font-size: 1.25rem; margin: 0 0 .25rem; overflow-wrap: anywhere; } h2 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
.status { margin: .75rem 0; padding: .5rem .75rem; background: var(--box); border-left: .3rem solid var(--flow);
  white-space: pre-wrap; overflow-wrap: anywhere; }
.failed { border-color: var(--bad); } .cancelled { border-color: var(--blocked); }
p { margin: .25rem 0; overflow-wrap: anywhere; } .faint, .small { color: var(--faint); } .small { font-size: .8rem; }
.drawings { columns: 20rem; column-gap: 2rem; } section { break-inside: avoid; padding-top: 1rem; }
section h2 { margin-top: 0; }
svg { width: 100%; height: auto; display: block; } text { fill: var(--ink); font-size: 12px; }
text.faint { fill: var(--faint); font-size: 10px; } text.slow { fill: var(--slow); } text.bad { fill: var(--bad); }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .85rem; white-space: nowrap; }
th, td { padding: .25rem .6rem; text-align: right; border-bottom: 1px solid var(--line); }
td:first-child { white-space: normal; overflow-wrap: anywhere; min-width: 8rem; }
.letters td { white-space: normal; overflow-wrap: anywhere; vertical-align: top; }
@media (max-width: 40rem) { .wide table { display: block; } .wide tbody, .wide td { display: block; }
  .wide tr { display: grid; grid-template-columns: 1fr 1fr; gap: 0 1.5rem; padding: .4rem 0;
    border-bottom: 1px solid var(--line); }
  .wide tr:first-child, .wide td:empty { display: none; }
  .wide td { display: flex; justify-content: space-between; gap: 1rem; border: 0; padding: .1rem 0; white-space: normal;
    overflow-wrap: anywhere; }
  .wide td::before { content: attr(data-head); color: var(--faint); font-weight: normal; white-space: nowrap; }
  .wide td[data-head="on"] { grid-column: 1 / -1; }
  .wide td:first-child { grid-column: 1 / -1; font-weight: 600; } .wide td:first-child::before { content: none; }
  .letters tr { grid-template-columns: 1fr; } }
.legend { display: flex; flex-wrap: wrap; gap: .2rem .9rem; font-size: .8rem; padding: 0; margin: .3rem 0; }
.legend li { list-style: none; overflow-wrap: anywhere; }
.legend i { display: inline-block; width: .8em; height: .8em; margin-right: .35em; }
"""


def page(report: RunRecord[Any]) -> str:
    """The whole page."""
    held_by = f"; the bottleneck is <strong>{shown(report.bottleneck)}</strong>" if report.bottleneck else ""
    chain = " → ".join(shown(stage.stage) for stage in report.stages)
    bars = legend([("busy", "var(--busy)"), ("starved", "var(--starved)"), ("blocked", "var(--blocked)")])
    return "\n".join(
        (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{chain}</title><style>{STYLE}</style></head><body>",
            f"<h1>{chain}</h1>{_status(report)}",
            f"<p>{_date(report.started)}{clock(report.duration)}{held_by}</p><p>{escape(report.advice)}</p>",
            (
                f'<div class="drawings"><section><h2>Flow</h2>{_chain(report)}{bars}'
                '<p class="small">starved: waits for items; blocked: waits to send</p></section>'
            ),
            _over_time(report),
            _latency(report),
            '</div><h2>Figures</h2><div class="wide">',
            html_table(*report.cells(), report.marked),
            "</div>",
            _decisions(report),
            _dead_letters(report),
            "</body></html>\n",
        )
    )


def _date(started: float | None) -> str:
    """When the run was opened, in the time zone of this machine."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC%z, took ", time.localtime(started)) if started is not None else ""


def _status(report: RunRecord[Any]) -> str:
    """How the run has ended, unless it was completed."""
    if report.status == "completed":
        return ""
    why = f"\n{escape(report.error)}" if report.error is not None else ""
    return f'<p class="status {report.status}"><strong>{report.status}</strong>{why}</p>'


def _chain(report: RunRecord[Any]) -> str:
    """Each stage as a box with a bar for its time; between two stages a flow, whose width is its number of items."""
    stages = report.stages
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
        parts.append(_box(stage, y, has_failed=stage.stage == report.failed_stage))
    height = len(stages) * (BOX + GAP) - GAP
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="the chain of stages">{"".join(parts)}</svg>'


def _box(stage: StageReport, y: int, *, has_failed: bool) -> str:
    """A stage: its name, whether it has failed or is the bottleneck, its executor, its rate and its bar."""
    kind, said = ("bad", "failed") if has_failed else ("slow", "bottleneck") if stage.is_bottleneck else ("line", "")
    name = shortened(stage.stage, NAME)
    whole = f"<title>{shown(stage.stage)}</title>" if name != stage.stage else ""
    return (
        f'<rect x="1" y="{y + 1}" width="{WIDTH - 2}" height="{BOX - 2}" rx="6" fill="var(--box)" '
        f'stroke="var(--{kind})" stroke-width="{2 if said else 1}"/>'
        f'<text x="12" y="{y + 22}">{shown(name)}{whole}</text>'
        f'<text x="{WIDTH - 12}" y="{y + 22}" text-anchor="end" class="{kind}">{said}</text>'
        f'<text x="12" y="{y + 39}" class="faint">{shown(shortened(stage.executor, EXECUTOR))}</text>'
        f'<text x="{WIDTH - 12}" y="{y + 39}" text-anchor="end" class="faint">{rate_text(stage.rate)} items/s</text>'
        f"{_bar(stage, y + 50)}"
    )


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
    waiting = [(sample.at, [float(count) for count in sample.in_flight]) for sample in samples]
    return (
        f"<section><h2>Items a second</h2>{rates(names, samples, report.duration)}</section>"
        f"<section><h2>Items in flight</h2>{chart(waiting, report.duration, 'items in flight')}"
        f"{legend([(name, colour(index)) for index, name in enumerate(names)])}</section>"
    )


def _latency(report: RunRecord[Any]) -> str:
    if report.latency is None:
        return ""
    drawn = histogram(report.latency)
    return f'<section><h2>Time from source to sink</h2>{drawn}<p class="small">{report.latency}</p></section>'


def _decisions(report: RunRecord[Any]) -> str:
    """The table of scaling decisions, if there were any."""
    if not report.decisions:
        return ""
    heads = ["stage", "reason", "seconds", "workers"]
    rows = [[each.stage, each.reason, f"{each.at:.2f}", f"{each.before} → {each.after}"] for each in report.decisions]
    return f'<h2>Workers given and taken back</h2><div class="wide">{html_table(heads, rows)}</div>'


def _dead_letters(report: RunRecord[Any]) -> str:
    """The table of the first dead letters, if there are any."""
    count = len(report.dead_letters)
    if not count:
        return ""
    more = f"<p>The first {LETTERS} of {count:,}.</p>" if count > LETTERS else ""
    rows = html_table(("stage", "number", "item", "error"), report.letter_cells(LETTERS))
    return f'<h2>Dead letters</h2>{more}<div class="wide letters">{rows}</div>'

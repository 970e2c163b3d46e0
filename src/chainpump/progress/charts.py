"""The drawings of the page of a report, as plain SVG: rates and items in flight over time, and a histogram of latency.

Their unit is about a pixel of a phone. Colours are custom properties of the page.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from math import log2

from ..messages.printable import shortened
from .history import Sample
from .html_table import shown
from .latency import PERCENTS, STEPS, Latency, readable
from .snapshot import clock, rate_text

__all__ = ["WIDTH", "chart", "colour", "histogram", "legend", "rates"]

# About what a phone shows.
WIDTH = 360
# Height of a chart with all stages, and of the line of one stage.
CHART, STRIP = 150, 34
# The space between the name of a stage and its line.
ABOVE = 8
# Margins of a chart.
LEFT, RIGHT, TOP, BOTTOM = 8, 8, 18, 18
# Height of a line of small text.
LABEL = 11
# Letters of a name above the line of its stage.
NAME = 36
# The first burst fills the channels. It does not decide the scale if it is so many times as high as all that follows.
BURST = 1.5


def rates(names: Sequence[str], samples: Sequence[Sample], duration: float) -> str:
    """The rate of each stage over time, each on a scale of its own: a stage may make many items of one."""
    points = [
        (late.at, [(a - b) / (late.at - early.at) for a, b in zip(late.moved, early.moved, strict=True)])
        for early, late in itertools.pairwise(samples)
        if late.at > early.at
    ]
    height = LABEL + ABOVE + STRIP + TOP
    parts = []
    for index, name in enumerate(names):
        top = index * height + LABEL
        line = [(at, figures[index]) for at, figures in points]
        highest, burst = scale([rate for _, rate in line])
        said = f"up to {rate_text(highest)}/s" + f", at first {rate_text(burst)}/s" * (burst > highest)
        parts.append(
            f'<text x="{LEFT}" y="{top}">{shown(shortened(name, NAME))}</text>'
            f'<text x="{WIDTH - RIGHT}" y="{top}" text-anchor="end" class="faint">{said}</text>'
            f"{_line(line, duration, highest, top + ABOVE, STRIP, colour(index))}{_axis(top + ABOVE + STRIP)}"
        )
    bottom = len(names) * height
    parts.append(_times(bottom, duration))
    return _svg(bottom + LABEL, "items per second of each stage", parts)


def chart(points: Sequence[tuple[float, Sequence[float]]], duration: float, label: str) -> str:
    """A chart with a line for each stage. points: seconds, and a number for each stage."""
    most = max((figure for _, figures in points for figure in figures), default=0.0) or 1.0
    base = CHART - BOTTOM
    lines = [
        _line([(at, figures[index]) for at, figures in points], duration, most, TOP, base - TOP, colour(index))
        for index in range(len(points[0][1]) if points else 0)
    ]
    text = f'<text x="{LEFT}" y="{TOP - 5}" class="faint">{most:,.0f}</text>'
    return _svg(CHART, label, [_axis(TOP), _axis(base), text, _times(CHART - 4, duration), *lines])


def scale(figures: Sequence[float]) -> tuple[float, float]:
    """The top of a scale, and the highest figure, which is above it only if it belongs to the first burst.

    >>> scale([900.0, 300.0, 310.0, 290.0, 300.0]), scale([900.0, 700.0, 800.0])
    ((310.0, 900.0), (900.0, 900.0))
    """
    highest = max(figures, default=0.0)
    # The burst may last for a tenth of the samples, and there are some more.
    later = max(figures[max(len(figures) // 10, 1) :], default=0.0)
    is_burst = len(figures) > 2 and later and highest > BURST * later
    return (later if is_burst else highest), highest


def _line(
    points: Sequence[tuple[float, float]], duration: float, most: float, top: float, height: float, stroke: str
) -> str:
    across, up = (WIDTH - LEFT - RIGHT) / (duration or 1.0), height / (most or 1.0)
    path = " ".join(f"{LEFT + at * across:.1f},{top + height - min(figure, most) * up:.1f}" for at, figure in points)
    return f'<polyline points="{path}" fill="none" stroke="{stroke}" stroke-width="1.6"/>'


def _axis(y: float) -> str:
    return f'<path d="M{LEFT} {y:g}H{WIDTH - RIGHT}" stroke="var(--line)"/>'


def _times(y: float, duration: float) -> str:
    return (
        f'<text x="{LEFT}" y="{y:g}" class="faint">0:00</text>'
        f'<text x="{WIDTH - RIGHT}" y="{y:g}" text-anchor="end" class="faint">{clock(duration)}</text>'
    )


def _svg(height: float, label: str, parts: Sequence[str]) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def histogram(latency: Latency) -> str:
    """A histogram of the latency on a logarithmic scale, with a line at each percentile."""

    def index(seconds: float) -> int:
        return round(STEPS * log2(seconds / first))

    first, last = latency.classes[0][0], latency.classes[-1][0]
    wide = (WIDTH - LEFT - RIGHT) / (index(last) + 1)
    base, most = CHART - BOTTOM, max(count for _, count in latency.classes)
    parts = [_axis(base)]
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
    parts.append(
        f'<text x="{LEFT}" y="{CHART - 4}" class="faint">{readable(first)}</text><text '
        f'x="{WIDTH - RIGHT}" y="{CHART - 4}" text-anchor="end" class="faint">{readable(last)}</text>'
    )
    return _svg(CHART, "how long items took", parts)


def colour(index: int) -> str:
    """The colour of a stage."""
    # Steps of the golden angle, so that neighbours differ most.
    return f"hsl({(210 + index * 137) % 360} 60% 50%)"


def legend(entries: Sequence[tuple[str, str]]) -> str:
    """Names and their colours."""
    items = (f'<li><i style="background:{of}"></i>{shown(name)}</li>' for name, of in entries)
    return f'<ul class="legend">{"".join(items)}</ul>'

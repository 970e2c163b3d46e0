"""Tables of HTML, for pages and notebooks: a run at one moment, and the report of a run."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from html import escape

# A report of a notebook shows nothing of the value.
from typing import Any

from ..messages.printable import printable, printable_lines
from .run_record import RunRecord
from .snapshot import Progress, cells

__all__ = ["BOTTLENECK", "TEXTS", "html_table", "progress_html", "report_html", "shown"]

# Heads of columns with texts, not numbers.
TEXTS = frozenset(("stage", "on", "host", "reason", "item", "error"))
# The mark of the bottleneck.
BOTTLENECK = "◀"


def shown(text: str) -> str:
    """A text of one line, made safe for a page."""
    return escape(printable(text))


def html_table(heads: Sequence[str], rows: Sequence[Sequence[str]], marked: Collection[int] = ()) -> str:
    """A table of texts. marked: the rows of the bottleneck.

    Styles of the page may show each cell with its head.
    """
    # Not by a class: a notebook has its own styles.
    kinds = [' style="text-align: left"' if head in TEXTS else "" for head in heads]
    head = "".join(f"<th{kind}>{shown(cell)}</th>" for kind, cell in zip(kinds, heads, strict=True))
    body = []
    for number, row in enumerate(rows):
        found = "".join(
            f'<td data-head="{shown(name)}"{kind}>{shown(cell)}{f" {BOTTLENECK}" * (not at and number in marked)}</td>'
            for at, (name, kind, cell) in enumerate(zip(heads, kinds, row, strict=True))
        )
        style = ' style="font-weight: bold"' if number in marked else ""
        body.append(f"<tr{style}>{found}</tr>")
    return f"<table><tr>{head}</tr>{''.join(body)}</table>"


def progress_html(progress: Progress) -> str:
    """A run at one moment, for a notebook: its table, and the whole run in one line."""
    stages = [each for stage in progress.stages for each in (stage, *stage.hosts)]
    marked = [number for number, stage in enumerate(stages) if stage.is_bottleneck]
    legend = f"; {BOTTLENECK} marks it" * bool(marked)
    return f"{html_table(*cells(progress.stages), marked)}<p>{escape(progress.line())}{legend}</p>"


def report_html(report: RunRecord[Any]) -> str:
    """A report for a notebook: its table, and the lines that `print` shows below it."""
    lines = "".join(f"<br>{escape(printable_lines(line))}" for line in report.lines()).removeprefix("<br>")
    return f'{html_table(*report.cells(), report.marked)}<p style="white-space: pre-wrap">{lines}</p>'

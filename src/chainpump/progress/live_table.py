"""The table of a terminal: shares of time as bars, the bottleneck marked. What matters least is left out first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.cells import cell_len
from rich.console import Group
from rich.table import Table
from rich.text import Text

from ..lazy_dataclass import replace
from ..messages.printable import shortened
from .html_table import BOTTLENECK, TEXTS
from .snapshot import Progress, StageProgress, cells

__all__ = ["live_table"]

# The widths of a bar, in characters: the usual one, and that in a narrow terminal.
BAR, SHORT = 20, 10
# The colours of busy, starved and blocked.
COLOURS = ("green", "dim", "yellow")
# The space behind each column.
SPACE = 2
# The lines of the heads, of the two lines below the table, and of the cursor.
FRAME = 4
# The name of the column of bars, in this table alone.
TIME = "time"
# The columns without which a narrow table does, those that matter least first. It never does without the names, the
# mark of the bottleneck and the rates.
WITHOUT = (
    *("set up", "recycled", "restarts", "retried", "sent", "alive", "on", "skipped", "received", "in flight"),
    *("dead", "queued", "host", TIME, "busy"),
)
# A narrow table has short bars as soon as it does without this column.
THEN_SHORT = "skipped"
# Names are not cut below this.
LEAST_NAME = 4


def live_table(progress: Progress, width: int, height: int, *, ascii_only: bool = False) -> Group:
    """Progress as a table that is at most `width` characters wide, the run in one line, and what the marks mean.

    height: of the terminal, in lines. If the rows of single hosts do not fit, they are left out.
    """
    fits = sum(1 + len(stage.hosts) for stage in progress.stages) + FRAME <= height
    stages = progress.stages if fits else [replace(stage, hosts=()) for stage in progress.stages]
    heads, rows = cells(stages)
    shown = [each for stage in stages for each in (stage, *stage.hosts)]
    mark, *marks = tuple("<#.=" if ascii_only else f"{BOTTLENECK}█·▒")
    widths = {head: max(map(cell_len, (head, *column))) for head, *column in zip(heads, *rows, strict=True)}
    widths |= {"stage": widths["stage"] + SPACE, TIME: BAR}
    for head in ("starved", "blocked"):
        # The bar shows them.
        del widths[head]
    _fit(widths, width)
    table = Table(box=None, padding=(0, SPACE, 0, 0))
    for head in widths:
        table.add_column(head, justify="left" if head in (*TEXTS, TIME) else "right", no_wrap=True)
    for each, row in zip(shown, rows, strict=True):
        texts = dict(zip(heads, row, strict=True))
        name = shortened(texts["stage"], widths["stage"] - SPACE)
        drawn = {
            # `Text`, so that a name in square brackets is not taken for markup.
            **{head: Text(text) for head, text in texts.items()},
            "stage": Text(f"{name} {mark}" if each.is_bottleneck else name),
            TIME: _bar(each, marks, widths.get(TIME, 0)),
        }
        table.add_row(*(drawn[head] for head in widths), style="bold" if each.is_bottleneck else None)
    return Group(table, Text(progress.line()), _legend((mark, *marks), TIME in widths, width))


def _fit(widths: dict[str, int], width: int) -> None:
    """Leave out columns until the others fit, and shorten the names if that is not enough."""

    def too_wide() -> int:
        return sum(widths.values()) + SPACE * len(widths) - width

    for head in WITHOUT:
        if too_wide() <= 0:
            return
        if head == THEN_SHORT:
            widths[TIME] = SHORT
        if too_wide() > 0:
            widths.pop(head, None)
    widths["stage"] = max(widths["stage"] - max(too_wide(), 0), LEAST_NAME + SPACE)


def _bar(stage: StageProgress, marks: Sequence[str], width: int) -> Text:
    busy, blocked = round(stage.busy * width), round(stage.blocked * width)
    starved = width - busy - blocked if stage.busy + stage.starved + stage.blocked else 0
    return _coloured((mark * length for mark, length in zip(marks, (busy, starved, blocked), strict=True)))


def _coloured(texts: Iterable[str]) -> Text:
    return Text.assemble(*zip(texts, COLOURS, strict=True))


def _legend(marks: Sequence[str], has_bars: bool, width: int) -> Text:
    """What the marks mean, as long as there is room for it."""
    bottleneck, *times = marks
    named = Text(f"{bottleneck} bottleneck  ")
    if not has_bars:
        return named
    for words in (("busy", "starved: waits for items", "blocked: waits to send"), ("busy", "starved", "blocked")):
        legend = named + _coloured(f"{mark} {word}  " for mark, word in zip(times, words, strict=True))
        if cell_len(legend.plain) <= width:
            return legend
    return named

"""The display of `progress=True` on standard error: a live table in a terminal or a notebook, otherwise lines."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any, TextIO

from ..errors import StageOptionError
from ..lazy_dataclass import replace
from .html import TEXTS, html_table
from .observer_thread import Observer
from .snapshot import Progress, StageProgress, cells

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

__all__ = ["Lines", "Live", "Notebook", "rich_table", "shown"]

# Seconds between two lines.
EVERY = 10.0
# The width of a bar, in characters.
BAR = 20
# The colours of busy, starved and blocked.
COLOURS = ("green", "dim", "yellow")
# The width of the whole table, in characters.
WIDE = 100
# The lines of the heads, of the line below the table, and of the cursor.
FRAME = 3
# Columns that a narrower table leaves out.
LESS = ("on", "alive", "sent")


def shown() -> Observer:
    """The observer that shows progress in this program. Raises StageOptionError if rich is needed and missing."""
    if _in_notebook():
        return Notebook()
    if sys.stderr is None or sys.stderr.closed:
        return unseen
    if not sys.stderr.isatty():
        return Lines(sys.stderr)
    try:
        from rich.console import Console
    except ImportError:
        raise StageOptionError(
            "progress=True draws in a terminal with rich, which is not installed.\n"
            "  Run: pip install 'chainpump[progress]'"
        ) from None
    return Live(Console(stderr=True))


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


def unseen(_: Progress) -> None:
    """Nothing is shown: the program has closed its standard error."""


class Lines:
    """A line every 10 s, and one at the end."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._due = EVERY

    def __call__(self, progress: Progress) -> None:
        """Write a line, if it is time to."""
        if progress.is_over or progress.elapsed >= self._due:
            self._due = progress.elapsed + EVERY
            print(progress.line(), file=self._stream, flush=True)


class Notebook:
    """A table in a notebook, updated in place."""

    def __init__(self) -> None:
        # IPython has no types.
        self._handle: Any = None

    def __call__(self, progress: Progress) -> None:
        """Show the table, or update it."""
        from IPython.display import HTML, display  # type: ignore[import-not-found]  # whoever is here has it

        page = HTML(f"{html_table(*cells(progress.stages))}<p>{escape(progress.line())}</p>")
        if self._handle is None:
            self._handle = display(page, display_id=True)
        else:
            self._handle.update(page)


class Live:
    """A table in a terminal, updated in place. What the program prints meanwhile appears above it."""

    def __init__(self, console: Console) -> None:
        from rich.live import Live as RichLive

        self._console = console
        # rich must not redirect a standard output that goes to a file: it would print it in the terminal.
        self._live = RichLive(console=console, auto_refresh=False, redirect_stdout=sys.stdout.isatty())

    def __call__(self, progress: Progress) -> None:
        """Draw the table, or update it. At the end it stays there."""
        if not self._live.is_started:
            self._live.start()
        options = self._console.options
        table = rich_table(progress, options.max_width, options.max_height, ascii_only=options.ascii_only)
        self._live.update(table, refresh=True)
        if progress.is_over:
            self._live.stop()


def rich_table(progress: Progress, width: int, height: int, *, ascii_only: bool = False) -> Table:
    """Progress as a table of rich, `width` characters wide: shares of time as bars, the bottleneck marked.

    height: of the terminal, in lines. If the rows of single hosts do not fit, they are left out.
    """
    from rich.table import Table
    from rich.text import Text

    fits = sum(1 + len(stage.hosts) for stage in progress.stages) + FRAME <= height
    stages = progress.stages if fits else [replace(stage, hosts=()) for stage in progress.stages]
    heads, rows = cells(stages)
    left_out = {"starved", "blocked", *(() if width >= WIDE else LESS)}
    kept = [index for index, head in enumerate(heads) if head not in left_out]
    table = Table(box=None, padding=(0, 2, 0, 0), caption=Text(progress.line()), caption_justify="left")
    for index in kept:
        table.add_column(heads[index], justify="left" if heads[index] in TEXTS else "right", no_wrap=True)
    table.add_column("busy/starved/blocked", no_wrap=True)
    mark, *marks = tuple("<#.=" if ascii_only else "◀█·▒")
    shown = [each for stage in stages for each in (stage, *stage.hosts)]
    for each, row in zip(shown, rows, strict=True):
        name, *others = (row[index] for index in kept)
        # A `Text`, so that a name in square brackets is not taken for markup.
        named = Text(f"{name} {mark}" if each.is_bottleneck else name)
        table.add_row(named, *others, _bar(each, marks), style="bold" if each.is_bottleneck else None)
    return table


def _bar(stage: StageProgress, marks: Sequence[str]) -> Text:
    from rich.text import Text

    busy, blocked = round(stage.busy * BAR), round(stage.blocked * BAR)
    starved = BAR - busy - blocked if stage.busy + stage.starved + stage.blocked else 0
    lengths = (busy, starved, blocked)
    return Text.assemble(
        *((mark * length, colour) for mark, length, colour in zip(marks, lengths, COLOURS, strict=True))
    )

"""The display of `progress=True` on standard error: a live table in a terminal or a notebook, otherwise lines."""

from __future__ import annotations

import sys
from typing import Any, TextIO

from ..errors import StageOptionError
from ..messages.extras import install, too_old
from .html_table import progress_html
from .observer_thread import Observer
from .snapshot import Progress

__all__ = ["Lines", "Notebook", "shown"]

# Seconds between two lines.
EVERY = 10.0


def shown() -> Observer:
    """The observer that shows progress in this program. Raises StageOptionError if rich is needed and missing."""
    if _in_notebook():
        return Notebook()
    if sys.stderr is None or sys.stderr.closed:
        return unseen
    if not sys.stderr.isatty():
        return Lines(sys.stderr)
    needs = "progress=True draws in a terminal with"
    try:
        from .live import Live
    except ImportError:
        raise StageOptionError(install("progress", needs)) from None
    if too_old("progress"):
        raise StageOptionError(install("progress", needs))
    return Live.on(sys.stderr)


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

        page = HTML(progress_html(progress))
        if self._handle is None:
            self._handle = display(page, display_id=True)
        else:
            self._handle.update(page)

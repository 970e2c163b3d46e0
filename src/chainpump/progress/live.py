"""The live table of a terminal, and what is written meanwhile: whole lines above it. It needs rich.

print, log handlers, warnings     write() of sys.stdout or sys.stderr ---+
worker processes: descriptors 1, 2 ---> pipe ---> thread of the logs ----+---> lines above the table
"""

from __future__ import annotations

import io
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import TextIO

from rich.console import Console
from rich.live import Live as RichLive
from rich.segment import Segment, Segments

from .live_table import live_table
from .snapshot import Progress

__all__ = ["Live"]


class Live:
    """A table in a terminal, updated in place. What the program and its workers write meanwhile appears above it.

    streams: those of this program that are the same terminal.
    """

    def __init__(self, console: Console, streams: Sequence[TextIO] = ()) -> None:
        self._console = console
        # rich redirects only `sys.stdout` and `sys.stderr`. Log handlers have the streams of an earlier time.
        self._live = RichLive(console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
        self._lines = [_Lines(stream, self.print_above) for stream in streams]
        # Held while the terminal is written: the table is erased by the height that it was drawn with.
        self._drawing = threading.RLock()

    @classmethod
    def on(cls, stream: TextIO) -> Live:
        """The table on a terminal that this stream writes to."""
        return cls(Console(file=_same_file(stream)), list(_terminals()))

    def __call__(self, progress: Progress) -> None:
        """Draw the table, or update it. At the end it stays there."""
        with self._drawing:
            if not self._live.is_started:
                self._live.start()
                for lines in self._lines:
                    lines.begin()
            options = self._console.options
            table = live_table(progress, options.max_width, options.max_height, ascii_only=options.ascii_only)
            self._live.update(table, refresh=True)
            if progress.is_over:
                for lines in self._lines:
                    lines.end()
                self._live.stop()

    def print_above(self, text: str) -> None:
        """Write a line above the table, or behind the cursor if there is no table. Any thread may call this."""
        with self._drawing:
            # As it is: a worker may have written colours, and a long line is one line if it is copied.
            self._console.print(Segments([Segment(f"{text}\n")]), end="", crop=False)


class _Lines:
    """Gives what is written to a text stream to a function, in whole lines.

    The `write` of the stream itself is replaced, and not the stream: others may refer to it, such as log handlers.
    Each thread has its own unfinished line.
    """

    def __init__(self, stream: TextIO, show: Callable[[str], None]) -> None:
        self._stream = stream
        self._show = show
        self._process = os.getpid()
        self._begun: dict[int, str] = {}

    def begin(self) -> None:
        """Replace the method, unless another run has done so."""
        if "write" not in vars(self._stream):
            vars(self._stream)["write"] = self._write

    def end(self) -> None:
        """Put the method back, and show unfinished lines."""
        if vars(self._stream).get("write") == self._write:
            del vars(self._stream)["write"]
        for text in self._begun.values():
            self._show(text)
        self._begun.clear()

    def _write(self, text: str) -> int:
        # A forked process has its own terminal lines: its copy of the lock may be held for ever.
        if os.getpid() != self._process:
            return type(self._stream).write(self._stream, text)
        key = threading.get_ident()
        *lines, rest = (self._begun.pop(key, "") + text).split("\n")
        if rest:
            self._begun[key] = rest
        if lines:
            self._show("\n".join(lines))
        return len(text)


def _terminals() -> Iterator[TextIO]:
    """The standard streams of this process that are terminals, each once."""
    found: list[object] = []
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        # Only these have a `write` that can be replaced, and that `print` looks up.
        if isinstance(stream, io.TextIOWrapper) and not stream.closed and stream.isatty() and stream not in found:
            found.append(stream)
            yield stream


def _same_file(stream: TextIO) -> TextIO:
    """Another text stream over the same descriptor; the stream itself if it has none."""
    with suppress(OSError, ValueError):
        return open(stream.fileno(), "w", encoding=stream.encoding, errors=stream.errors, closefd=False)
    return stream

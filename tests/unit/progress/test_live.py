"""The live table of a terminal, and what is written to the terminal meanwhile."""

from __future__ import annotations

import io
import logging
import os
import re
import threading
from dataclasses import replace

import pytest
from rich.console import Console

from chainpump.progress.live import Live
from chainpump.progress.observer_thread import TerminalDisplay
from chainpump.progress.snapshot import Progress, StageProgress

LOAD = StageProgress("load", "source", "Inline()", 1, 1, 0, 1_700, 85.0, 0, 0.25, 0.0, 0.75)
PROGRESS = Progress(20.0, 10.0, 1_700, 85.0, 3_400, 0.5, 20.0, None, (LOAD,))
OVER = replace(PROGRESS, items=3_400, is_over=True)


class Terminal:
    """A live table, and a stream of the program over the same terminal."""

    def __init__(self) -> None:
        self.drawn, self.behind = io.StringIO(), io.BytesIO()
        self.stream = io.TextIOWrapper(self.behind, encoding="utf-8", write_through=True)
        self.live = Live(Console(file=self.drawn, force_terminal=True, width=80), [self.stream])

    @property
    def above(self) -> list[str]:
        """What was drawn, without the table and what moves the cursor."""
        without_colours = re.sub(r"\x1b\[[\d;]*m", "", self.drawn.getvalue())
        lines = re.sub(r"\x1b\[[\d;?]*[A-Za-z]|\r", "\n", without_colours).splitlines()
        return [line for line in lines if line and not re.match(r"stage |load |[\d,]+ items|◀", line)]


@pytest.fixture
def terminal() -> Terminal:
    return Terminal()


def test_the_table_stays_where_it_is_when_the_run_is_over(terminal: Terminal) -> None:
    terminal.live(PROGRESS)
    terminal.live(OVER)
    text = terminal.drawn.getvalue()
    assert text.startswith("\x1b[?25l"), "the cursor is hidden"
    assert text.rstrip("\n").endswith("\x1b[?25h"), "and shown again"
    assert "3,400 items" in text


def test_what_the_program_and_its_log_handlers_write_meanwhile_appears_above_in_whole_lines(terminal: Terminal) -> None:
    handler = logging.StreamHandler(terminal.stream)
    print("before", file=terminal.stream)
    terminal.live(PROGRESS)
    print("printed", 1, file=terminal.stream)
    handler.emit(logging.makeLogRecord({"msg": "logged"}))
    print("a line ", end="", file=terminal.stream)
    other = threading.Thread(target=print, args=("of another thread",), kwargs={"file": terminal.stream})
    other.start()
    other.join()
    print("in parts", file=terminal.stream)
    print("without its end", end="", file=terminal.stream)
    terminal.live(OVER)
    print("after", file=terminal.stream)
    assert terminal.above == ["printed 1", "logged", "of another thread", "a line in parts", "without its end"]
    assert terminal.behind.getvalue() == b"before\nafter\n"


def test_what_workers_print_is_shown_as_it_is_also_before_the_first_table_and_after_the_last(
    terminal: Terminal,
) -> None:
    assert isinstance(terminal.live, TerminalDisplay)
    terminal.live.print_above("\x1b[31mred\x1b[0m [no markup]")
    terminal.live(PROGRESS)
    terminal.live.print_above("long " * 30)
    terminal.live(OVER)
    terminal.live.print_above("late")
    assert terminal.above == ["red [no markup]", "long " * 30, "late"]
    assert "\x1b[31mred\x1b[0m [no markup]\n" in terminal.drawn.getvalue()


def test_a_forked_process_writes_to_its_own_stream(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal.live(PROGRESS)
    monkeypatch.setattr(os, "getpid", lambda: -1)
    print("forked", file=terminal.stream)
    monkeypatch.undo()
    terminal.live(OVER)
    assert (terminal.above, terminal.behind.getvalue()) == ([], b"forked\n")

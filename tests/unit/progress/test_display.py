"""What `progress=True` shows: a table in a terminal or a notebook, elsewhere a line now and then."""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from types import ModuleType, SimpleNamespace

import pytest

from chainpump import StageOptionError
from chainpump.progress import display
from chainpump.progress.display import Lines, Notebook, shown
from chainpump.progress.live import Live
from chainpump.progress.snapshot import Progress, StageProgress

LOAD = StageProgress("load", "source", "Inline()", 1, 1, 0, 1_700, 85.0, 0, 0.25, 0.0, 0.75)
DECODE = StageProgress(
    "decode", "stage", "Processes(2)", 2, 2, 1_680, 1_650, 82.5, 17, 0.9, 0.1, 0.0, skipped=13, is_bottleneck=True
)
SAVE = StageProgress("save", "sink", "Threads(1)", 1, 0, 1_650, 0, 82.5, 10, 0.0, 0.0, 0.0)
PROGRESS = Progress(20.0, 10.0, 1_650, 82.5, 3_300, 0.5, 20.0, "decode", (LOAD, DECODE, SAVE))


def test_a_log_gets_a_line_each_ten_seconds_and_one_at_the_end() -> None:
    stream = io.StringIO()
    lines = Lines(stream)
    for elapsed in range(1, 26):
        lines(replace(PROGRESS, elapsed=float(elapsed)))
    lines(replace(PROGRESS, elapsed=25.5, is_over=True))
    assert [line.split(", ")[2] for line in stream.getvalue().splitlines()] == ["0:10", "0:20", "0:25"]
    assert stream.getvalue().splitlines()[-1] == "1,650 items, 82/s, 0:25, 50% of 3,300, bottleneck decode, 13 skipped"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_is_drawn_in_and_another_stream_written_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert isinstance(shown(), Live)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert isinstance(shown(), Lines)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setitem(sys.modules, "rich.console", None)
    monkeypatch.delitem(sys.modules, "chainpump.progress.live")
    with pytest.raises(
        StageOptionError, match=r"^progress=True draws in a terminal with rich 13.7 or newer, which is not .*\n.*"
    ) as e:
        shown()
    assert str(e.value).endswith("pip install 'chainpump[progress]'")


class Handle:
    """What a notebook gives back for a part of it that may change."""

    def __init__(self, page: str) -> None:
        self.pages = [page]

    def update(self, page: str) -> None:
        self.pages.append(page)


def test_a_notebook_gets_one_table_that_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    handles: list[Handle] = []

    def show(page: str, *, display_id: bool) -> Handle:
        assert display_id
        handles.append(Handle(page))
        return handles[-1]

    ipython, shows = ModuleType("IPython"), ModuleType("IPython.display")
    vars(ipython)["get_ipython"] = lambda: SimpleNamespace(kernel=object())
    vars(shows).update(HTML=str, display=show)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", shows)
    cell = shown()
    assert isinstance(cell, Notebook)
    cell(PROGRESS)
    cell(replace(PROGRESS, stages=(replace(LOAD, stage="<load>"), DECODE, SAVE)))
    (handle,) = handles
    left = ' style="text-align: left">'
    row = '<tr style="font-weight: bold">'
    assert f'{row}<td data-head="stage"{left}decode ◀</td><td data-head="on"{left}Processes(2)</td>' in handle.pages[0]
    assert "bottleneck decode, 13 skipped; ◀ marks it" in handle.pages[0]
    assert f'<td data-head="stage"{left}&lt;load&gt;</td>' in handle.pages[1]


def test_a_shell_of_ipython_is_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    ipython = ModuleType("IPython")
    vars(ipython)["get_ipython"] = SimpleNamespace
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    assert not display._in_notebook()

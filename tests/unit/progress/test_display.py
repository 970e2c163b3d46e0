"""What `progress=True` shows: a table in a terminal or a notebook, elsewhere a line now and then."""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from types import ModuleType, SimpleNamespace

import pytest
from rich.console import Console

from chainpump import StageOptionError
from chainpump.progress import display
from chainpump.progress.display import Lines, Live, Notebook, rich_table, shown
from chainpump.progress.snapshot import Progress, StageProgress

LOAD = StageProgress("load", "source", "Inline()", 1, 1, 0, 1_700, 85.0, 0, 0.25, 0.0, 0.75)
DECODE = StageProgress(
    "decode", "stage", "Processes(2)", 2, 2, 1_680, 1_650, 82.5, 17, 0.9, 0.1, 0.0, skipped=13, is_bottleneck=True
)
SAVE = StageProgress("save", "sink", "Threads(1)", 1, 0, 1_650, 0, 82.5, 10, 0.0, 0.0, 0.0)
PROGRESS = Progress(20.0, 10.0, 1_650, 82.5, 3_300, 0.5, 20.0, "decode", (LOAD, DECODE, SAVE))


def drawn(width: int, height: int = 24, *, of: Progress = PROGRESS, ascii_only: bool = False) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    with console.capture() as capture:
        console.print(rich_table(of, width, height, ascii_only=ascii_only))
    return [line.strip() for line in capture.get().splitlines() if line.strip()]


def test_a_table_shows_shares_as_bars_and_marks_the_bottleneck() -> None:
    head, load, decode, save, line = drawn(120)
    assert " ".join(head.split()) == (
        "stage on alive received sent items/s in flight busy skipped busy/starved/blocked"
    )
    assert load.split() == ["load", "Inline()", "1", "1,700", "85", "25%", "0", "█████▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒"]
    assert decode.split()[:3] == ["decode", "◀", "Processes(2)"]
    assert decode.split()[-1] == "██████████████████··"
    assert "█" not in save
    assert "◀" not in load + save
    assert line == "1,650 items, 82/s, 0:20, 50%, 0:20 left, bottleneck decode"


def test_a_narrow_terminal_gets_fewer_columns_and_all_of_them_whole() -> None:
    head, _, decode, *_ = drawn(80)
    assert " ".join(head.split()) == "stage received items/s in flight busy skipped busy/starved/blocked"
    assert decode.split() == ["decode", "◀", "1,680", "82", "17", "90%", "13", "██████████████████··"]


def test_a_terminal_without_unicode_gets_plain_marks() -> None:
    _, load, decode, *_ = drawn(80, ascii_only=True)
    assert decode.startswith("decode <")
    assert load.split()[-1] == "#####==============="


ON_HOSTS = replace(
    DECODE,
    hosts=(
        replace(DECODE, host="n1", alive=1, received=1_200, is_bottleneck=False),
        replace(DECODE, host="n2", alive=0, received=480, is_bottleneck=False),
    ),
)


def test_a_stage_on_other_machines_has_a_row_for_each_of_them_as_long_as_these_fit() -> None:
    progress = replace(PROGRESS, stages=(LOAD, ON_HOSTS, SAVE))
    head, load, decode, first, second, save, line = drawn(130, 8, of=progress)
    assert " ".join(head.split()) == (
        "stage on host alive received sent items/s in flight busy skipped busy/starved/blocked"
    )
    assert first.split()[:4] == ["n1", "1", "1,200", "1,650"]
    assert second.split()[:4] == ["n2", "0", "480", "1,650"]
    assert decode.split()[:5] == ["decode", "◀", "Processes(2)", "2", "1,680"]
    assert [each.split()[0] for each in (load, save)] == ["load", "save"]
    assert line.endswith("bottleneck decode, workers on 1 of 2 hosts")
    head, _, _, _, line = drawn(130, 7, of=progress)
    assert "host" not in head
    assert line.endswith("workers on 1 of 2 hosts")
    assert "hosts" not in replace(progress, is_over=True).line()


def test_the_table_stays_where_it_is_when_the_run_is_over() -> None:
    stream = io.StringIO()
    live = Live(Console(file=stream, force_terminal=True, width=120))
    live(PROGRESS)
    live(replace(PROGRESS, items=3_300, is_over=True))
    text = stream.getvalue()
    assert text.startswith("\x1b[?25l"), "the cursor is hidden"
    assert text.rstrip("\n").endswith("\x1b[?25h"), "and shown again"
    assert "3,300 items" in text


def test_a_log_gets_a_line_each_ten_seconds_and_one_at_the_end() -> None:
    stream = io.StringIO()
    lines = Lines(stream)
    for elapsed in range(1, 26):
        lines(replace(PROGRESS, elapsed=float(elapsed)))
    lines(replace(PROGRESS, elapsed=25.5, is_over=True))
    assert [line.split(", ")[2] for line in stream.getvalue().splitlines()] == ["0:10", "0:20", "0:25"]
    assert stream.getvalue().splitlines()[-1] == "1,650 items, 82/s, 0:25, 50%, bottleneck decode"


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
    with pytest.raises(
        StageOptionError, match=r"^progress=True draws in a terminal with rich, which is not .*\n.*"
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
    left = '<td style="text-align: left">'
    assert f"{left}decode</td>{left}Processes(2)</td><td>2</td>" in handle.pages[0]
    assert f"{left}&lt;load&gt;</td>" in handle.pages[1]


def test_a_shell_of_ipython_is_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    ipython = ModuleType("IPython")
    vars(ipython)["get_ipython"] = SimpleNamespace
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    assert not display._in_notebook()

"""Names, items and exceptions with anything in them: what is shown of them obeys nobody, and ends no program."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable
from pathlib import Path
from unittest.mock import patch

import pytest
from rich.console import Console

from chainpump import Inline, Pipeline, StageError
from chainpump.cli.main import main
from chainpump.messages.printable import printable, printable_lines
from chainpump.pipeline import opened
from chainpump.progress.display import shown
from chainpump.progress.live import Live
from chainpump.start import RunOptions

ODD = "parse[/en]\x1b[31m\r\n\ud800\u202e<b>"
SAFE = r"parse[/en]\x1b[31m\r\n\ud800\u202e<b>"


class Item:
    def __repr__(self) -> str:
        return ODD


def count(items: Iterable[object]) -> int:
    return sum(1 for _ in items)


def refuses(_: object) -> object:
    raise ValueError(ODD)


ENDED = Pipeline(range(3), name=ODD).map(abs, name=ODD, on=Inline()).into(count, name=ODD, on=Inline())


def is_safe(text: str) -> bool:
    return text == printable_lines(text) and SAFE in text


def test_what_has_no_picture_is_spelt_out() -> None:
    assert printable(ODD) == SAFE
    assert printable_lines("a\n\tb\x1b") == "a\n\tb\\x1b"
    assert printable_lines("a\r\nb\x1b\nc\u2028d\n") == "a\\r\nb\\x1b\nc\\u2028d\n"


def test_a_plan_and_a_report_obey_no_name() -> None:
    assert is_safe(str(ENDED.plan()))
    assert is_safe(str(ENDED.run()))


def test_a_page_about_a_run_is_written_whole_whatever_the_names_are(tmp_path: Path) -> None:
    ENDED.run().to_html(tmp_path / "run.html")
    page = (tmp_path / "run.html").read_text(encoding="utf-8")
    assert printable_lines(page) == page
    assert page.endswith("</html>\n")
    assert SAFE.replace("<b>", "&lt;b&gt;") in page


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_live_table_shows_a_name_in_square_brackets_as_it_is(is_terminal: bool) -> None:
    stream = io.StringIO()
    with opened(ENDED, RunOptions(observe=Live(Console(file=stream, force_terminal=is_terminal, width=300)))) as run:
        run.result()
    assert SAFE in stream.getvalue()


def test_an_error_obeys_no_name_no_item_and_no_exception() -> None:
    failing = Pipeline([Item()]).map(refuses, name=ODD, on=Inline())
    with pytest.raises(StageError) as caught:
        list(failing)
    error = caught.value
    assert is_safe(str(error))
    assert str(error).count(r"\x1b[31m") == 4
    assert error.stage == ODD


@pytest.mark.parametrize(
    "encoding, expected",
    [("ascii", b"\\ud800\\u2192\n"), ("latin-1", b"\\ud800\\u2192\n"), ("utf-8", b"\\ud800\xe2\x86\x92\n")],
)
def test_output_that_the_terminal_has_no_letters_for_is_spelt_out(
    encoding: str, expected: bytes, tmp_path: Path
) -> None:
    program = tmp_path / f"odd_in_{encoding.replace('-', '_')}.py"
    program.write_text(
        "from chainpump import Pipeline, Inline\nodd = Pipeline(['\\ud800→']).map(str.upper, on=Inline())\n"
    )
    written = io.BytesIO()
    with patch.object(sys, "stdout", io.TextIOWrapper(written, encoding)):
        assert main(["run", f"{program}:odd"]) == 0
        sys.stdout.flush()
        assert written.getvalue() == expected


def test_progress_is_shown_to_nobody_where_standard_error_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    for stream in (None, closed):
        monkeypatch.setattr(sys, "stderr", stream)
        with opened(ENDED, RunOptions(observe=shown())) as run:
            assert run.result().value == 3

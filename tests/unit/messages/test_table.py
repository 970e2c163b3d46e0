"""Plain text tables."""

from __future__ import annotations

import pytest

from chainpump.messages.table import table


@pytest.mark.parametrize(
    "heads,rows,lines",
    [
        pytest.param(
            ("stage", "items"),
            [("load", "12"), ("parse", "7")],
            ["stage  items", "load      12", "parse      7"],
            id="numbers to the right",
        ),
        pytest.param(("a", "b"), [("1", "x")], ["a  b", "1  x"], id="as wide as needed"),
        pytest.param(("share",), [("7%",), ("93%",)], ["share", "   7%", "  93%"], id="numbers with a unit"),
        pytest.param(("in", "x"), [("4", "y"), ("", "z")], ["in  x", " 4  y", "    z"], id="an empty cell is no text"),
        pytest.param(("stage", "items"), [], ["stage  items"], id="no rows"),
        pytest.param(("a", "note"), [("x", "")], ["a  note", "x"], id="no spaces at the end of a line"),
    ],
)
def test_table_lines_up(heads: tuple[str, ...], rows: list[tuple[str, ...]], lines: list[str]) -> None:
    assert table(heads, rows).splitlines() == lines


def test_row_that_misses_a_cell_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"shorter|longer"):
        table(("a", "b"), [("1", "2"), ("3",)])

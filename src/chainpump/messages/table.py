"""Plain text tables: columns as wide as their widest cell, numbers to the right."""

from __future__ import annotations

from collections.abc import Sequence

from .printable import printable

__all__ = ["table"]


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out rows under their heads; a column whose cells all start with a digit is aligned to the right.

    Cells may hold any text: each takes one line, and its control characters are escaped.

    >>> print(table(("stage", "items"), [("load", "12"), ("parse", "7")]))
    stage  items
    load      12
    parse      7
    """
    rows = [[printable(cell) for cell in row] for row in rows]
    columns = list(zip(heads, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    numeric = [all(cell[:1].isdigit() for cell in column[1:] if cell) and len(column) > 1 for column in columns]
    lines = (
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        ).rstrip()
        for row in (heads, *rows)
    )
    return "\n".join(lines)

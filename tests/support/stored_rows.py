"""A file to which any process adds numbers, and a sink that stores them there and commits them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from chainpump import commit

__all__ = ["append", "store_by_fours", "stored_in"]


def append(path: Path, rows: Iterable[int]) -> None:
    """Write whole lines, also from several processes."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, "".join(f"{row}\n" for row in rows).encode())
    os.close(file)


def stored_in(path: Path) -> list[int]:
    """What was stored, in order."""
    return [int(line) for line in path.read_text().split()]


def store_by_fours(items: Iterable[int], path: Path, fail_at: int | None) -> int:
    """A sink that stores four items at once, and commits them; it may fail."""
    rows: list[int] = []
    stored = 0
    for item in items:
        if item == fail_at:
            raise ValueError(item)
        rows.append(item)
        if len(rows) == 4:
            append(path, rows)
            commit()
            stored += len(rows)
            rows.clear()
    append(path, rows)
    commit()
    return stored + len(rows)

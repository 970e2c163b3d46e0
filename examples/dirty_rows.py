"""200,000 rows, some of them dirty, through pydantic into one Parquet file; what is wrong goes to a file of its own.

    pip install pydantic pyarrow
    python examples/dirty_rows.py characters.parquet    # and characters.dead.jsonl beside it

    rows ──lines──> parse (a process per core) ──rows──> batch ──> write ──> one file, or none
                      └── dead letters ──> a file of JSON lines

The rows are the tables of Unicode that Python ships, as lines of text with five fields. Every fiftieth has been damaged
in one of the ways in which rows are damaged in practice.
"""

from __future__ import annotations

import json
import os
import random
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Annotated

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, Field, ValidationError

from chainpump import DeadItem, DeadLetter, Inline, Pipeline, Processes, Report, sink

ROWS = 200_000
BATCH = 2_000  # rows that are written together
SCHEMA = pa.schema(
    {"code": pa.int32(), "name": pa.string(), "category": pa.string(), "combining": pa.int16(), "mirrored": pa.bool_()}
)


class Character(BaseModel):
    """A row as it has to be."""

    code: Annotated[int, Field(ge=0, le=0x10FFFF)]
    name: Annotated[str, Field(min_length=1, max_length=90)]
    category: Annotated[str, Field(pattern=r"^[A-Z][a-z]$")]
    combining: Annotated[int, Field(ge=0, le=254)]
    mirrored: bool


Row = dict[str, object]


def lines(limit: int) -> Iterator[str]:
    """Yield one line for each code point; every fiftieth is damaged."""
    damage = random.Random(1)  # noqa: S311  # no secret
    for code in range(limit):
        text = chr(code)
        fields = [
            str(code),
            unicodedata.name(text, f"UNNAMED-{code:04X}"),
            unicodedata.category(text),
            str(unicodedata.combining(text)),
            str(unicodedata.mirrored(text)),
        ]
        if code % 50 == 49:
            kind = damage.randrange(4)
            if kind == 3:
                fields.pop()
            else:
                fields[kind] = ("n/a", "", "??")[kind]
        yield "\t".join(fields)


def parse(line: str) -> Row:
    """Return the values of a line. Raises ValueError with the first thing that is wrong."""
    try:
        values = dict(zip(Character.model_fields, line.split("\t"), strict=True))
        return Character.model_validate(values).model_dump()
    except ValidationError as error:
        # Its own exception cannot be pickled, so that only its text would come back.
        first = error.errors(include_url=False)[0]
        raise ValueError(f"{first['loc'][0]}: {first['msg']}") from None


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give the name of a file to write, which gets its real name if the block succeeds, and is removed if not."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield beside
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def write(batches: Iterable[list[Row]], target: Path) -> int:
    """Write all rows to one file, whole or not at all, and return their number."""
    with whole(target) as beside, pq.ParquetWriter(beside, SCHEMA) as table:
        return sum(write_batch(table, batch) for batch in batches)


def write_batch(table: pq.ParquetWriter, batch: list[Row]) -> int:
    """Write some rows, and return their number."""
    table.write_table(pa.Table.from_pylist(batch, SCHEMA))
    return len(batch)


def convert(rows: Iterable[str], target: Path, workers: int = 2) -> Report[int]:
    """Convert these rows; the lines that are wrong come into a second file, one JSON object a line."""
    with whole(target.with_suffix(".dead.jsonl")) as beside:
        beside.touch()

        def put_aside(letter: DeadItem) -> None:
            line = {"row": letter.index, "line": letter.item, "error": str(letter.error)}
            with beside.open("a", encoding="utf-8") as letters:
                letters.write(json.dumps(line) + "\n")

        good = Pipeline(rows, name="rows").map(
            parse, on=Processes(workers), on_error=DeadLetter(ValueError, limit=ROWS // 10, to=put_aside)
        )
        return good.batch(BATCH, on=Inline()).into(sink(write, target), on=Inline()).run()


def main() -> None:
    """Run from the command line."""
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "characters.parquet")
    report = convert(lines(ROWS), target)
    print(report)
    with target.with_suffix(".dead.jsonl").open(encoding="utf-8") as letters:
        for line in islice(letters, 3):
            print(line.rstrip())


if __name__ == "__main__":
    main()

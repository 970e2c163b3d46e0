"""Index what Python files define and document, then search it: real files, several processes, one database.

    python -m chainpump run examples/index_code.py:pipeline    the standard library of this Python
    python examples/index_code.py FOLDER QUERY                 a folder and a question of yours
    python examples/index_code.py --check                      the same records as a plain loop gives?
    python examples/index_code.py --ray 8                      on a Ray cluster that has the folder, by 8 workers
    python -m chainpump run examples/index_code.py:durable --journal index.journal      goes on after a crash

    python_files ──paths──> parse (a process per core) ──records──> write ──> Summary
    python_files ──paths──> records (a process per core) ──lists──> store, file by file

INDEX_CODE_FOLDER, INDEX_CODE_QUERY and INDEX_CODE_DATABASE change what `pipeline` reads, asks and writes.
"""

from __future__ import annotations

import argparse
import ast
import os
import sqlite3
import sysconfig
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, fields
from functools import partial
from itertools import islice
from operator import attrgetter
from pathlib import Path

from chainpump import Executor, Pipeline, Processes, Ray, Runnable, Threads, per_worker, sink, source, stage

NOT_STANDARD = {"site-packages", "dist-packages"}  # inside the library's folder, but not of the library
BATCH = 1_000  # records per insert; SQLite spends its time on the full-text index, not on the statements
HITS = 10  # search results shown

SCHEMA = """
CREATE VIRTUAL TABLE records USING fts5(
    module, kind UNINDEXED, name, path UNINDEXED, line UNINDEXED, docstring, tokenize='porter unicode61'
)
"""
INSERT = "INSERT INTO records (rowid, module, kind, name, path, line, docstring) VALUES (?, ?, ?, ?, ?, ?, ?)"
# Which rows a file has: they are replaced if the file is stored again.
ROWS = "CREATE TABLE rows (path TEXT PRIMARY KEY, first INTEGER, last INTEGER)"
# bm25 takes a weight per column: prose about the words says more than an identifier made of them.
SEARCH = """
SELECT kind, module, name, path, line, docstring FROM records
WHERE records MATCH ? ORDER BY bm25(records, 1, 0, 2, 0, 0, 6), path, line LIMIT ?
"""

Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Record:
    """One module, class or function; or, as kind 'unparsable', a file that is none and why."""

    module: str
    kind: str
    name: str
    path: str
    line: int
    docstring: str


row = attrgetter(*(field.name for field in fields(Record)))  # a record as the values of its table's columns


@dataclass(frozen=True, slots=True)
class Hit:
    """One search result."""

    kind: str
    module: str
    name: str
    path: str
    line: int
    docstring: str

    def __str__(self) -> str:
        title = self.module if self.kind == "module" else f"{self.module}.{self.name}"
        first_line = self.docstring.partition("\n")[0]
        return f"{title}  ({self.kind}, {self.path}:{self.line})" + (first_line and f"\n      {first_line}")


@dataclass(frozen=True, slots=True)
class Summary:
    """What was indexed, by kind, and the best hits of a search in it."""

    counts: dict[str, int]
    database: Path
    query: str
    hits: tuple[Hit, ...]

    def __str__(self) -> str:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(self.counts.items()))
        found = "\n".join(f"{rank:4}. {hit}" for rank, hit in enumerate(self.hits, start=1))
        return (
            f"{sum(self.counts.values()):,} records in {self.database}: {kinds}\n\n"
            f"{self.query!r} is found in:\n{found or '      nothing'}\n"
        )


def python_files(folder: Path) -> Iterator[Path]:
    """List every `.py` file below a folder, but not the packages installed into a library."""
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(set(folders) - NOT_STANDARD)
        yield from (Path(parent, file) for file in sorted(files) if file.endswith(".py"))


def parse(files: Iterable[Path], folder: Path) -> Iterator[Record]:
    """Yield a record for each module, and for each class and function in it, nested ones too."""
    for file in files:
        yield from records_of(file, folder)


def records_of(file: Path, folder: Path) -> Iterator[Record]:
    """Yield the records of one file."""
    path = encodable(str(file))
    parts = file.relative_to(folder).with_suffix("").parts
    module = encodable(".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts))
    try:
        with warnings.catch_warnings(action="ignore"):  # what the compiler thinks of old escapes is not news
            tree = ast.parse(file.read_bytes())
    # The library's own tests hold files that must not compile: wrong syntax, encoding, null bytes, nesting.
    except (SyntaxError, ValueError, RecursionError, MemoryError, OSError) as error:
        line = (error.lineno or 1) if isinstance(error, SyntaxError) else 1
        yield Record(module, "unparsable", module, path, line, f"{type(error).__name__}: {error}")
        return
    yield Record(module, "module", module, path, 1, docstring_of(tree))
    for name, node in definitions(tree):
        kind = "class" if isinstance(node, ast.ClassDef) else "function"
        yield Record(module, kind, name, path, node.lineno, docstring_of(node))


def docstring_of(node: ast.Module | Definition) -> str:
    """Return the docstring of a module, class or function; empty if it has none."""
    return encodable(ast.get_docstring(node) or "")


def encodable(text: str) -> str:
    """Return text that UTF-8 can hold: a lone surrogate, as in an odd file name, is escaped."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def definitions(tree: ast.Module) -> Iterator[tuple[str, Definition]]:
    """Yield every class and function of a module with its dotted name: `Outer.method.inner`."""
    waiting: list[tuple[str, ast.AST]] = [("", tree)]
    while waiting:
        prefix, node = waiting.pop()
        for child in ast.iter_child_nodes(node):
            if isinstance(child, Definition):
                yield prefix + child.name, child
                waiting.append((f"{prefix}{child.name}.", child))
            elif isinstance(child, ast.stmt | ast.excepthandler | ast.match_case):  # not into expressions
                waiting.append((prefix, child))


def write(records: Iterable[Record], database: Path, query: str) -> Summary:
    """Replace the index by these records, all or nothing, and ask it a question.

    If something fails upstream, `records` raises instead of ending: the transaction is rolled back, and the
    database keeps the index that it had.
    """
    counts: Counter[str] = Counter()
    remaining = iter(records)
    with closing(sqlite3.connect(database)) as connection:
        with connection:  # commits at its end, rolls back on any exception
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("DROP TABLE IF EXISTS records")
            connection.execute(SCHEMA)
            while batch := list(islice(remaining, BATCH)):
                connection.executemany("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?)", map(row, batch))
                counts.update(record.kind for record in batch)
        return Summary(dict(counts), database, query, search(connection, query))


def search(connection: sqlite3.Connection, query: str) -> tuple[Hit, ...]:
    """Find the records that have every word of the query, best first."""
    words = " ".join('"' + word.replace('"', '""') + '"' for word in query.split())  # quoted: no FTS5 syntax
    return tuple(Hit(*row) for row in connection.execute(SEARCH, (words, HITS)))


def index(folder: Path, database: Path, query: str, on: Executor | None = None) -> Runnable[Summary]:
    """Build the pipeline; nothing runs yet. on: what parses, by default a process per core."""
    return (
        Pipeline(source(python_files, folder))
        .then(stage(parse, folder), on=on or Processes(os.cpu_count() or 1))
        .into(sink(write, database, query))
    )


def records(file: Path, folder: Path) -> list[Record]:
    """Return the records of one file."""
    return list(records_of(file, folder))


class Store:
    """Stores the records of one file after the other, each file as a whole, in place of what it had before."""

    def __init__(self, database: Path) -> None:
        self._connection = sqlite3.connect(database)
        with self._connection:
            if not self._connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'rows'").fetchall():
                self._connection.execute("DROP TABLE IF EXISTS records")
                self._connection.execute(SCHEMA)
                self._connection.execute(ROWS)

    def __call__(self, records: list[Record]) -> None:
        """Store the records of a file."""
        path, connection = records[0].path, self._connection
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            old = connection.execute("SELECT first, last FROM rows WHERE path = ?", (path,)).fetchone()
            if old is not None:
                connection.execute("DELETE FROM records WHERE rowid BETWEEN ? AND ?", old)
            (last,) = connection.execute("SELECT coalesce(max(last), 0) FROM rows").fetchone()
            numbered = ((last + place, *row(record)) for place, record in enumerate(records, 1))
            connection.executemany(INSERT, numbered)
            connection.execute("REPLACE INTO rows VALUES (?, ?, ?)", (path, last + 1, last + len(records)))


def durable_index(folder: Path, database: Path) -> Runnable[None]:
    """Build a pipeline that can go on after a crash, with a journal: what is stored twice replaces itself."""
    return (
        Pipeline(source(python_files, folder))
        .map(partial(records, folder=folder), on=Processes(os.cpu_count() or 1))
        .each(per_worker(Store, database), on=Threads(1))
    )


FOLDER = Path(os.environ.get("INDEX_CODE_FOLDER") or sysconfig.get_path("stdlib"))
QUERY = os.environ.get("INDEX_CODE_QUERY") or "temporary directory"
DATABASE = Path(os.environ.get("INDEX_CODE_DATABASE") or "index_code.sqlite").absolute()

pipeline = index(FOLDER, DATABASE, QUERY)
durable = durable_index(FOLDER, DATABASE)


def check(folder: Path, on: Executor | None = None) -> str:
    """Index a folder with the pipeline and in a plain loop; say how they compare, or raise SystemExit."""
    with tempfile.TemporaryDirectory() as temporary:
        database = Path(temporary, "index.sqlite")
        started = time.perf_counter()
        report = index(folder, database, QUERY, on).run()
        piped_in = time.perf_counter() - started
        with closing(sqlite3.connect(database)) as connection:
            kinds = connection.execute("SELECT kind, count(*) FROM records GROUP BY kind")
            stored = dict(kinds.fetchall())
    started = time.perf_counter()
    plain = dict(Counter(record.kind for record in parse(python_files(folder), folder)))
    plain_in = time.perf_counter() - started
    figures = (
        f"pipeline:   {sum(report.value.counts.values()):,} records in {piped_in:.1f} s, parsed and indexed\n"
        f"database:   {sum(stored.values()):,} records\n"
        f"plain loop: {sum(plain.values()):,} records in {plain_in:.1f} s, parsed only"
    )
    if not report.value.counts == stored == plain:
        raise SystemExit(f"{figures}\nThey differ: {report.value.counts}, {stored}, {plain}")
    return f"{figures}\nThe counts are equal, kind by kind: {plain}"


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Index the Python files of a folder and search them.")
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER, help=f"default: {FOLDER}")
    parser.add_argument("query", nargs="?", default=QUERY, help=f"words to search; default: {QUERY!r}")
    parser.add_argument("--check", action="store_true", help="compare the counts with a plain loop's")
    parser.add_argument("--ray", type=int, metavar="WORKERS", help="parse on a Ray cluster, which must have the folder")
    options = parser.parse_args()
    on = Ray(options.ray) if options.ray is not None else None
    if not options.folder.is_dir():
        parser.error(f"no such folder: {options.folder}")
    if options.check:
        print(check(options.folder, on))
        return
    report = index(options.folder, DATABASE, options.query, on).run()
    print(report.value)
    print(report)


if __name__ == "__main__":
    main()

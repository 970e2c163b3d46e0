"""The tables of a journal, and how their rows are written and read: a row that has changed on disk is found.

SQLite notices a broken page only if its structure is broken. So each row has a mark, a digest of its values, and the
table `total` has the sum of all marks, which triggers keep up to date: no row can change, be lost or come back unseen.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .digest import digest_of

__all__ = ["APPLICATION", "VERSION", "Damaged", "append", "checked_rows", "create", "delete", "insert", "rows"]

# In the header of the file: which kind of file it is ("CPJL"), and the version of its tables.
APPLICATION = 0x43504A4C
VERSION = 1

TABLES: Mapping[str, Sequence[str]] = {
    "meta": ("key TEXT PRIMARY KEY", "value TEXT"),
    "done": ("start INTEGER PRIMARY KEY", "stop INTEGER"),
    "checkpoints": ("id INTEGER PRIMARY KEY", "origin INTEGER", "made INTEGER", "taken INTEGER"),
    "samples": ("id INTEGER PRIMARY KEY", "origin INTEGER", "number INTEGER", "digest BLOB", "text TEXT"),
    "letters": (
        "id INTEGER PRIMARY KEY",
        "stage TEXT",
        "number INTEGER",
        "part INTEGER",
        "position INTEGER",
        "item BLOB",
        "item_text TEXT",
        "error BLOB",
        "error_text TEXT",
        "traceback TEXT",
    ),
    "skipped": ("stage TEXT PRIMARY KEY", "count INTEGER"),
    "attempts": (
        "number INTEGER PRIMARY KEY",
        "began REAL",
        "ended REAL",
        "status TEXT",
        "pid INTEGER",
        "host TEXT",
        "done_before INTEGER",
        "done INTEGER",
        "reserved INTEGER",
    ),
}
# A table whose key is a text has no rowid: with one it would have an index too, which nothing here checks.
SUFFIX = {table: " WITHOUT ROWID" if "TEXT PRIMARY" in columns[0] else "" for table, columns in TABLES.items()}
# Marks have 48 bits: the sum of two of them is far from the largest integer of SQLite.
MARK_BYTES = 6
MODULUS = 1 << (8 * MARK_BYTES)

# The names in the statements are those above.
SCHEMA = (
    *(
        f"CREATE TABLE {table} ({', '.join(columns)}, mark INTEGER NOT NULL){SUFFIX[table]}"
        for table, columns in TABLES.items()
    ),
    "CREATE TABLE total (id INTEGER PRIMARY KEY, sum INTEGER NOT NULL)",
    *(
        f"CREATE TRIGGER {table}_{event} AFTER {event} ON {table} "  # noqa: S608  # names of this module
        f"BEGIN UPDATE total SET sum = (sum + {change}) % {MODULUS}; END"
        for table in TABLES
        for event, change in (("insert", "NEW.mark"), ("delete", f"{MODULUS} - OLD.mark"))
    ),
)


class Damaged(Exception):
    """The file has been changed by something else than this package, or has been lost in part."""


def create(connection: sqlite3.Connection) -> None:
    """Make the tables in a new file, in one transaction."""
    connection.execute("BEGIN")
    for statement in SCHEMA:
        connection.execute(statement)
    connection.execute("INSERT INTO total VALUES (0, 0)")
    connection.execute(f"PRAGMA application_id = {APPLICATION}")
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


def insert(connection: sqlite3.Connection, table: str, *values: Any) -> None:
    """Add a row. Any: what SQLite can hold."""
    places = ", ".join("?" * (len(values) + 1))
    connection.execute(f"INSERT INTO {table} VALUES ({places})", (*values, _mark(table, values)))  # noqa: S608  # a table of this module


def append(connection: sqlite3.Connection, table: str, *values: Any) -> None:
    """Add a row with the next key, to a table whose key is `id`. Any: what SQLite can hold."""
    # The mark depends on the key, so that SQLite cannot choose it.
    (key,) = connection.execute(f"SELECT coalesce(max(id), 0) + 1 FROM {table}").fetchone()  # noqa: S608  # a table of this module
    insert(connection, table, key, *values)


def delete(connection: sqlite3.Connection, table: str, where: str, *values: Any) -> None:
    """Remove the rows that a condition selects. Any: what SQLite can hold."""
    connection.execute(f"DELETE FROM {table} WHERE {where}", values)  # noqa: S608  # a table of this module


def rows(connection: sqlite3.Connection, table: str) -> Iterator[tuple[Any, ...]]:
    """The rows of a table, without their marks, in the order of their keys. Any: what SQLite can hold.

    Raises Damaged at a row that has changed.
    """
    key = TABLES[table][0].split()[0]
    for *values, mark in connection.execute(f"SELECT * FROM {table} ORDER BY {key}"):  # noqa: S608  # a table of this module
        if mark != _mark(table, values):
            raise Damaged(f"a row of the table {table} has changed")
        yield tuple(values)


def checked_rows(connection: sqlite3.Connection) -> Mapping[str, Sequence[tuple[Any, ...]]]:
    """The rows of all tables but those of `letters`, which are checked only. Any: what SQLite can hold.

    Raises Damaged if the tables are not those of this version, a row has changed, is lost or has come back.
    """
    # An index or a table of SQLite itself has no statement.
    statements = [text for (text,) in connection.execute("SELECT sql FROM sqlite_master") if text is not None]
    if sorted(statements) != sorted(SCHEMA):
        raise Damaged("its tables are not those of a journal")
    found = {table: list(rows(connection, table)) for table in TABLES if table != "letters"}
    total = sum(_mark(table, values) for table, each in found.items() for values in each)
    total += sum(_mark("letters", values) for values in rows(connection, "letters"))
    if connection.execute("SELECT id, sum FROM total").fetchall() != [(0, total % MODULUS)]:
        raise Damaged("rows are missing, or are there twice")
    return found


def _mark(table: str, values: Sequence[Any]) -> int:
    return int.from_bytes(digest_of((table, *values))[:MARK_BYTES], "big")

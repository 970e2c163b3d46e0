"""How the file of a journal is made, opened and checked, and what its errors mean.

A new file is made under another name and renamed when it is complete: an empty file is one that has lost its content.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from ..errors import JournalError
from . import journal_tables as tables
from .journal_tables import Damaged

__all__ = [
    "RESET",
    "beside",
    "check_header",
    "connected",
    "create",
    "explained",
    "is_journal",
    "reading",
    "sync_folder",
]

RESET = "`chainpump journal reset`"
# What a failure of SQLite means, by the beginning of its name, and what to do. The first that fits counts.
ADVICE = {
    "SQLITE_FULL": ("the disk is full", "Make room, and run again: what was written before is kept."),
    "SQLITE_READONLY": ("it cannot be written", "Give this process the right to write to the file and its folder."),
    "SQLITE_CANTOPEN": ("it cannot be opened", "A journal needs a folder that exists and that may be written to."),
    "SQLITE_PERM": ("it cannot be opened", "Give this process the right to write to the file and its folder."),
    "SQLITE_BUSY": ("another program holds it", "End that program, and run again."),
    "SQLITE_NOTADB": ("it is no journal", "Name another file, or restore it from a copy, or remove it."),
    "SQLITE_IOERR": ("the disk has failed", "Is it full, or gone? Run again when it works: what it has kept is used."),
    "": ("it is damaged", f"Restore it from a copy, or begin again after {RESET}."),
}


def beside(path: Path) -> list[Path]:
    """The files that SQLite keeps beside a file, and those of a journal that was not complete."""
    new = path.with_name(f"{path.name}-new")
    return [each.with_name(each.name + end) for each in (path, new) for end in ("-wal", "-shm", "-journal")] + [new]


def create(path: Path) -> None:
    """Make a new journal under another name, complete and on disk, and rename it."""
    # The -wal file of an earlier journal of this name must not be taken for one of the new file.
    for each in beside(path):
        each.unlink(missing_ok=True)
    new = path.with_name(f"{path.name}-new")
    with closing(connected(new, "rwc")) as connection:
        tables.create(connection)
    fd = os.open(new, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    new.rename(path)
    sync_folder(path)


def sync_folder(path: Path) -> None:
    """Make a change of names last."""
    fd = os.open(path.resolve().parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def connected(path: Path, mode: str) -> sqlite3.Connection:
    """A connection to the file. mode: `ro`, `rw` or `rwc`, as in the addresses of SQLite."""
    # seconds; a reader such as `chainpump journal show` holds up a writer for moments only
    patience = 30
    address = f"file:{quote(os.fspath(path.absolute()))}?mode={mode}"
    connection = sqlite3.connect(address, uri=True, isolation_level=None, timeout=patience, check_same_thread=False)
    try:
        if mode != "ro":
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            # On macOS, fsync alone does not reach the disk.
            connection.execute("PRAGMA fullfsync = 1")
            connection.execute("PRAGMA checkpoint_fullfsync = 1")
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def reading(path: str | os.PathLike[str]) -> Generator[sqlite3.Connection]:
    """A connection that sees one state of a journal, also while a run writes to it. Raises JournalError."""
    path = Path(path)
    with explained(path):
        check_header(path)
        with closing(connected(path, "ro")) as connection:
            # One state, whatever a run writes meanwhile.
            connection.execute("BEGIN")
            yield connection


def is_journal(path: Path) -> bool:
    """Whether a file was made as a journal, however damaged it is, or has lost all of its content."""
    try:
        with path.open("rb") as file:
            header = file.read(100)
    except OSError:
        return False
    return not header or int.from_bytes(header[68:72], "big") == tables.APPLICATION


def check_header(path: Path) -> None:
    """Check that a file is a journal of this version, before SQLite looks at it. Raises JournalError."""
    try:
        with path.open("rb") as file:
            header = file.read(100)
    except FileNotFoundError as error:
        raise JournalError(f"journal {path}: there is no such file.\n  Is the path right?") from error
    if not header:
        raise JournalError(
            f"journal {path}: it is empty. A journal never is: it has lost its content, or never was one.\n"
            f"  Restore it from a copy, or begin again after {RESET}."
        )
    version, application = (int.from_bytes(header[at : at + 4], "big") for at in (60, 68))
    if len(header) < 100 or header[:16] != b"SQLite format 3\0" or application != tables.APPLICATION:
        raise _error(path, "SQLITE_NOTADB", "its header is not that of a journal")
    if version != tables.VERSION:
        raise JournalError(
            f"journal {path}: its format is {version}, and this chainpump reads format {tables.VERSION}.\n"
            f"  Use the chainpump that has made it, or a newer one, or begin again after {RESET}."
        )


@contextmanager
def explained(path: Path) -> Generator[None]:
    """Errors of SQLite, of the file and of its content become a JournalError that says what to do."""
    try:
        yield
    except sqlite3.Error as error:
        raise _error(path, getattr(error, "sqlite_errorname", ""), str(error)) from error
    except (Damaged, UnicodeDecodeError) as error:
        # An error of SQLite may quote a damaged statement, which sqlite3 cannot decode.
        raise _error(path, "", str(error)) from error
    except OSError as error:
        name = "SQLITE_FULL" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "SQLITE_CANTOPEN"
        raise _error(path, name, error.strerror or str(error)) from error


def _error(path: Path, name: str, text: str) -> JournalError:
    meaning, advice = next(found for start, found in ADVICE.items() if name.startswith(start))
    return JournalError(f"journal {path}: {meaning} ({text}).\n  {advice}")

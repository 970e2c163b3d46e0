"""The file of a journal: SQLite, one transaction for each change, on disk before `write` returns.

open ──► is it whole, and of this pipeline? ──► a new attempt ──► write, write, ... ──► finish ──► close

A crash at any moment leaves a state that was written before: SQLite writes to the file FILE-wal first, whose records
have checksums. A state whose `write` has returned is not lost, unless somebody removes that file.
"""

from __future__ import annotations

import os
import socket
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from ..errors import DeadItem, JournalError
from ..lazy_dataclass import replace
from . import journal_tables as tables
from .content import RETRY, Attempt, Change, Checkpoint, Content, Sample
from .fingerprint import Fingerprint, check_same
from .journal_access import RESET, beside, check_header, connected, create, explained, reading, sync_folder
from .journal_lock import JournalLock
from .journal_tables import Damaged
from .letter_rows import check_letter, letter_from, row_of, storable
from .ranges import Ranges
from .reserve import LEAST

__all__ = ["JournalFile", "read", "read_letters", "reset", "verify"]


class JournalFile:
    """The journal of a run, held for this run until `close`. Any thread may use it.

    path: of the file. content: what it held as it was opened. changes: what has changed in the pipeline since the last
    attempt, as texts.
    After an error of `write`, each further one raises the same error: what was to be written before is missing.
    """

    def __init__(
        self,
        path: Path,
        lock: JournalLock,
        connection: sqlite3.Connection,
        fingerprint: Fingerprint,
        strict: bool,
        retries: bool,
    ) -> None:
        self.path = path
        self._lock = lock
        self._connection = connection
        # Guards all that follows, and the connection.
        self._guard = threading.Lock()
        self._failed: JournalError | None = None
        self._is_open = True
        found = _checked(connection)
        self.content = _content(connection, found)
        self.changes: Sequence[str] = ()
        if earlier := _fingerprint(found):
            self.changes = check_same(path, fingerprint, earlier, strict=strict)
        # Changed by `write` only.
        self._done = self.content.done.copy()
        number = 1 + max((each.number for each in self.content.attempts), default=0)
        self._attempt = Attempt(
            number,
            began=time.time(),
            ended=None,
            status=RETRY if retries else None,
            pid=os.getpid(),
            host=socket.gethostname(),
            done_before=self._done.count,
            done=0,
            # What is done again then was done before, by the journal.
            reserved=0 if retries else self._done.original(LEAST),
        )
        with self._transaction():
            self._put("fingerprint", storable(fingerprint.to_json()))
            self._forget_letters(fingerprint)
            self._record_attempt()
        # The dead letters of earlier attempts. If their item is done again, the new ones take their place.
        self._earlier: dict[tuple[str, int], list[int]] = {}
        for key, stage, item in connection.execute("SELECT id, stage, number FROM letters"):
            self._earlier.setdefault((stage, item), []).append(key)

    @classmethod
    def open(
        cls, path: str | os.PathLike[str], fingerprint: Fingerprint, strict: bool = False, *, retries: bool = False
    ) -> JournalFile:
        """Open a journal for a run, or make it. strict: a function or an option that has changed is an error.

        retries: the run does the items of dead letters again, so that the journal must exist.
        Raises JournalError if another run holds it, or it belongs to another pipeline, is damaged or cannot be written.
        """
        path = Path(path)
        lock = JournalLock(path)
        try:
            with explained(path):
                if not (retries or path.exists()):
                    create(path)
                check_header(path)
                connection = connected(path, "rw")
                try:
                    return cls(path, lock, connection, fingerprint, strict, retries)
                except BaseException:
                    connection.close()
                    raise
        except BaseException:
            lock.release()
            raise

    def write(self, change: Change) -> None:
        """Write a change; it is on disk when this returns. Raises JournalError."""
        with self._guard:
            done = self._done.copy()
            with self._writing():
                for start, stop in change.done:
                    self._add(done, start, stop)
                for letter in change.letters:
                    self._add_letter(letter)
                self._forget_earlier(set(change.retried))
                for point in change.checkpoints:
                    tables.delete(self._connection, "checkpoints", "origin = ?", point.origin)
                    tables.append(self._connection, "checkpoints", point.origin, point.made, point.taken)
                for sample in change.samples:
                    self._add_sample(sample)
                for stage, count in change.skipped.items():
                    self._add_skipped(storable(stage), count)
                if change.length is not None:
                    self._put("length", str(change.length))
                now = done.count - self._attempt.done_before
                reserved = self._attempt.reserved if change.reserved is None else change.reserved
                self._attempt = replace(self._attempt, done=now, reserved=reserved)
                self._record_attempt()
            self._done = done

    def finish(self, status: str) -> None:
        """Record how the run has ended: `complete`, or another word. Raises JournalError."""
        with self._guard, self._writing():
            word = f"{RETRY} {status}" if self._attempt.is_retry else status
            self._attempt = replace(self._attempt, ended=time.time(), status=storable(word))
            self._record_attempt()

    @property
    def dead_items(self) -> set[int]:
        """The numbers of the items that have dead letters of earlier attempts."""
        return {item for _, item in self._earlier}

    def differing(self, what: str) -> JournalError:
        """The error of a run whose input is not that of the earlier attempts. what: the difference."""
        return JournalError(
            f"journal {self.path}: the input has changed: {what}.\n"
            "  What is done is known by the numbers of the items. Run again with the same input in the same order, or "
            f"begin again after {RESET}.\n"
            "  If the same items differ in each attempt, such as by a time: Journal(..., check_input=False)."
        )

    def close(self) -> None:
        """Let the next run have the file. What has been written is kept."""
        with self._guard:
            if self._is_open:
                self._is_open = False
                # An error here loses nothing: what was committed is in the file or in FILE-wal.
                with suppress(sqlite3.Error):
                    self._connection.close()
                self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _writing(self) -> Generator[None]:
        """One transaction. Raises JournalError, and again each time after that."""
        if self._failed is not None:
            raise self._failed
        if not self._is_open:
            raise JournalError(f"journal {self.path}: it is closed.")
        try:
            with explained(self.path), self._transaction():
                yield
        except JournalError as error:
            self._failed = error
            raise

    @contextmanager
    def _transaction(self) -> Generator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            # After some errors SQLite has rolled back by itself.
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise

    def _add(self, done: Ranges, start: int, stop: int) -> None:
        first, last = done.add(start, stop)
        if first < last:
            tables.delete(self._connection, "done", "start BETWEEN ? AND ?", first, last)
            tables.insert(self._connection, "done", first, last)

    def _add_letter(self, letter: DeadItem) -> None:
        row = row_of(letter)
        for key in self._earlier.pop((row[0], letter.index), ()):
            tables.delete(self._connection, "letters", "id = ?", key)
        tables.append(self._connection, "letters", *row)

    def _forget_earlier(self, items: set[int]) -> None:
        """Remove what is left of the earlier dead letters of items that are done again."""
        for place in [each for each in self._earlier if each[1] in items] if items else ():
            for key in self._earlier.pop(place):
                tables.delete(self._connection, "letters", "id = ?", key)

    def _add_sample(self, sample: Sample) -> None:
        where = "origin = ? AND number = ?"
        tables.delete(self._connection, "samples", where, sample.origin, sample.number)
        values = (sample.origin, sample.number, sample.digest, storable(sample.text))
        tables.append(self._connection, "samples", *values)

    def _add_skipped(self, stage: str, count: int) -> None:
        found = self._connection.execute("SELECT count FROM skipped WHERE stage = ?", (stage,)).fetchone()
        tables.delete(self._connection, "skipped", "stage = ?", stage)
        tables.insert(self._connection, "skipped", stage, count + (found[0] if found else 0))

    def _put(self, key: str, value: str) -> None:
        tables.delete(self._connection, "meta", "key = ?", key)
        tables.insert(self._connection, "meta", key, value)

    def _record_attempt(self) -> None:
        tables.delete(self._connection, "attempts", "number = ?", self._attempt.number)
        tables.insert(self._connection, "attempts", *(getattr(self._attempt, name) for name in Attempt.__match_args__))

    def _forget_letters(self, fingerprint: Fingerprint) -> None:
        """Remove the dead letters of items that are not done: they are done again, and may have new ones."""
        names = {storable(stage.name) for stage in fingerprint.stages[fingerprint.last_origin + 1 :]}
        found = self._connection.execute("SELECT id, stage, number FROM letters").fetchall()
        for key, stage, number in found:
            if stage in names and number not in self._done:
                tables.delete(self._connection, "letters", "id = ?", key)


def read(path: str | os.PathLike[str]) -> Content:
    """What a journal holds; a run may be writing to it. Raises JournalError."""
    with reading(path) as connection:
        return _content(connection, _checked(connection))


def read_letters(path: str | os.PathLike[str]) -> Iterator[DeadItem]:
    """The dead letters of a journal, one by one. It unpickles them: trust the file as you trust your program.

    Raises JournalError.
    """
    with reading(path) as connection:
        for row in tables.rows(connection, "letters"):
            yield letter_from(row)


def verify(path: str | os.PathLike[str]) -> Content:
    """Read all of a journal, the dead letters too, and check it. Raises JournalError at the first damage."""
    with reading(path) as connection:
        found = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if found != "ok":
            raise Damaged(found)
        content = _content(connection, _checked(connection))
        for row in tables.rows(connection, "letters"):
            check_letter(row)
        return content


def reset(path: str | os.PathLike[str]) -> None:
    """Remove a journal, so that the next run begins again. Raises JournalError, as while a run holds it."""
    path = Path(path)
    lock = JournalLock(path)
    try:
        with explained(path):
            # The file goes last: without it, what is left of the others means nothing.
            for each in (*beside(path), path):
                each.unlink(missing_ok=True)
            sync_folder(path)
    finally:
        lock.release()


def _checked(connection: sqlite3.Connection) -> Mapping[str, Sequence[tuple[Any, ...]]]:
    """The rows of a journal that is whole. Raises Damaged."""
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise Damaged(found)
    return tables.checked_rows(connection)


def _content(connection: sqlite3.Connection, found: Mapping[str, Sequence[tuple[Any, ...]]]) -> Content:
    """The content that rows hold. Raises Damaged if the ranges are not disjoint."""
    length = dict(found["meta"]).get("length")
    try:
        done = Ranges(found["done"])
        length = None if length is None else int(length)
    except ValueError as error:
        raise Damaged(str(error)) from error
    if list(done) != list(found["done"]):
        raise Damaged("its ranges overlap")
    return Content(
        done=done,
        letters=Counter(stage for (stage,) in connection.execute("SELECT stage FROM letters")),
        checkpoints=[Checkpoint(*row[1:]) for row in found["checkpoints"]],
        samples=[Sample(*row[1:]) for row in found["samples"]],
        skipped=dict(found["skipped"]),
        length=length,
        attempts=[Attempt(*row) for row in found["attempts"]],
    )


def _fingerprint(found: Mapping[str, Sequence[tuple[Any, ...]]]) -> Fingerprint | None:
    """The fingerprint of the last attempt; None if there was none."""
    text = dict(found["meta"]).get("fingerprint")
    try:
        return None if text is None else Fingerprint.from_json(text)
    except (ValueError, KeyError, TypeError) as error:
        raise Damaged(f"its fingerprint cannot be read: {error}") from error

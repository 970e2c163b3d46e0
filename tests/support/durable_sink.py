"""A program that stores results and the position of its run in one transaction, and dies: `FILE COMMITS`."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from pathlib import Path

from chainpump import Pipeline, Processes, Threads

__all__ = ["ITEMS", "store_all"]

ITEMS = 200


def triple(number: int) -> int:
    """A stage."""
    return 3 * number


def is_even(number: int) -> bool:
    """A stage that drops items."""
    return number % 2 == 0


def store_all(path: Path, commits: int | None = None) -> None:
    """Store every item. commits: kill this program in the transaction behind so many."""
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("CREATE TABLE IF NOT EXISTS items (value INTEGER)")
    database.execute("CREATE TABLE IF NOT EXISTS run (position TEXT)")
    (start,) = database.execute("SELECT coalesce(max(position), '') FROM run").fetchone()
    chain = Pipeline(range(ITEMS)).map(triple, on=Processes(2), ordered=False).filter(is_even, on=Threads(1))
    with chain.open(start=start) as run:
        for number, item in enumerate(run):
            database.execute("BEGIN")
            database.execute("INSERT INTO items VALUES (?)", (item,))
            if number == commits:
                os.kill(os.getpid(), signal.SIGKILL)
            database.execute("DELETE FROM run")
            database.execute("INSERT INTO run VALUES (?)", (run.position,))
            database.execute("COMMIT")
    database.close()


if __name__ == "__main__":
    store_all(Path(sys.argv[1]), int(sys.argv[2]))

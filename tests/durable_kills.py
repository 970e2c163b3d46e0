"""Kill durable jobs at random moments and run them again until they are done: `python -m tests.durable_kills`.

    python -m tests.durable_kills --kills 500 --items 100000 --seed 1

Each job counts in a SQLite database how often each item was stored. All its processes are killed at once, with SIGKILL,
and the same program is started again with the same journal, until it ends by itself. Then each item must be stored, and
the journal must be whole and complete. An item that was in progress or not yet recorded may be stored again, but
no more than the journal states after each kill; the last lines say how many were. Exit status 1 if anything was wrong.

    python -m tests.durable_kills --exactly-once --kills 500 --seed 1

The rows are stored in a loop, and `run.position` in the same transaction, from which the next program goes on: no row
may be stored twice. There, all rows of an item are one result: a position cannot be between them.

The jobs differ in their executor and options; `--only KIND` takes one kind. Items are killed at random moments, which
depend on the machine.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import chain, islice
from pathlib import Path
from typing import Any

from chainpump import DeadLetter, Executor, JournalError, Pipeline, Processes, Tasks, Threads, source
from chainpump.durable.journal_file import read_letters, verify

__all__ = ["KINDS", "Campaign", "connected", "main", "rows", "store_once", "work"]

# Of all items, every n-th one is dropped by the filter, and every n-th one is a dead letter.
DROPPED, DEAD = 7, 501
# An upsert.
STORE = "INSERT INTO stored VALUES (?, ?, 1) ON CONFLICT (number, part) DO UPDATE SET times = times + 1"
# Seconds between two writes of the journal.
EVERY = 0.1
# The share of the kills that wait until a program works.
WORKING = 0.85
# Seconds after which a program that is not killed counts as hanging.
LIMIT = 600.0
# How each kind of job places its stages, and their options.
KINDS: Mapping[str, tuple[Executor, Mapping[str, Any]]] = {
    "processes": (Processes(2), {}),
    "unordered": (Processes(2), {"ordered": False}),
    "restarts": (Processes(2, restarts=3), {}),
    "threads": (Threads(2), {}),
    "tasks": (Tasks(4), {}),
    "batches": (Processes(2), {}),
}


def numbers(count: int) -> Iterator[int]:
    """The items of the source."""
    yield from range(count)


def tripled(number: int) -> int:
    """Work on an item, or refuse it."""
    if number % DEAD == 1:
        raise ValueError(f"{number} is refused")
    return 3 * number


async def tripled_later(number: int) -> int:
    """The same as a coroutine."""
    return tripled(number)


def is_kept(number: int) -> bool:
    """Drop some items."""
    return number % DROPPED != 0


def twice(number: int) -> list[tuple[int, int]]:
    """Two rows of an item."""
    return [(number, 0), (number, 1)]


class Store:
    """Counts in a database how often each row was stored. Its thread opens the database."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._database: sqlite3.Connection | None = None

    def __call__(self, row: tuple[int, int]) -> None:
        """Store a row, by an upsert."""
        if self._database is None:
            self._database = connected(self._path)
            # The campaign waits for this line.
            print("stores", flush=True)
        self._database.execute(STORE, row)


def connected(path: Path) -> sqlite3.Connection:
    """A connection to the database of a job. What a killed process has written stays, without a wait for the disk."""
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = OFF")
    database.execute(
        "CREATE TABLE IF NOT EXISTS stored (number INTEGER, part INTEGER, times INTEGER, PRIMARY KEY (number, part))"
    )
    return database


def rows(kind: str, items: int, *, together: bool) -> Pipeline[Any]:
    """The rows that a job is to store; with `together` the rows of an item as a list."""
    on, options = KINDS[kind]
    function: Callable[[int], Any] = tripled_later if isinstance(on, Tasks) else tripled
    # Only stages on worker processes of their own can be killed alone, or mix the order.
    others = Threads(2) if isinstance(on, Tasks) else on
    numbered: Pipeline[int] = Pipeline(source(numbers, items))
    if kind == "batches":
        # Their items have the numbers of the source again.
        batches = (
            numbered.map(abs, on=Processes(2), returns=int).batch(7, on=Threads(1)).map(list, on=on, returns=list[int])
        )
        numbered = batches.unbatch(on=Processes(1))
    mapped = numbered.map(function, on=on, on_error=DeadLetter(), returns=int, **options)
    kept = mapped.filter(is_kept, on=others, **options)
    return (kept.map if together else kept.flat_map)(twice, on=others, **options)


def store_once(kind: str, items: int, folder: Path) -> None:
    """Store the rows in a loop, with the position of the run in the same transaction."""
    database = connected(folder / "stored")
    database.execute("CREATE TABLE IF NOT EXISTS position (id INTEGER PRIMARY KEY, text TEXT)")
    found = database.execute("SELECT text FROM position").fetchone()
    chance = random.Random(items)
    with rows(kind, items, together=True).open(start=found[0] if found else "") as run, closing(database):
        print("stores", flush=True)
        left = iter(run)
        while some := list(islice(left, chance.randrange(1, 200))):
            database.execute("BEGIN")
            database.executemany(STORE, chain.from_iterable(some))
            database.execute("REPLACE INTO position VALUES (0, ?)", (run.position,))
            database.execute("COMMIT")


def wanted(items: int) -> set[tuple[int, int]]:
    """The rows that a job has stored in the end."""
    return {(3 * n, part) for n in range(items) if n % DEAD != 1 and n % DROPPED for part in range(2)}


class Campaign:
    """Jobs that are killed again and again. exactly_once: they store the position of the run with their rows."""

    def __init__(self, items: int, seed: int, *, exactly_once: bool = False) -> None:
        self._items = items
        self._is_exact = exactly_once
        self._chance = random.Random(seed)
        self.kills = self.jobs = self.repeated = self.stated = 0
        self.most_repeated = 0
        self.wrong: list[str] = []
        self.by_kind: Counter[str] = Counter()

    def run(self, kind: str, most_kills: int) -> None:
        """Run one job to its end, and kill it on the way, at most so often."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            kills = stated = repeated = 0
            while True:
                has_ended = self.attempt(kind, folder, kill=kills < most_kills)
                again = _repeated(folder) - repeated
                if again > stated and not self._is_exact:
                    self.wrong.append(f"{kind}: {again} items were stored again, and at most {stated} were stated")
                repeated += again
                if has_ended:
                    break
                kills += 1
                stated = self._check_progress(kind, folder)
                self.stated += stated
            self.kills += kills
            self.by_kind[kind] += kills
            self.jobs += 1
            self.check_end(kind, folder, kills)

    def attempt(self, kind: str, folder: Path, *, kill: bool) -> bool:
        """Start the program. Returns whether it has ended by itself."""
        command = [sys.executable, __file__, "--job", kind, "--items", str(self._items), "--folder", str(folder)]
        if self._is_exact:
            command.append("--exactly-once")
        # A group of its own, so that all its processes can be killed at once.
        program = subprocess.Popen(
            command, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert program.stdout is not None
        # Most are killed while they work, some while they start.
        if kill and self._chance.random() < WORKING:
            program.stdout.readline()
        seconds = self._chance.uniform(0, 1.5) if kill else LIMIT
        try:
            _, text = program.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(program.pid, signal.SIGKILL)
            program.communicate()
            if not kill:
                self.wrong.append(f"{kind}: it has not ended after {LIMIT:g} s")
            return not kill
        if program.returncode or text:
            self.wrong.append(f"{kind}: it has ended with {program.returncode}: {text}")
        return True

    def _check_progress(self, kind: str, folder: Path) -> int:
        """What the journal calls done has been done. Returns how many items the next attempt may do again."""
        path = folder / "journal"
        if not path.exists():
            return 0
        try:
            content = verify(path)
        except JournalError as error:
            self.wrong.append(f"{kind}: {error}")
            return 0
        stored = {row[0] // 3 for row in _rows(folder)}
        refused = {letter.index for letter in read_letters(path)}
        lost = [
            number
            for start, stop in content.done
            for number in range(start, stop)
            if number % DROPPED and number not in stored and number not in refused
        ]
        if lost:
            self.wrong.append(f"{kind}: {len(lost)} items are done by the journal and not stored, such as {lost[:5]}")
        return content.again_at_most

    def check_end(self, kind: str, folder: Path, kills: int) -> None:
        """Note what a job that has ended lacks."""
        found = _rows(folder)
        missing = wanted(self._items) - found.keys()
        if missing or len(found) != len(wanted(self._items)):
            self.wrong.append(f"{kind}: {len(missing)} rows are missing, such as {sorted(missing)[:5]}")
        repeated = sum(times - 1 for times in found.values())
        self.repeated += repeated
        if kills:
            self.most_repeated = max(self.most_repeated, repeated // kills)
        if self._is_exact:
            if repeated:
                self.wrong.append(f"{kind}: {repeated} rows were stored again")
            return
        try:
            content = verify(folder / "journal")
        except JournalError as error:
            self.wrong.append(f"{kind}: {error}")
            return
        if not content.complete or list(content.done) != [(0, self._items)]:
            self.wrong.append(f"{kind}: the journal is not complete: {content.done}")
        letters = Counter(letter.index for letter in read_letters(folder / "journal"))
        if letters != Counter(range(1, self._items, DEAD)):
            self.wrong.append(f"{kind}: the dead letters are not those of the refused items: {letters}")


def _rows(folder: Path) -> Mapping[tuple[int, int], int]:
    """How often each row was stored."""
    if not (folder / "stored").exists():
        return {}
    with closing(connected(folder / "stored")) as database:
        return {(number, part): times for number, part, times in database.execute("SELECT * FROM stored")}


def _repeated(folder: Path) -> int:
    """How often items were stored again. Rows of one item are stored again together, or some of them."""
    again: Counter[int] = Counter()
    for (number, _), times in _rows(folder).items():
        again[number] = max(again[number], times - 1)
    return again.total()


def work(kind: str, items: int, folder: Path) -> None:
    """What the killed program does."""
    job = rows(kind, items, together=False).each(Store(folder / "stored"), on=Threads(1))
    job.run(journal=folder / "journal", journal_every=EVERY)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for, and print what was seen."""
    summary = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m tests.durable_kills", description=summary)
    parser.add_argument("--kills", type=int, default=100, help="how many in all (default: 100)")
    parser.add_argument("--items", type=int, default=100_000, help="of each job (default: 100,000)")
    parser.add_argument("--seed", type=int, default=0, help="for the moments of the kills (default: 0)")
    parser.add_argument("--only", choices=KINDS, metavar="KIND", help=f"one kind of job: {', '.join(KINDS)}")
    parser.add_argument("--exactly-once", action="store_true", help="with the position of the run among the rows")
    parser.add_argument("--job", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.job is not None:
        # The same functions as those of another process, by name.
        import durable_kills

        program = durable_kills.store_once if options.exactly_once else durable_kills.work
        program(options.job, options.items, options.folder)
        return 0
    campaign = Campaign(options.items, options.seed, exactly_once=options.exactly_once)
    began = time.monotonic()
    kinds = [options.only] if options.only is not None else list(KINDS)
    while campaign.kills < options.kills:
        campaign.run(kinds[campaign.jobs % len(kinds)], options.kills - campaign.kills)
    seconds = time.monotonic() - began
    print(f"{campaign.jobs} jobs of {options.items:,} items, {campaign.kills} kills in {seconds:.0f} s", end=": ")
    print(*(f"{count} of {kind}" for kind, count in campaign.by_kind.items()), sep=", ")
    each = campaign.repeated / max(1, campaign.kills)
    print(f"{campaign.repeated} rows stored again, {each:.0f} for each kill, at most {campaign.most_repeated} in a job")
    if not options.exactly_once:
        print(f"{campaign.stated / max(1, campaign.kills):.0f} items were stated for each kill")
    print(*(campaign.wrong or ["nothing was wrong"]), sep="\n")
    return 1 if campaign.wrong else 0


if __name__ == "__main__":
    sys.exit(main())

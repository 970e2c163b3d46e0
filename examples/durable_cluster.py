"""The main example, durable and on a cluster: first all of it is killed, then one machine, and no record is missing.

    python examples/durable_cluster.py           what is told below, in a folder that is removed
    python examples/durable_cluster.py FOLDER    run it once; the same command goes on where it was

    files ──paths──> records (two machines) ──lists──> store, file by file ──> index.sqlite
                                                            └── what is done ──> index.journal

1. A program runs it, and is killed with all of its processes when a quarter of the files is stored.
2. The same run goes on here. One of its machines is killed soon, and the other one does its work.
3. The records in the index are compared with those of a plain loop.

Both machines are this one, so it needs neither a network nor ssh. `Hosts(["n1", "n2"], restarts=3)` would be others.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

# The main example, which is beside this file.
from index_code import FOLDER, Record, Store, python_files, records, records_of, row

from chainpump import Hosts, Journal, Pipeline, Report, Runnable, Threads, per_worker, source

FILES = int(os.environ.get("DURABLE_CLUSTER_FILES") or 400)
MACHINES = ("n1", "n2")
LOST = "n2"


def files() -> Iterator[Path]:
    """List the first files of the standard library."""
    yield from islice(python_files(FOLDER), FILES)


def job(folder: Path) -> Runnable[None]:
    """Build the pipeline: what it parses on two machines, it stores in this folder."""
    # A name of the folder's own, so that only machines of this job are found by it.
    command = f"env MACHINE={folder.name}-{{host}} {sys.executable}"
    machines = Hosts(MACHINES, restarts=3, command=command, address="127.0.0.1")
    return (
        Pipeline(source(files))
        .map(partial(records, folder=FOLDER), on=machines)
        .each(per_worker(Store, folder / "index.sqlite"), on=Threads(1))
    )


def journal(folder: Path) -> Journal:
    """Return the journal of this job, which is written after 20 items, and not only after some time."""
    return Journal(folder / "index.journal", items=20)


@dataclass(frozen=True)
class Outcome:
    """What was stored when the whole program was killed, and the report of the run that went on."""

    stored_at_first: int
    report: Report[None]

    @property
    def stored_again(self) -> int:
        """How many files were stored although they had been stored: they were in no entry of the journal yet."""
        return self.stored_at_first + self.report.stages[-1].received - FILES


def killed_twice(folder: Path) -> Outcome:
    """Run the job in a folder. Kill all of it, then, in the run that goes on, one of its machines."""
    with subprocess.Popen([sys.executable, __file__, folder], start_new_session=True) as program:
        while stored(folder) < FILES // 4 and program.poll() is None:
            time.sleep(0.02)
        if program.returncode is None:
            os.killpg(program.pid, signal.SIGKILL)
        for machine in MACHINES:
            power_off(folder, machine)
    at_first = stored(folder)
    with job(folder).open(journal=journal(folder)) as run:
        while run.progress().stages[1].received < 20 and not run.wait(0.02):
            pass
        power_off(folder, LOST)
        return Outcome(at_first, run.result())


def power_off(folder: Path, machine: str) -> None:
    """Kill all processes of a machine, as a power failure would do."""
    mark = f"MACHINE={folder.name}-{machine}".encode()
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):  # it has ended, or is of another user
            if mark in environment.read_bytes().split(b"\0"):
                os.kill(int(environment.parent.name), signal.SIGKILL)


def stored(folder: Path) -> int:
    """Return the number of files in the index; 0 while there is none."""
    with closing(sqlite3.connect(folder / "index.sqlite", timeout=60)) as connection:
        try:
            return int(connection.execute("SELECT count(*) FROM rows").fetchone()[0])
        except sqlite3.OperationalError:
            return 0


def in_the_index(folder: Path) -> list[Record]:
    """Return all records of the index, in an order of their own."""
    with closing(sqlite3.connect(folder / "index.sqlite")) as connection:
        rows = connection.execute("SELECT module, kind, name, path, line, docstring FROM records")
        return sorted((Record(*each) for each in rows), key=row)


def in_a_plain_loop() -> list[Record]:
    """Return the records of the same files without a pipeline."""
    return sorted((record for file in files() for record in records_of(file, FOLDER)), key=row)


def main() -> None:
    """Run from the command line."""
    if len(sys.argv) > 1:
        folder = Path(sys.argv[1])
        folder.mkdir(exist_ok=True)
        print(job(folder.resolve()).run(journal=journal(folder)))
        return
    with TemporaryDirectory(prefix="index-") as temporary:
        outcome = killed_twice(Path(temporary))
        print(f"1. The program was killed when {outcome.stored_at_first} of {FILES} files were stored.")
        print(f"2. The same run went on, and machine {LOST} was killed. Its report:\n{outcome.report}")
        print(f"   {outcome.stored_again} files were stored twice, which changes nothing.")
        found = in_the_index(Path(temporary))
        if found != in_a_plain_loop():
            sys.exit("The index differs from the records of a plain loop!")
        print(f"3. The index has {len(found):,} records, the same as a plain loop.")


if __name__ == "__main__":
    main()

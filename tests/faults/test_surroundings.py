"""Where a run is started: with streams closed, beside locks that are held, in any thread, console or process."""

import logging
import multiprocessing
import os
import re
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

import chainpump
from chainpump import Pipeline, RunError, StageError, source, stage
from faults import stages
from faults.places import ANYWHERE, EXECUTORS, PROCESSES, WAYS, on
from faults.roles import passed
from support.cases import in_turns
from support.gate import LIMIT, WHOLE, Gate
from support.threads import meanwhile

TALKATIVE = """
from collections.abc import Iterable, Iterator

from chainpump import *

def talkative(items: Iterable[int]) -> Iterator[int]:
    for item in items:
        print("item", item, flush=True)
        yield item

if __name__ == "__main__":
    on = {on}
    numbers = Pipeline(source(range, 500), on=on).then(talkative, on=on)
    assert list(numbers) == list(range(500))
    assert numbers.into(sum, on=on).run().value == sum(range(500))
    blocks = Pipeline(source(map, bytes, [1 << 20] * 9), on=on).then(list[bytes], on=on)
    assert list(blocks) == [bytes(1 << 20)] * 9
"""
TALKATIVE_TASKS = """
from chainpump import *

async def talkative(item: int) -> int:
    print("item", item, flush=True)
    return item

if __name__ == "__main__":
    numbers = Pipeline(source(range, 500), on=Threads()).map(talkative, on=Tasks(9))
    assert list(numbers) == list(range(500))
    assert numbers.into(sum, on=Threads()).run().value == sum(range(500))
"""
EXPRESSIONS = {
    "forkserver": "Processes()",
    "spawn": "Processes(start_method='spawn')",
    "fork": "Processes(start_method='fork')",
    "threads": "Threads()",
    "inline": "Inline()",
}


def run(program: str, folder: Path, closed: str = "") -> subprocess.CompletedProcess[str]:
    """Run a program by a shell that closes some of its standard streams."""
    (folder / "program.py").write_text(program)
    command = ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-W", "error", "program.py"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=WHOLE, check=False)


@in_turns
@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"], ids=["stdout", "all"])
@pytest.mark.parametrize("place", [*EXPRESSIONS, "tasks"])
def test_what_workers_print_goes_to_no_channel_where_streams_are_closed(
    place: str, closed: str, tmp_path: Path
) -> None:
    """The numbers of closed streams are the next to be given to a file."""
    program = TALKATIVE_TASKS if place == "tasks" else TALKATIVE.format(on=EXPRESSIONS[place])
    done = run(program, tmp_path, closed)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


CONSOLE = """
import __main__

cells = '''
from collections.abc import Iterable, Iterator
from chainpump import *

class Point:
    def __init__(self, x: int) -> None:
        self.x = x

def points(n: int) -> Iterator[Point]:
    yield from map(Point, range(n))

def moved(items: Iterable[Point]) -> Iterator[Point]:
    for item in items:
        yield Point(item.x + STEP)

def total(items: Iterable[Point]) -> int:
    return sum(item.x for item in items)

def failing(items: Iterable[Point]) -> Iterator[Point]:
    for item in items:
        if item.x == 3:
            raise ValueError(item.x)
        yield item

STEP = 5
===
numbers = Pipeline(source(points, 9), on={on}).then(moved, on={on})
===
print([item.x for item in numbers], numbers.into(total, on={on}).run().value)
===
try:
    list(Pipeline(source(points, 9), on={on}).then(failing, on={on}))
except StageError as error:
    print(error.stage, error.failures[0].index, repr(error.__cause__))
'''
for number, cell in enumerate(cells.split("===")):
    exec(compile(cell, f"<cell {{number}}>", "exec"), vars(__main__))
"""


@pytest.mark.parametrize("place", EXPRESSIONS)
def test_functions_and_classes_of_a_console_without_a_file_work_in_workers(place: str) -> None:
    """As a notebook runs its cells."""
    command = [sys.executable, "-c", CONSOLE.format(on=EXPRESSIONS[place])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WHOLE, check=False)
    expected = f"{list(range(5, 14))} {sum(range(5, 14))}\nfailing 3 ValueError(3)\n"
    assert (done.stdout, done.stderr) == (expected, "")


@WAYS
@pytest.mark.parametrize("place", PROCESSES)
def test_lock_that_another_thread_holds_as_workers_start_does_not_keep_them(place: str, way: Any, gate: Gate) -> None:
    """A fork copies it held; what logs in a worker must not wait for a thread that is not there.

    The main process, which handles what was logged, waits for that thread: it lets go once all has been logged.
    """
    handler = logging.FileHandler(os.devnull)
    logger = logging.getLogger(stages.__name__)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    held = threading.Event()

    def hold() -> None:
        assert handler.lock is not None
        with handler.lock:
            held.set()
            gate.wait_held()

    try:
        with meanwhile(hold):
            assert held.wait(LIMIT)
            logged = Pipeline(source(stages.count, 50), on=on(place)).then(
                stage(stages.logging_each, gate), on=on(place)
            )
            assert way(logged, place) == list(range(50))
    finally:
        logger.removeHandler(handler)
        handler.close()


@in_turns
@WAYS
@pytest.mark.parametrize("place", EXECUTORS)
def test_run_from_another_thread_gives_every_item_once(place: str, way: Any) -> None:
    with ThreadPoolExecutor(1) as pool:
        assert sorted(pool.submit(way, passed(place, 2, stages.count, 200), place).result()) == list(range(200))


@pytest.mark.parametrize("place", ANYWHERE)
def test_daemonic_process_is_told_at_once_what_it_cannot_start(place: str) -> None:
    """Python lets it have no children; threads it may have."""
    context = multiprocessing.get_context("forkserver")
    reading, writing = context.Pipe(duplex=False)
    with reading, writing:
        process = context.Process(target=stages.tell_of_runs, args=(place, writing), daemon=True)
        process.start()
        told = [reading.recv() for _ in range(2) if reading.poll(LIMIT)]
        process.join(LIMIT)
        assert process.exitcode == 0
        process.close()
    if place in ("threads", "tasks", "inline"):
        assert told == [list(range(10))] * 2
        return
    for error in told:
        assert type(error) is RunError
        assert re.fullmatch(
            r"source 'count' could not start worker 1 of 1: AssertionError: daemonic processes .*\n"
            r"  Python's rule: start the process that runs the pipeline with daemon=False, or use Threads\(\)\.",
            str(error),
        )


PLAIN = """
import sys
sys.path[:0] = {path}
from chainpump import *

def doubled(item: int) -> int:
    return 2 * item

if __name__ == "__main__":
    print(list(Pipeline(range(3)).map(doubled, on={on})))
"""


@pytest.mark.parametrize("place", ["forkserver", "spawn", "fork"])
def test_package_that_is_found_by_the_search_path_of_the_program_alone_works_in_workers(
    place: str, tmp_path: Path
) -> None:
    """As one that is part of a program, or in a zipapp. -S: a new interpreter does not find it installed."""
    path = [str(Path(module.__file__ or "").parents[1]) for module in (chainpump, cloudpickle)]
    program = tmp_path / "program.py"
    program.write_text(PLAIN.format(path=path, on=EXPRESSIONS[place]))
    command = [sys.executable, "-S", str(program)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WHOLE, check=False)
    assert (done.stdout, done.stderr) == ("[0, 2, 4]\n", "")


@pytest.mark.parametrize("place, name", [("forkserver", "random"), ("spawn", "signal")])
def test_file_that_takes_the_place_of_a_module_of_python_is_named(place: str, name: str, tmp_path: Path) -> None:
    """The program itself does not find it: only new interpreters look in the working directory first."""
    program = tmp_path / "program" / "program.py"
    program.parent.mkdir()
    program.write_text(PLAIN.format(path=[], on=EXPRESSIONS[place]))
    taken = tmp_path / f"{name}.py"
    taken.write_text("")
    command = [sys.executable, str(program)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=WHOLE, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].strip() == (
        f"A new interpreter imports {taken} in place of Python's own module '{name}', and fails: rename that file."
    )


@pytest.mark.parametrize("place", ["forkserver", "threads"])
def test_iterable_that_is_bound_to_the_thread_of_the_caller_is_told_how_to_be_read(place: str) -> None:
    with closing(sqlite3.connect(":memory:")) as database:
        rows = database.execute("select 1")
        advice = r"SQLite objects created in a thread .*\n  It must be used in the thread that has made it, and .*"
        with pytest.raises(StageError, match=advice):
            list(Pipeline(rows).map(tuple, on=on(place)))
        assert list(Pipeline(rows).map(tuple, on=on("inline"))) == [(1,)]


MANY_DESCRIPTORS = """
import os, resource
from chainpump import *

def increased(item: int) -> int:
    return item + 1

if __name__ == "__main__":
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    assert held[-1] > 1024
    report = Pipeline(range(100)).map(increased, on={on}).into(sum, on={on}).run(stall_timeout=60)
    print(report.value, report.status)
"""


@pytest.mark.parametrize("place", EXPRESSIONS)
def test_program_with_more_descriptors_than_select_takes_runs_as_ever(place: str, tmp_path: Path) -> None:
    done = run(MANY_DESCRIPTORS.format(on=EXPRESSIONS[place]), tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "5050 completed\n", "")

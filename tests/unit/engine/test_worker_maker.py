"""Workers that another process than the main one makes, from values that it has got as a pickle."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from chainpump import DeadLetter, Inline, Pipeline, Processes, Runnable, Tasks, Threads, current_worker, sink, source
from chainpump.engine.groups import Section
from support.gate import WHOLE
from support.second_place import described, run_all

REFUSED = 50


def square(number: int) -> int:
    if number == REFUSED:
        raise ValueError("refused")
    return number * number


def one_of_each_executor() -> Runnable[Any]:
    async def same(number: int) -> int:
        return number

    return (
        Pipeline(source(range, 100))
        .map(square, on=Processes(2, restarts=1), on_error=DeadLetter(), timeout=5, name="square")
        .filter(lambda number: number % 2 == 0, on=Threads(3))
        .map(same, on=Tasks(4))
        .batch(3, on=Processes(recycle_after=10))
        .unbatch(on=Inline(), in_flight=8)
        .into(sink(list), on=Inline())
    )


def on_processes() -> Runnable[Any]:
    return (
        Pipeline(source(range, 100), on=Processes())
        .map(square, on=Processes(2, restarts=1), on_error=DeadLetter(), name="square")
        .map(lambda number: (number, current_worker().stage), on=Processes(2), name="tell")
        .into(sink(list), on=Processes())
    )


def room_of(section: Section) -> object:
    make = section.make_room
    return (make.func, make.args) if isinstance(make, partial) else make


@pytest.mark.parametrize("chain", [one_of_each_executor, on_processes])
def test_what_workers_have_to_do_is_the_same_after_a_plain_pickle(chain: Any) -> None:
    works, sections, junctions, _ = described(chain())
    assert any(section.restores for section in sections)
    assert pickle.loads(pickle.dumps(works)) == works
    assert pickle.loads(pickle.dumps(junctions)) == junctions
    copies = pickle.loads(pickle.dumps(sections))
    assert [(each.origin, each.end, room_of(each)) for each in copies] == [
        (each.origin, each.end, room_of(each)) for each in sections
    ]


def test_each_executor_says_what_its_workers_need() -> None:
    works, _, junctions, _ = described(one_of_each_executor())
    names = [work.stages[0].who.stage for work in works]
    assert names == ["range", "square", "<lambda>", "same", "batch(3)", "unbatch"]
    assert [work.has_own_interpreter for work in works] == [True, True, False, False, True, False]
    assert [work.is_replaceable for work in works] == [False, True, False, False, False, False]
    assert [work.awaits for work in works] == [False, False, False, True, False, False]
    assert [work.share is not None for work in works] == [False, False, False, False, True, False]
    assert [work.whole for work in works] == [False, False, True, True, True, False]
    assert [junction.sends_packets for junction in junctions] == [True, True, False, True, True]
    assert [stage.who.stage for stage in works[-1].stages] == ["unbatch", "list"]
    assert [stage.who.number for stage in works[1].assignments(1, 3)] == [2]
    assert [(stage.row, stage.generation) for stage in works[1].assignments(1, 3)] == [(2, 3)]


def send_all(results: Connection, *description: Any) -> None:
    results.send(run_all(*description))


def test_another_process_makes_and_starts_the_workers_of_a_run() -> None:
    receiving, sending = get_context("spawn").Pipe(duplex=False)
    with receiving:
        with sending:
            other = get_context("spawn").Process(target=send_all, args=(sending, *described(on_processes())))
            other.start()
        try:
            assert receiving.poll(WHOLE)
            value, letters = receiving.recv()
        finally:
            other.join()
            other.close()
    assert letters == [REFUSED]
    assert value == [(square(number), "tell") for number in range(100) if number != REFUSED]


MAIN = """
import os
import pickle
import sys

with open(os.environ["IMPORTED"], "a") as file:
    file.write(f"{os.path.basename(__file__)} as {__name__}\\n")
"""
PROGRAM = (
    MAIN
    + """
import subprocess
from collections.abc import Iterable, Iterator

from chainpump import Pipeline, Processes, sink, source
from support.second_place import described


class Point:
    def __init__(self, x: int) -> None:
        self.x = x


def points(count: int) -> Iterator[Point]:
    yield from map(Point, range(count))


def moved(point: Point) -> Point:
    assert type(point) is Point
    return Point(point.x + 1)


def total(points: Iterable[Point]) -> tuple[int, str]:
    return sum(point.x for point in points if type(point) is Point), __name__


if __name__ == "__main__":
    chain = Pipeline(source(points, 100)).map(moved, on=Processes(2)).into(sink(total), on=Processes())
    works, sections, junctions, codes = described(chain)
    parcel = pickle.dumps((works, sections, junctions, [code.packed() for code in codes]))
    sys.stdout.buffer.write(subprocess.run([sys.executable, sys.argv[1]], input=parcel, stdout=-1, check=True).stdout)
"""
)
AGENT = (
    MAIN
    + """
from chainpump.pickling.shared_functions import SharedFunctions
from support.second_place import run_all

if __name__ == "__main__":
    works, sections, junctions, codes = pickle.load(sys.stdin.buffer)
    codes = [SharedFunctions.unpacked(code) for code in codes]
    sys.stdout.buffer.write(pickle.dumps(run_all(works, sections, junctions, codes, imports_main=False)))
"""
)


def test_workers_of_a_program_import_neither_its_main_file_nor_that_of_the_process_that_starts_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is as on another machine, which has no main file of the program."""
    imported = tmp_path / "imported"
    monkeypatch.setenv("IMPORTED", str(imported))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    program, agent = tmp_path / "program.py", tmp_path / "agent.py"
    program.write_text(PROGRAM)
    agent.write_text(AGENT)
    done = subprocess.run([sys.executable, program, agent], stdout=subprocess.PIPE, check=True, timeout=WHOLE)
    assert pickle.loads(done.stdout) == ((sum(range(1, 101)), "__main__"), [])
    assert imported.read_text().splitlines() == ["program.py as __main__", "agent.py as __main__"]

"""Functions and classes of a main module that no worker can import, as that of `python -c` or of a notebook, travel."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.gate import WHOLE

METHODS = ["forkserver", "spawn", "fork"]
BEGIN = """
import __main__
import threading
from chainpump import *

on = Processes(start_method={method!r})

class Point:
    def __init__(self, x):
        self.x = x

    def moved(self):
        return Point(self.x + 1)

class Unfit(Exception):
    pass

def same(item):
    return item

def passed(items):
    return list(Pipeline(items).map(same, on=on).map(same, on=on))
"""


def run(program: str, folder: Path, method: str = "forkserver", **environment: str) -> str:
    """What it prints; it must print no error."""
    command = [sys.executable, "-c", BEGIN.format(method=method) + program]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=WHOLE, check=False, env=os.environ | environment
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("transport", ["", "portable"])
@pytest.mark.parametrize("method", METHODS)
def test_functions_and_classes_are_themselves_again_when_they_come_back(method, transport, tmp_path):
    program = """
point, function, (cls, again), moved = passed([Point(3), same, (Point, same), [Point(4).moved()]])
assert type(point) is Point and point.x == 3
assert function is again is same
assert cls is Point
assert type(moved[0]) is Point and moved[0].x == 5

# What a worker makes, where no function mentions the class.
assert [type(each) for each in Pipeline([Point(1)]).map(lambda point: point.moved(), on=on)] == [Point]

# What a worker makes of a class that only its function mentions, and a value of a sink.
made = list(Pipeline(range(100)).map(Point, on=on).map(same, on=on))
assert all(type(each) is Point for each in made) and [each.x for each in made] == list(range(100))
[last] = Pipeline(range(2)).map(Point, on=on).into(sink(lambda points: list(points)[-1:]), on=on).run().value
assert type(last) is Point
"""
    run(program, tmp_path, method, CHAINPUMP_TRANSPORT=transport)


@pytest.mark.parametrize("method", METHODS)
def test_a_class_that_a_cell_defines_anew_is_another_one(method, tmp_path):
    program = """
old, Old = Point(1), Point
exec("class Point:\\n    def __init__(self, x):\\n        self.x = -x", vars(__main__))
new, kept = passed([Point(1), old])
assert type(new) is Point and new.x == -1
assert type(kept) is Old and kept.x == 1
assert [type(each) for each in Pipeline(range(2)).map(Point, on=on)] == [Point, Point]
"""
    run(program, tmp_path, method)


def test_errors_of_its_classes_and_their_items_arrive_as_they_are(tmp_path):
    program = """
def fail(item):
    raise Unfit(item.x)

try:
    list(Pipeline([Point(7)]).map(fail, on=on))
except StageError as error:
    assert type(error.__cause__) is Unfit and error.__cause__.args == (7,)
with Pipeline([Point(7)]).map(fail, on=on, on_error=DeadLetter()).open() as run:
    assert list(run) == []
[letter] = run.dead_letters
assert type(letter.item) is Point and type(letter.error) is Unfit
"""
    run(program, tmp_path)


def test_what_is_unrelated_stays_at_home(tmp_path):
    program = """
LOCK = threading.Lock()

class Table:
    lock = LOCK

    def rows(self):
        return LOCK

assert passed([1, Point(2)])[0] == 1
"""
    run(program, tmp_path)


def test_what_cannot_travel_is_named_by_the_way_to_it(tmp_path):
    program = """
LOCK = threading.Lock()

class Table:
    def rows(self):
        return LOCK

def rows(item):
    return Table().rows()

try:
    Pipeline([1]).map(rows, on=on)
except StageTypeError as error:
    print(str(error).splitlines()[1])
try:
    passed([Table()])
except UnpicklableItemError as error:
    print(str(error).splitlines()[1])
"""
    function, item = run(program, tmp_path).splitlines()
    way = "(global 'Table').rows (global 'LOCK'): cannot pickle '_thread.lock' object"
    assert function.strip() == f"function rows {way}."
    assert item.strip() == (
        "Table: Table.rows (global 'LOCK'): cannot pickle '_thread.lock' object. Or define it in a module, which "
        "workers import. Yield plain data, or run both stages on Threads."
    )

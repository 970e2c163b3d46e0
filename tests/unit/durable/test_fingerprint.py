"""A fingerprint says what has changed in a chain, and is the same in every process for a chain that has not changed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial

from chainpump import Pipeline, Processes, Threads
from chainpump.durable.fingerprint import Fingerprint, fingerprint_of

PROGRAM = """
from functools import partial
from chainpump import Pipeline
from chainpump.durable.fingerprint import fingerprint_of

def scaled(number, *, by={1, 2, 3}, names=frozenset("abcdef")):
    return [number + each for each in (1, 2) if number in {4, 5, "six"}]

chain = Pipeline({"a", "b"}).map(partial(scaled, by={"x", "y", "z"}), name="scale").filter(lambda each: each)
print(fingerprint_of(chain.plan().stages).to_json())
"""


def plus(number: int, *, by: int = 1) -> int:
    return number + by


def of(pipeline: Pipeline[int]) -> Fingerprint:
    return fingerprint_of(pipeline.plan().stages)


def adding(by: int) -> Callable[[int], int]:
    def add(number: int) -> int:
        return number + by

    return add


def test_it_is_the_same_in_every_process() -> None:
    def output(seed: str) -> str:
        env = os.environ | {"PYTHONHASHSEED": seed}
        return subprocess.run(
            [sys.executable, "-c", PROGRAM], env=env, check=True, capture_output=True, text=True
        ).stdout

    first, second = map(output, ("1", "2"))
    assert first
    assert first == second


def test_it_is_read_from_its_text() -> None:
    made = of(Pipeline(range(9)).batch(2).unbatch().map(plus))
    assert Fingerprint.from_json(made.to_json()).difference(made).changes == []
    assert Fingerprint.from_json(made.to_json()).shape == made.shape


def test_where_a_stage_runs_is_no_change() -> None:
    threads, processes = (of(Pipeline(range(9)).map(plus, on=on, name="plus")) for on in (Threads(1), Processes(3)))
    assert processes.difference(threads).changes == []


def test_a_variable_of_an_inner_function_and_an_argument_of_a_partial_are_changes() -> None:
    for make in (adding, lambda by: partial(plus, by=by)):
        one, same, other = (of(Pipeline(range(9)).map(make(by), name="add")) for by in (1, 1, 2))
        assert same.difference(one).changes == []
        assert len(other.difference(one).changes) == 1


def test_another_number_of_stages_behind_the_source_is_a_change_but_the_numbers_fit() -> None:
    one, two = of(Pipeline(range(9)).map(plus)), of(Pipeline(range(9)).map(plus).map(plus, name="again"))
    difference = two.difference(one)
    assert difference.shape is None
    assert "map 'again'" in difference.changes[0]
    assert one.shape == two.shape


def test_another_size_of_batches_gives_other_numbers() -> None:
    two, three = (of(Pipeline(range(9)).batch(n).unbatch()) for n in (2, 3))
    assert three.difference(two).shape is not None
    assert two.shape != three.shape


def test_functions_that_another_python_has_compiled_are_not_compared() -> None:
    one, other = (of(Pipeline(range(9)).map(adding(by), name="add")) for by in (1, 2))
    assert Fingerprint(other.stages, "2.7").difference(one).changes == []

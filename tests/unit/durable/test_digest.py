"""A digest shows whether two items are equal, in any process."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chainpump.durable.digest import digest_of

PROGRAM = """
from chainpump.durable.digest import digest_of
words = [f"word {number}" for number in range(50)]
print(digest_of([set(words), dict.fromkeys(words, frozenset(words)), 1.5, None, b"x"]).hex())
"""


@dataclass
class Point:
    x: int
    y: Any = None


class Slotted:
    __slots__ = ("x",)

    def __init__(self, x: int) -> None:
        self.x = x


def test_it_does_not_depend_on_the_hash_seed() -> None:
    found = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM], env={**os.environ, "PYTHONHASHSEED": seed}, check=True, capture_output=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1


def test_it_does_not_depend_on_which_parts_are_the_same_object() -> None:
    shared = ["a", "b"]
    assert digest_of([shared, shared]) == digest_of([["a", "b"], ["a", "b"]])


@pytest.mark.parametrize(
    "one, other",
    [
        (1, 2),
        (1, True),
        (1, 1.0),
        ("1", b"1"),
        ([1, 2], [2, 1]),
        ([1, 2], (1, 2)),
        ([[1], 2], [[1, 2]]),
        ({"a": 1}, {"a": 2}),
        ({1}, {2}),
        (Point(1), Point(2)),
        (Slotted(1), Slotted(2)),
        (np.zeros(2), np.zeros(3)),
        (np.zeros(2), np.zeros(2, np.float32)),
        (np.zeros(2), np.ones(2)),
    ],
)
def test_different_items_have_different_digests(one: object, other: object) -> None:
    assert digest_of(one) != digest_of(other)
    assert digest_of([one]) != digest_of([other])


def test_equal_objects_have_equal_digests() -> None:
    assert digest_of(Point(1, {"a": np.arange(3)})) == digest_of(Point(1, {"a": np.arange(3)}))
    assert digest_of(Slotted(1)) == digest_of(Slotted(1))


def test_circles_and_deep_items_have_digests() -> None:
    circle: list[Any] = [1]
    circle.append(circle)
    deep: list[Any] = []
    for _ in range(5_000):
        deep = [deep]
    assert digest_of(circle) != digest_of(deep)


def test_what_has_no_state_that_can_be_read_counts_by_its_class() -> None:
    with Path(os.devnull).open() as one, Path(os.devnull).open() as other:
        assert digest_of(one) == digest_of(other) != digest_of(1)


def test_what_stands_behind_a_dictionary_or_a_set_counts() -> None:
    for first in ({"a": 1}, {1}, [{"a": {2}}, {"b": 3}]):
        assert digest_of([first, 1]) != digest_of([first, 2])
        assert digest_of([first, {"c": 1}]) != digest_of([first, {"c": 2}])

"""What an item weighs: all that it keeps alive, whatever its type, at a cost that does not count."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from chainpump.pickling.sizes import Weigher, deep_size

MB = 1_000_000


@dataclass
class Page:
    number: int
    content: object


@dataclass(slots=True)
class Slotted:
    content: object


class Child:
    def __init__(self, parent: Child | None) -> None:
        self.parent = parent
        self.text = "x" * 1_000


def family(members: int) -> Child:
    child = Child(None)
    for _ in range(members - 1):
        child = Child(child)
    return child


class Odd:
    """Does not tell its size."""

    def __sizeof__(self) -> int:
        raise RuntimeError


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: bytes(MB), id="bytes"),
        pytest.param(lambda: Page(1, bytearray(MB)), id="dataclass of a bytearray"),
        pytest.param(lambda: Slotted(bytearray(MB)), id="slots"),
        pytest.param(lambda: (1, np.zeros(MB, np.uint8)[:]), id="tuple of a view"),
        pytest.param(lambda: {"a": [{"b": np.zeros((MB // 100, 100), np.uint8)}]}, id="array deep inside"),
        pytest.param(lambda: [bytes(1_000 - 41) for _ in range(1_000)], id="list of small bytes"),
        pytest.param(lambda: deque(bytes(1_000 - 41) for _ in range(1_000)), id="deque of small bytes"),
        pytest.param(lambda: {str(key): bytes(900) for key in range(1_000)}, id="dict of small bytes"),
        pytest.param(lambda: {(key, bytes(900)) for key in range(1_000)}, id="set of tuples"),
        pytest.param(lambda: family(900), id="objects in a chain"),
    ],
)
def test_all_that_an_item_keeps_alive_is_weighed(make: Callable[[], object]) -> None:
    assert 0.9 * MB < deep_size(make()) < 1.3 * MB


@pytest.mark.parametrize("mode,bytes_each", [("L", 1), ("RGB", 4), ("RGBA", 4), ("F", 4)])
def test_an_image_weighs_its_pixels(mode: str, bytes_each: int) -> None:
    image = pytest.importorskip("PIL.Image").new(mode, (500, 500))
    assert 250_000 * bytes_each <= deep_size({"image": image}) < 260_000 * bytes_each


def generator() -> Iterator[bytes]:
    content = bytes(MB)
    yield content


def running() -> Iterator[bytes]:
    made = generator()
    next(made)
    return made


@pytest.mark.parametrize(
    "item",
    [running(), threading, Page, generator, Page(1, 2).__eq__, Odd(), np.float64(1)],
    ids=lambda item: type(item).__name__,
)
def test_what_belongs_to_the_program_weighs_next_to_nothing(item: object) -> None:
    assert deep_size([item]) < 1_000


def test_an_object_many_times_in_an_item_weighs_once() -> None:
    content = bytes(MB)
    loop: list[Any] = [content]
    loop.append(loop)
    assert deep_size([content] * 1_000) < 1.1 * MB
    assert deep_size(loop) < 1.1 * MB


class Counted:
    """An item that counts how often it is measured."""

    measured = 0

    def __sizeof__(self) -> int:
        type(self).measured += 1
        return 100


def test_most_items_of_a_kind_are_weighed_without_a_look() -> None:
    weigher = Weigher()
    assert all(100 <= weigher.weigh(Counted()) < 200 for _ in range(1_000))
    assert 1 <= Counted.measured < 500


def test_an_item_of_another_type_is_measured_at_once() -> None:
    weigher = Weigher()
    assert weigher.weigh((1, 2)) < 200
    assert weigher.weigh(Page(1, bytes(MB))) > MB


@pytest.mark.parametrize("position", [0, 1, 99, 199, 200, 254, 255])
@pytest.mark.parametrize(
    "large", [bytes(MB), np.zeros(MB // 8), Page(1, bytearray(MB))], ids=["bytes", "array", "page"]
)
def test_where_sizes_jump_a_frame_ends_before_it_is_large(position: int, large: object) -> None:
    entries: list[object] = [bytes(128)] * position + [large] * (256 - position)
    weigher, sizes = Weigher(), []
    while entries:
        count = weigher.portion(entries, 65_536)
        sizes.append(sum(map(deep_size, entries[:count])))
        del entries[:count]
    assert max(sizes) < 1.1 * MB


def test_entries_stay_together_where_only_a_small_rest_would_be_cut_off() -> None:
    each = deep_size(bytes(1000))
    assert Weigher().portion([bytes(1000)] * 70, 60 * each) == 70
    assert Weigher().portion([bytes(1000)] * 80, 60 * each) == 60

"""Snapshots without pickling."""

from __future__ import annotations

import pickle
from collections import OrderedDict, namedtuple
from collections.abc import Iterator
from typing import Any

import pytest

from chainpump.pickling.copies import MAX_PARTS, MAX_TEXT, Copies
from support.records import Frozen, FrozenSlots, Mangled, Number, Plain, Point, Record, Slots, Text

Pair = namedtuple("Pair", ["x", "y"])  # noqa: PYI024  # the other way to make one


def copied(item: Any) -> Any:
    copies = Copies()
    copies.learn(type(item))
    return copies[type(item)](item)


CLASSES = [Record, Frozen, Slots, FrozenSlots, Plain, Mangled]


@pytest.mark.parametrize("kind", CLASSES)
def test_a_copy_of_an_object_is_pickled_as_the_object_is(kind: type) -> None:
    item = kind(7)
    copy = copied(item)
    assert copy is not item
    assert type(copy) is kind
    assert pickle.dumps(copy, 5) == pickle.dumps(item, 5)


@pytest.mark.parametrize("item", [{"id": 1, "name": "x"}, {}, [1, None, b"x"], []], ids=repr)
def test_a_container_of_immutables_is_copied(item: Any) -> None:
    copy = copied(item)
    assert copy == item
    assert copy is not item


@pytest.mark.parametrize("item", [(), (1, "x", 2.5), Point(1), Pair(True, 2j)], ids=repr)
def test_a_tuple_of_immutables_needs_no_copy(item: Any) -> None:
    assert copied(item) is item


CHANGING = [[1], {"x": 1}, (1,), bytearray(b"x"), Text("x"), Number(1), Record(1), object()]
WRAPS = [lambda part: [part], lambda part: (part,), lambda part: {"x": part}, *CLASSES, Point]


@pytest.mark.parametrize("part", CHANGING, ids=lambda part: type(part).__name__)
@pytest.mark.parametrize("wrap", WRAPS)
def test_nothing_with_a_part_that_may_change_is_copied(wrap: Any, part: Any) -> None:
    assert copied(wrap(part)) is None


def test_a_dict_with_a_key_that_may_change_is_not_copied() -> None:
    assert copied({Text("x"): 1}) is None
    assert copied({Frozen([1].__len__): 1}) is None


@pytest.mark.parametrize("wrap", [*WRAPS[:3], *CLASSES, Point])
@pytest.mark.parametrize("part", ["x" * (MAX_TEXT + 1), b"x" * (MAX_TEXT + 1)], ids=["str", "bytes"])
def test_long_texts_are_not_copied(wrap: Any, part: Any) -> None:
    assert copied(wrap(part)) is None
    assert copied(wrap(part[:-1])) is not None


@pytest.mark.parametrize("kind", [list, tuple, lambda parts: dict.fromkeys(map(str, parts))])
def test_items_of_many_parts_are_not_copied(kind: Any) -> None:
    assert copied(kind(range(MAX_PARTS + 1))) is None
    assert copied(kind(range(MAX_PARTS))) is not None


class WithReduce(Plain):
    def __reduce__(self) -> Any:
        return Plain, (self.id,)


class WithState(Plain):
    def __getstate__(self) -> Any:
        return {"id": -1}


class WithArguments(Plain):
    def __getnewargs__(self) -> Any:
        return ()


class WithNew(Plain):
    def __new__(cls, *_: Any) -> Any:
        return super().__new__(cls)


class WithEnd(Plain):
    def __del__(self) -> None:
        self.id = None


class WithAttributes(Plain):
    def __getattribute__(self, name: str) -> Any:
        return super().__getattribute__(name)


class WithDict(Slots):
    """It has slots, and a dictionary of attributes."""


class WithProperty(Slots):
    __slots__ = ()
    name = property(lambda _: "item")


class OddTuple(tuple[int, ...]):  # noqa: SLOT001  # it has a state on purpose
    """It has a dictionary of attributes."""


class LyingTuple(tuple[Any, ...]):
    __slots__ = ()

    def __iter__(self) -> Iterator[Any]:
        return iter(())


class Single:
    __slots__ = ("x",)

    def __init__(self) -> None:
        self.x = 1


ODD = [
    *(kind(1) for kind in (WithReduce, WithState, WithArguments, WithNew, WithEnd, WithAttributes, WithDict)),
    *(OddTuple((1,)), LyingTuple(([1],)), Single(), ValueError(1), OrderedDict(x=1), {1}, frozenset((1,)), 1),
]


@pytest.mark.parametrize("item", ODD, ids=lambda item: type(item).__name__)
def test_what_pickle_writes_in_a_way_of_its_own_is_not_copied(item: Any) -> None:
    assert copied(item) is None


def test_objects_whose_slots_are_empty_or_hidden_are_not_copied() -> None:
    assert copied(Slots.__new__(Slots)) is None
    assert copied(WithProperty.__new__(WithProperty)) is None


def test_attributes_in_another_sort_of_dict_are_not_copied() -> None:
    item = Plain(1)
    item.__dict__ = OrderedDict(id=1)
    assert copied(item) is None

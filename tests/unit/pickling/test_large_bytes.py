"""Large bytes and bytearrays of an item go beside its pickle, unless that could change what arrives."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from chainpump.pickling.large_bytes import DEEPEST, LARGE_BYTES, MOST, take_out_large_bytes

LARGE, SMALL = bytearray(range(256)) * (LARGE_BYTES // 256), bytearray(b"small")
FROZEN = bytes(LARGE)


def beside(item: Any) -> int:
    """How many buffers of an item leave the pickle; what arrives has to be the item."""
    buffers: list[pickle.PickleBuffer] = []
    data = pickle.dumps(take_out_large_bytes(item), 5, buffer_callback=buffers.append)
    views = [memoryview(bytearray(each.raw())) for each in buffers]
    arrived = pickle.loads(data, buffers=views)
    assert arrived == item
    assert types_in(arrived) == types_in(item)
    return len(buffers)


def types_in(item: Any) -> Any:
    parts = item.values() if isinstance(item, dict) else item if isinstance(item, (list, tuple)) else ()
    return type(item), [types_in(each) for each in parts]


def nest(value: Any, depth: int) -> Any:
    return [nest(value, depth - 1)] if depth else value


@pytest.mark.parametrize(
    "item,count",
    [
        pytest.param(LARGE, 1, id="itself"),
        pytest.param(FROZEN, 1, id="bytes"),
        pytest.param(SMALL, 0, id="small"),
        pytest.param({"name": "x", "data": LARGE, "more": (1.5, None, b"")}, 1, id="in a dict"),
        pytest.param([(LARGE, FROZEN), {"deep": [(), (), True, SMALL, bytearray(LARGE)]}], 3, id="several"),
        pytest.param(nest(LARGE, DEEPEST), 1, id="deep"),
        pytest.param([*range(MOST - 2), LARGE], 1, id="among others"),
    ],
)
def test_large_bytes_go_beside_the_pickle(item: Any, count: int) -> None:
    assert beside(item) == count


class Record:
    """What it holds, nobody knows."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Record) and other.data == self.data

    __hash__ = None  # type: ignore[assignment]


class Path(str):
    __slots__ = ()


@pytest.mark.parametrize(
    "item",
    [
        pytest.param([LARGE, Record(LARGE)], id="beside an object that may hold them too"),
        pytest.param([LARGE, LARGE], id="twice"),
        pytest.param([[LARGE]] * 2, id="in one list, twice"),
        pytest.param([LARGE, SMALL, SMALL], id="beside what is there twice"),
        pytest.param({(1, 2): LARGE}, id="under a key that holds others"),
        pytest.param({Path("a"): LARGE}, id="under a key of another type"),
        pytest.param([*range(MOST), LARGE], id="among too many"),
        pytest.param(nest(LARGE, DEEPEST + 1), id="too deep"),
        pytest.param({LARGE_BYTES, FROZEN}, id="in a set"),
    ],
)
def test_an_item_stays_as_it_is_where_its_parts_could_be_one_object(item: Any) -> None:
    assert take_out_large_bytes(item) is item


def test_an_item_that_holds_itself_stays_as_it_is() -> None:
    item: list[Any] = [LARGE]
    item.append(item)
    assert take_out_large_bytes(item) is item

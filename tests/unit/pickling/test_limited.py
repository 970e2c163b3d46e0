"""The limit of an item's bytes: it is exact, and takes no pickle of its own where the frame shows enough."""

from __future__ import annotations

import pickle

import pytest

from chainpump.pickling.items import ItemFault
from chainpump.pickling.large_bytes import LARGE_BYTES
from chainpump.pickling.limited import LimitedPickling, TooManyBytesError

KEYS = {"id": 0, "name": "item", "value": 0.5}


def size_of(item: object) -> int:
    return len(pickle.dumps(item, 5))


@pytest.mark.parametrize("item", [7, 10**400, "a" * 500, KEYS, [[1], {"a": "b" * 99}]], ids=repr)
def test_an_item_may_have_just_so_many_bytes(item: object) -> None:
    size = size_of(item)
    assert LimitedPickling(size).snapshot(item) == pickle.dumps(item, 5)
    with pytest.raises(ItemFault, match=f"the item has {size} bytes as a pickle, but may have {size - 1}") as caught:
        LimitedPickling(size - 1).snapshot(item)
    assert isinstance(caught.value.error, TooManyBytesError)


def test_buffers_outside_the_pickle_count() -> None:
    with pytest.raises(ItemFault):
        LimitedPickling(LARGE_BYTES).snapshot(pickle.PickleBuffer(bytearray(LARGE_BYTES)))


@pytest.mark.parametrize("size", [0, 1, 100, 1000])
def test_a_frame_is_no_smaller_than_each_of_its_items(size: int) -> None:
    # Items that refer to the same objects, which a pickle holds once.
    text = "x" * size
    entries: list[object] = [text, [text, text], *({**KEYS, "id": number, "text": text} for number in range(9))]
    frame = LimitedPickling(1 << 20).frame(entries)
    assert isinstance(frame, bytes)
    assert len(frame) >= max(map(size_of, entries))


def test_a_frame_above_the_limit_may_hold_items_within_it() -> None:
    entries = [{**KEYS, "id": number} for number in range(100)]
    frame = LimitedPickling(size_of(KEYS)).frame(entries)
    assert isinstance(frame, bytes)
    assert pickle.loads(frame) == entries


def test_a_fault_names_the_item_of_the_frame_that_has_too_many_bytes() -> None:
    with pytest.raises(ItemFault) as caught:
        LimitedPickling(50).frame([1, "a" * 30, "b" * 60, "c" * 90])
    assert caught.value.index == 2

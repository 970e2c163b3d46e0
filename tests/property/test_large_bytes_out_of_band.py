"""Whatever an item of plain values is made of: with its bytes set apart it arrives as it would without."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainpump.pickling import large_bytes
from chainpump.pickling.large_bytes import take_out_large_bytes

ATOMS = st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.binary(max_size=8)
SHARED = bytearray(b"of several"), [1, bytearray(b"shared")], {"one": b"and the same"}, ()
ITEMS = st.recursive(
    ATOMS | st.binary(max_size=8).map(bytearray) | st.sampled_from(SHARED),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=2), inner, max_size=3)
        | st.sets(st.integers(), max_size=2)
    ),
    max_leaves=12,
)


@pytest.fixture(autouse=True, scope="module")
def everything_is_large() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(large_bytes, "LARGE_BYTES", 3)
        yield


def shape(item: Any, known: dict[int, int]) -> Any:
    """What an item is, and which of its mutable parts are one and the same."""
    if isinstance(item, (list, bytearray, dict, set)):
        if id(item) in known:
            return known[id(item)]
        known[id(item)] = len(known)
    if isinstance(item, dict):
        return {key: shape(each, known) for key, each in item.items()}
    if isinstance(item, (list, tuple)):
        return type(item), [shape(each, known) for each in item]
    return type(item), item


@given(ITEMS)
def test_an_item_arrives_as_it_would_by_plain_pickle(item: Any) -> None:
    buffers: list[pickle.PickleBuffer] = []
    data = pickle.dumps(take_out_large_bytes(item), 5, buffer_callback=buffers.append)
    arrived = pickle.loads(data, buffers=[bytes(each.raw()) for each in buffers])
    assert shape(arrived, {}) == shape(pickle.loads(pickle.dumps(item, 5)), {})

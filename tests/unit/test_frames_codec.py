"""Frames, and how items become bytes."""

from __future__ import annotations

import pickle
import threading
from array import array

import pytest

from chainpump.transport.codec import ItemFault, Large, Pickling, encode
from chainpump.transport.flow import LARGE_BYTES
from chainpump.transport.frames import HEADER, PLACE, Form


def test_a_frame_s_header_keeps_every_field_at_its_limit() -> None:
    fields = (Form.BUFFERS, True, 2**16 - 1, 2**32 - 1, 2**64 - 1)
    assert HEADER.unpack(HEADER.pack(*fields)) == fields


def test_an_empty_frame_is_still_no_empty_packet() -> None:
    assert HEADER.size > 0
    assert PLACE.size > 0


@pytest.mark.parametrize("snapshots,form", [(False, Form.ITEMS), (True, Form.SNAPSHOTS)])
def test_entries_become_one_pickle(snapshots: bool, form: Form) -> None:
    entries = [b"1", b"2"]
    assert encode(entries, snapshots) == (form, pickle.dumps(entries, 5))


def test_a_snapshot_is_the_item_as_it_was() -> None:
    item = [1, 2]
    snapshot = Pickling().snapshot(item)
    item.append(3)
    assert isinstance(snapshot, bytes)
    assert pickle.loads(snapshot) == [1, 2]


def buffer(size: int) -> pickle.PickleBuffer:
    return pickle.PickleBuffer(bytearray(size))


@pytest.mark.parametrize(
    "sizes,aside",
    [
        ([LARGE_BYTES - 1], []),
        ([LARGE_BYTES], [LARGE_BYTES]),
        ([LARGE_BYTES, 10, LARGE_BYTES + 1], [LARGE_BYTES, LARGE_BYTES + 1]),
    ],
)
def test_only_large_buffers_are_kept_aside(sizes: list[int], aside: list[int]) -> None:
    snapshot = Pickling().snapshot([buffer(size) for size in sizes])
    kept = [view.nbytes for view in snapshot.buffers] if isinstance(snapshot, Large) else []
    assert kept == aside


def test_a_large_item_knows_its_size_and_loads_from_its_parts() -> None:
    numbers = array("Q", range(LARGE_BYTES // 8))
    snapshot = Pickling().snapshot(("frame", pickle.PickleBuffer(numbers)))
    assert isinstance(snapshot, Large)
    assert snapshot.size == len(snapshot.data) + LARGE_BYTES
    name, view = pickle.loads(snapshot.data, buffers=snapshot.buffers)
    assert (name, bytes(view)) == ("frame", numbers.tobytes())


def test_an_item_that_cannot_be_pickled_is_a_fault_that_says_why() -> None:
    with pytest.raises(ItemFault) as caught:
        Pickling().snapshot({"lock": threading.Lock()})
    assert caught.value.reason == "dict['lock']: cannot pickle '_thread.lock' object"


def test_the_item_after_a_fault_gets_none_of_its_buffers() -> None:
    pickling = Pickling()
    with pytest.raises(ItemFault):
        pickling.snapshot([buffer(LARGE_BYTES), threading.Lock()])
    assert isinstance(pickling.snapshot("fine"), bytes)


def test_a_fault_survives_pickle_with_its_fields() -> None:
    fault = pickle.loads(pickle.dumps(ItemFault("why", 2, 17)))
    assert (fault.reason, fault.producer, fault.index) == ("why", 2, 17)

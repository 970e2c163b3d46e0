"""Frames, and how items become bytes."""

from __future__ import annotations

import pickle
import threading
from array import array
from pathlib import Path

import pytest

from chainpump.pickling.items import ItemFault, Large, Pickling
from chainpump.pickling.large_bytes import LARGE_BYTES
from chainpump.transport.frames import HAS_SPAN, HEADER, IN_SLAB, SLAB_LOCATION, SPAN_LENGTH, Form, Frame, Span


def test_a_frame_s_header_keeps_every_field_at_its_limit() -> None:
    fields = (Form.BUFFERS, IN_SLAB | HAS_SPAN, 2**16 - 1, 2**32 - 1, 2**64 - 1)
    assert HEADER.unpack(HEADER.pack(*fields)) == fields


def test_an_empty_frame_is_still_no_empty_packet() -> None:
    assert HEADER.size > 0
    assert SLAB_LOCATION.size > 0
    assert SPAN_LENGTH.size > 0


@pytest.mark.parametrize("entries", [[], [b"1", b"2"], [1, "two", None], [[1], {"a": 2}]], ids=repr)
def test_entries_of_a_frame_become_one_pickle(entries: list[object]) -> None:
    assert Pickling().frame(entries) == pickle.dumps(entries, 5)


def test_large_buffers_of_all_entries_of_a_frame_are_kept_aside() -> None:
    together = Pickling().frame([1, buffer(LARGE_BYTES), buffer(10), buffer(LARGE_BYTES + 1)])
    assert isinstance(together, Large)
    assert [view.nbytes for view in together.buffers] == [LARGE_BYTES, LARGE_BYTES + 1]
    assert together.size == len(together.data) + 2 * LARGE_BYTES + 1
    one, *rest = pickle.loads(together.data, buffers=together.buffers)
    assert (one, [len(part) for part in rest]) == (1, [LARGE_BYTES, 10, LARGE_BYTES + 1])


def test_an_entry_that_cannot_be_pickled_with_its_frame_is_named_by_its_place() -> None:
    pickling = Pickling()
    with pytest.raises(ItemFault) as caught:
        pickling.frame([buffer(LARGE_BYTES), [1], {"lock": threading.Lock()}, threading.Lock()])
    assert (caught.value.reason, caught.value.index) == ("dict['lock']: cannot pickle '_thread.lock' object", 2)
    # Nothing is left of the buffers before it.
    assert isinstance(pickling.frame([1]), bytes)


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


@pytest.mark.parametrize(
    "frame,numbers,indices",
    [
        pytest.param(Frame(0, Span(5, 8), ["a", "b", "c"]), [5, 6, 7], [5, 6, 7], id="one entry for each number"),
        pytest.param(Frame(0, Span(5, 9), ["a", "b", "c"], [5, 8, 8]), [5, 8, 8], [5, 8, 8], id="numbers of their own"),
        pytest.param(Frame(0, Span(5, 7, (3,)), ["a", "b"]), [5, 6], [3, 3], id="parts of one item"),
        pytest.param(Frame(0, Span(5, 7, (3, 1)), ["a", "b"], [5, 5]), [5, 5], [3, 3], id="parts of a part"),
    ],
)
def test_an_entry_knows_its_number_and_the_item_that_it_comes_from(
    frame: Frame, numbers: list[int], indices: list[int]
) -> None:
    assert [frame.number(position) for position in range(len(frame.entries))] == numbers
    assert [frame.item_index(position) for position in range(len(frame.entries))] == indices


def test_a_fault_survives_pickle_with_its_fields() -> None:
    fault = pickle.loads(pickle.dumps(ItemFault("why", 2, 17)))
    assert (fault.reason, fault.producer, fault.index) == ("why", 2, 17)


class Odd:
    """Its objects cannot be pickled with what they hold."""

    def __init__(self, held: object) -> None:
        self.held = held


def test_what_plain_pickle_refuses_is_pickled_with_its_functions_and_classes() -> None:
    class Local:
        held = 3

    factor = 2
    snapshot = Pickling().snapshot([lambda number: factor * number, Local()])
    assert isinstance(snapshot, bytes)
    function, local = pickle.loads(snapshot)
    assert (function(21), local.held) == (42, 3)


def test_entries_of_a_frame_that_plain_pickle_refuses_are_pickled_together() -> None:
    together = Pickling().frame([1, lambda: 2, buffer(LARGE_BYTES)])
    assert isinstance(together, Large)
    one, function, large = pickle.loads(together.data, buffers=together.buffers)
    assert (one, function(), len(large)) == (1, 2, LARGE_BYTES)


def test_what_would_arrive_as_something_else_is_refused() -> None:
    with Path(__file__).open() as file:
        for item in (file, memoryview(b"12")):
            with pytest.raises(ItemFault, match="cannot pickle"):
                Pickling().snapshot(item)


def test_of_several_parts_the_one_that_nothing_can_pickle_is_named() -> None:
    with pytest.raises(ItemFault) as caught:
        Pickling().snapshot(Odd([lambda: 0, threading.Lock()]))
    assert caught.value.reason == "Odd.held[1]: cannot pickle '_thread.lock' object"

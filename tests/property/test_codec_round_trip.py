"""Whatever goes into a channel of packets comes out of it, equal and in order."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from threading import Thread
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from chainpump.ipc.board import Cell, State
from chainpump.pickling.large_bytes import LARGE_BYTES
from chainpump.transport.frames import Span
from chainpump.transport.process_channel import PacketChannel
from chainpump.transport.raw_ends import RawFrame
from chainpump.transport.socket_wire import ROOM
from support.lines import line

EDGES = [0, 1, LARGE_BYTES - 1, LARGE_BYTES, LARGE_BYTES + 1, ROOM - 100, ROOM, 2 * ROOM]
# Bytes, around every limit.
SIZES = st.sampled_from(EDGES) | st.integers(0, 4 * LARGE_BYTES)

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.complex_numbers() | st.text() | st.binary()
NESTED = st.recursive(
    SCALARS,
    lambda parts: st.lists(parts) | st.tuples(parts, parts) | st.dictionaries(st.text(), parts),
    max_leaves=8,
)
LARGE = st.builds(lambda make, size: make(size), st.sampled_from([bytes, bytearray, "x".__mul__]), SIZES)
KINDS = st.sampled_from(["u1", "i4", "f8", "c16", "O"])
ARRAYS = st.builds(lambda kind, size: np.arange(size // np.dtype(kind).itemsize).astype(kind), KINDS, SIZES)
ERRORS = st.builds(lambda error, args: error(*args), st.sampled_from([ValueError, OSError]), st.lists(SCALARS))
ITEMS = NESTED | LARGE | ARRAYS | ERRORS | st.tuples(ARRAYS, NESTED, ARRAYS)


def same(one: Any, other: Any) -> bool:
    """Equal in type and content, whatever `==` means to them: nan, arrays, exceptions."""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return repr(one) == repr(other)


def sent_through(items: Sequence[Any], hint: int, in_flight: int | None) -> list[Any]:
    with line(hint, in_flight) as (output, worker_input):

        def send() -> None:
            output.pump(items)
            output.finish()
            output._row[Cell.STATE] = State.DONE
            output.close()

        sender = Thread(target=send)
        sender.start()
        received = list(worker_input)
        sender.join()
        return received


@given(st.lists(ITEMS, max_size=12), st.sampled_from([0, 1, 3, 1_000]), st.none() | st.integers(1, 4))
def test_items_of_any_sort_arrive_as_they_were(items: list[Any], hint: int, in_flight: int | None) -> None:
    received = sent_through(items, hint, in_flight)
    assert len(received) == len(items)
    assert all(map(same, items, received))


PREFIXES = st.lists(st.integers(0, 2**40), max_size=2).map(tuple)
SPANS = st.builds(Span, st.integers(0, 2**60), st.integers(0, 2**60), PREFIXES, st.booleans(), st.integers(0, 9))


@given(st.lists(ITEMS, max_size=6), st.booleans(), SPANS | st.none(), st.booleans())
def test_frames_that_cross_a_channel_unread_equal_those_sent_directly(
    items: list[Any], snapshots: bool, span: Span | None, numbered: bool
) -> None:
    left, right = PacketChannel(2, 1, None), PacketChannel(1, 1, None)
    with ExitStack() as stack:
        sender, direct, carried = left.sender(1), left.receiver(), right.receiver()
        raw_receiver, raw_sender = left.raw_receiver(), right.raw_sender(0)
        stack.callback(left.close)
        stack.callback(right.close)
        for end in (sender, direct, carried, raw_receiver, raw_sender):
            end.open()
            stack.callback(end.close)

        def send(together: list[Any]) -> None:
            entries = [sender.admit(item)[0] for item in together] if snapshots else together
            implied = Span(7, 7 + len(entries), origin=1)
            sender.send(entries, snapshots, span or implied, [*range(len(entries))] if numbered else None)

        # A snapshot with large buffers is a frame of its own.
        for together in [[item] for item in items] if snapshots else [items]:
            send(together)
            one = direct.receive(wait=True)
            send(together)
            taken = raw_receiver.receive(wait=True)
            assert taken is not None
            head, contents = (memoryview(bytes(part)) for part in taken.encoded())
            taken.release()
            raw_sender.send(RawFrame.decode(head, contents))
            other = carried.receive(wait=True)
            assert one is not None
            assert other is not None
            assert (one.span, one.numbers) == (other.span, other.numbers)
            # The sender may have learned that large bytes travel beside their pickle: the forms differ then.
            mine, its = one.decoded()[0].entries, other.decoded()[0].entries
            assert len(mine) == len(its)
            assert all(map(same, mine, its))


@given(st.lists(SIZES, min_size=1, max_size=8), st.sampled_from([1, 1_000]))
def test_arrays_arrive_writable_and_apart_from_each_other(sizes: list[int], hint: int) -> None:
    received = sent_through([np.full(size, 7, "u1") for size in sizes], hint, None)
    for array in received:
        np.add(array, 1, out=array)
    assert [array.size for array in received] == sizes
    assert all((array == 8).all() for array in received)

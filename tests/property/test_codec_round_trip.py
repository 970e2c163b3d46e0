"""Whatever goes into a channel of packets comes out of it, equal and in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from threading import Thread
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from chainpump.ipc.board import Board, Cell, State
from chainpump.pickling.large_bytes import LARGE_BYTES
from chainpump.transport.process_channel import PacketChannel
from chainpump.transport.socket_wire import ROOM
from chainpump.worker.input import Input
from chainpump.worker.output import Output

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


@contextmanager
def line(hint: int, in_flight: int | None) -> Iterator[tuple[Output, Input]]:
    """A worker's output, a channel, and the input of the worker after it."""
    board, channel = Board(2, 1, 2), PacketChannel(1, 1, in_flight)
    sender, receiver = channel.sender(0), channel.receiver()
    channel.started()
    sender.open()
    receiver.open()
    board.hint(0)[0] = hint
    output = Output(sender, board.row(0), board.hint(0), board.flag(0))
    worker_input = Input(receiver, board, 1, 1, [0], None)
    with ExitStack() as stack:
        for each in (board, channel, worker_input, output):
            stack.callback(each.close)
        yield output, worker_input


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


@given(st.lists(SIZES, min_size=1, max_size=8), st.sampled_from([1, 1_000]))
def test_arrays_arrive_writable_and_apart_from_each_other(sizes: list[int], hint: int) -> None:
    received = sent_through([np.full(size, 7, "u1") for size in sizes], hint, None)
    for array in received:
        np.add(array, 1, out=array)
    assert [array.size for array in received] == sizes
    assert all((array == 8).all() for array in received)

"""Slabs: both sides, the producer's arena and the consumer's views, in one process."""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from chainpump.errors import Cancelled
from chainpump.transport.codec import Large
from chainpump.transport.descriptors import pipe
from chainpump.transport.flow import arena_cap, consumer_share
from chainpump.transport.frames import PLACE
from chainpump.transport.records import RecordWire
from chainpump.transport.seqpacket import PacketWire
from chainpump.transport.slabs import REGION, Arena, Slabs
from chainpump.transport.system import VARIABLE, is_portable, shared_file

MIB = 1 << 20


def large(*sizes: int, fill: int = 0) -> Large:
    """An item of buffers: loading it gives them in a list."""
    buffers = [memoryview(bytearray([fill]) * size) for size in sizes]
    made: list[pickle.PickleBuffer] = []
    return Large(pickle.dumps([pickle.PickleBuffer(b) for b in buffers], 5, buffer_callback=made.append), buffers)


def just_under(size: int) -> Large:
    """An item that, with its pickle, fills a slab of this size but for less than a page."""
    return large(size - 256)


class Pair:
    """A producer and its only consumer, and what connects them."""

    def __init__(self) -> None:
        self.wire = RecordWire(keeps=False) if is_portable() else PacketWire(keeps=False)
        self.out = self.wire.out()
        self.file = shared_file("test", REGION)
        self.reading, self.writing = pipe()
        os.set_blocking(self.reading.fileno(), False)
        self.arena = Arena(self.file, self.reading, 0, 1, self.out, generation=0)
        self.slabs = Slabs(self.file, [self.writing])

    def place(self, item: Large) -> bytes:
        return self.arena.place(item)

    def load(self, place: bytes) -> Any:
        return self.slabs.load(0, memoryview(place), pickle.loads)

    def send(self, *sizes: int, fill: int = 0) -> Any:
        """An item, once across."""
        return self.load(self.place(large(*sizes, fill=fill)))

    def hang_up(self) -> None:
        self.wire.hang_up()

    def close(self) -> None:
        self.wire.close()
        for descriptor in (*self.out.descriptors, self.file, self.reading, self.writing):
            descriptor.close()


@pytest.fixture(params=["linux", "portable"])
def pair(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    monkeypatch.setenv(VARIABLE, request.param)
    pair = Pair()
    yield pair
    pair.close()
    vars(pair).clear()  # pytest holds the object for longer than a test lasts


def offset_of(place: bytes) -> int:
    return int(PLACE.unpack_from(place)[0])


def resident(pair: Pair) -> int:
    """Bytes of memory that the slabs take."""
    return os.fstat(pair.file.fileno()).st_blocks * 512


def is_view(part: object) -> bool:
    """Whether it shares the slab; a copy is a bytearray."""
    return isinstance(part, memoryview)


def test_what_was_placed_is_what_is_loaded(pair: Pair) -> None:
    first, second = pair.send(MIB, 3, fill=7)
    assert (bytes(first), bytes(second)) == (b"\7" * MIB, b"\7\7\7")


def test_a_consumer_may_write_into_its_view(pair: Pair) -> None:
    (view,) = pair.send(MIB)
    view[0] = 255
    assert (view[0], view[1]) == (255, 0)


def test_an_array_is_writable_aligned_and_not_copied(pair: Pair) -> None:
    sent = np.arange(MIB, dtype="f8")
    aside: list[pickle.PickleBuffer] = []
    data = pickle.dumps(sent, 5, buffer_callback=aside.append)
    arrived = pair.load(pair.place(Large(data, [buffer.raw() for buffer in aside])))
    arrived += 1
    assert arrived.flags.writeable
    assert arrived.flags.aligned
    assert arrived[-1] == MIB


def test_a_slab_comes_back_when_the_last_view_of_it_dies(pair: Pair) -> None:
    place = pair.place(large(MIB, MIB))
    one, two = pair.load(place)
    part = one[10:20]
    del one, two
    assert offset_of(pair.place(large(MIB, MIB))) != offset_of(place)  # `part` still holds it
    del part
    assert offset_of(pair.place(large(MIB, MIB))) == offset_of(place)


def test_slabs_are_reused_last_in_first_out(pair: Pair) -> None:
    places = [pair.place(just_under(MIB)) for _ in range(3)]
    held = [pair.load(place) for place in places]
    for number in (1, 0, 2):
        held[number].clear()
    again = [offset_of(pair.place(just_under(MIB))) for _ in range(3)]
    assert again == [offset_of(places[number]) for number in (2, 0, 1)]


def test_memory_does_not_grow_with_the_number_of_items(pair: Pair) -> None:
    for _ in range(20):
        pair.load(pair.place(just_under(MIB)))
    assert resident(pair) == MIB


def test_a_producer_gives_up_idle_slabs_of_another_size_before_it_waits(pair: Pair) -> None:
    for place in [pair.place(just_under(MIB)) for _ in range(8)]:
        pair.load(place)
    assert resident(pair) == 8 * MIB == arena_cap(2 * MIB, 1)
    pair.place(just_under(2 * MIB))
    assert resident(pair) == 8 * MIB


def test_addresses_are_used_again(pair: Pair) -> None:
    """Sizes that change make the producer give up slabs without end; the file does not grow with that."""
    offsets = set()
    for size in [MIB, 2 * MIB, 4 * MIB] * 20:
        for place in [pair.place(just_under(size)) for _ in range(8 * MIB // size)]:
            pair.load(place)
            offsets.add((offset_of(place), size))
    assert len(offsets) <= 8 + 8 + 8


def test_a_larger_item_raises_the_cap(pair: Pair) -> None:
    for place in [pair.place(just_under(4 * MIB)) for _ in range(4)]:
        pair.load(place)
    assert resident(pair) == 16 * MIB == arena_cap(4 * MIB, 1)


def test_a_consumer_that_hoards_gets_copies_past_its_share(pair: Pair) -> None:
    hoard = [pair.load(pair.place(just_under(MIB)))[0] for _ in range(20)]
    views = sum(map(is_view, hoard))
    assert views == consumer_share(MIB, 1) // MIB
    assert not any(map(is_view, hoard[views:]))


def test_a_consumer_that_lets_go_gets_views_again(pair: Pair) -> None:
    hoard = [pair.load(pair.place(just_under(MIB)))[0] for _ in range(20)]
    hoard.clear()
    assert is_view(pair.load(pair.place(just_under(MIB)))[0])


def test_a_pickle_without_buffers_is_copied_and_its_slab_goes_straight_back(pair: Pair) -> None:
    text = "x" * MIB
    first = pair.place(Large(pickle.dumps(text), []))
    assert pair.load(first) == text
    assert offset_of(pair.place(Large(pickle.dumps(text), []))) == offset_of(first)


def test_a_pickle_that_cannot_be_loaded_gives_its_slab_back(pair: Pair) -> None:
    place = pair.place(Large(b"no pickle" * 100, []))
    with pytest.raises(pickle.UnpicklingError):
        pair.load(place)
    assert offset_of(pair.place(Large(b"no pickle" * 100, []))) == offset_of(place)


def fill(pair: Pair) -> list[bytes]:
    """Place items until the producer would have to wait."""
    return [pair.place(just_under(2 * MIB)) for _ in range(arena_cap(2 * MIB, 1) // (2 * MIB))]


def placed_by_thread(pair: Pair, results: list[object]) -> threading.Thread:
    def place() -> None:
        try:
            results.append(offset_of(pair.place(just_under(2 * MIB))))
        except Cancelled as error:
            results.append(error)

    thread = threading.Thread(target=place)
    thread.start()
    return thread


def test_a_producer_out_of_slabs_goes_on_when_one_comes_back(pair: Pair) -> None:
    placed = fill(pair)
    results: list[object] = []
    waiting = placed_by_thread(pair, results)
    pair.load(placed[2])  # its views die at once
    waiting.join()
    assert results == [offset_of(placed[2])]


def test_a_producer_out_of_slabs_is_woken_by_a_hang_up(pair: Pair) -> None:
    fill(pair)
    results: list[object] = []
    waiting = placed_by_thread(pair, results)
    pair.hang_up()
    waiting.join()
    assert [type(result) for result in results] == [Cancelled]


def test_a_view_outlives_the_channel(pair: Pair) -> None:
    (view,) = pair.send(MIB, fill=9)
    pair.close()
    assert view[-1] == 9
    del view  # nobody is left to give it back to


def test_a_view_outlives_its_producer(pair: Pair) -> None:
    (view,) = pair.send(MIB, fill=9)
    pair.reading.close()
    assert view[-1] == 9
    del view  # the pipe is broken

"""Slabs: both sides, the producer's arena and the consumer's views, in one process."""

from __future__ import annotations

import errno
import fcntl
import os
import pickle
import resource
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from chainpump.errors import Cancelled
from chainpump.ipc.descriptors import pipe
from chainpump.ipc.system import VARIABLE, is_portable, shared_file
from chainpump.pickling.items import Large
from chainpump.transport import slab_allocator
from chainpump.transport.flow import arena_cap, consumer_share
from chainpump.transport.frames import SLAB_LOCATION
from chainpump.transport.pipe_wire import RecordWire
from chainpump.transport.slab_allocator import Arena
from chainpump.transport.slabs import Slabs, punch_all_but
from chainpump.transport.socket_wire import PacketWire

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
        self.file = shared_file("test", 0)
        self.reading, self.writing = pipe()
        os.set_blocking(self.reading.fileno(), False)
        self.arena = Arena(self.file, self.reading, 1, self.out)
        self.slabs = Slabs([self.file], [self.writing])

    def place(self, item: Large) -> bytes:
        return self.arena.put(item)

    def load(self, place: bytes) -> Any:
        return self.slabs.load(0, memoryview(place), pickle.loads)

    def send(self, *sizes: int, fill: int = 0) -> Any:
        """An item, once across."""
        return self.load(self.place(large(*sizes, fill=fill)))

    def hang_up(self) -> None:
        self.wire.hang_up()

    def close(self) -> None:
        if not self.reading.closed:
            self.arena.close()
        self.wire.close()
        for descriptor in (*self.out.descriptors, self.file, self.reading, self.writing):
            descriptor.close()


class Clock:
    """Of the arena, set by hand: under load a second is soon over."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = slab_allocator.time.monotonic_ns()
        self._real = slab_allocator.time.monotonic_ns
        monkeypatch.setattr(slab_allocator.time, "monotonic_ns", lambda: self.now or self._real())

    def next_window(self) -> None:
        self.now += slab_allocator.WINDOW_NS

    def go_on(self) -> None:
        self.now = 0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture(params=["linux", "portable"])
def pair(clock: Clock, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    monkeypatch.setenv(VARIABLE, request.param)
    pair = Pair()
    yield pair
    pair.close()
    # Pytest holds the object for longer than a test lasts.
    vars(pair).clear()


def offset_of(place: bytes) -> int:
    return int(SLAB_LOCATION.unpack_from(place)[0])


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
    # `part` still holds it.
    assert offset_of(pair.place(large(MIB, MIB))) != offset_of(place)
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
    # Its views die at once.
    pair.load(placed[2])
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
    # Nobody is left to give it back to.
    del view


def test_a_view_outlives_its_producer(pair: Pair) -> None:
    (view,) = pair.send(MIB, fill=9)
    pair.arena.close()
    pair.reading.close()
    assert view[-1] == 9
    # The pipe is broken.
    del view


# ------------------------------------------------------------------------------------------- pages that are given back


def cross(pair: Pair, item: Large, times: int = 1) -> None:
    for _ in range(times):
        pair.load(pair.place(item))


def test_slabs_that_are_not_needed_for_a_window_give_their_pages_back(clock: Clock, pair: Pair) -> None:
    for place in [pair.place(just_under(4 * MIB)) for _ in range(4)]:
        pair.load(place)
    assert resident(pair) == 16 * MIB
    clock.next_window()
    # All four were needed before; from here on one is.
    cross(pair, just_under(4 * MIB), 5)
    assert resident(pair) == 16 * MIB
    clock.next_window()
    cross(pair, just_under(4 * MIB))
    assert resident(pair) == 4 * MIB


def test_a_producer_that_sends_no_large_items_any_more_gives_all_pages_back(clock: Clock, pair: Pair) -> None:
    for place in [pair.place(just_under(4 * MIB)) for _ in range(4)]:
        pair.load(place)
    for _ in range(2):
        clock.next_window()
        pair.arena.free_idle()
    assert resident(pair) == 0


def test_a_producer_that_sends_nothing_any_more_gives_all_pages_back(
    clock: Clock, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.go_on()
    monkeypatch.setattr(slab_allocator, "WINDOW_NS", 1_000_000)
    given_up = threading.Semaphore(0)
    punch = slab_allocator.punch

    def told(*which: Any) -> None:
        punch(*which)
        given_up.release()

    monkeypatch.setattr(slab_allocator, "punch", told)
    views = [pair.send(MIB - 256)[0] for _ in range(3)]
    del views[0]
    assert given_up.acquire(timeout=30)
    assert resident(pair) == 2 * MIB
    # It still looks for these.
    views.clear()
    for _ in range(2):
        assert given_up.acquire(timeout=30)
    assert resident(pair) == 0


def test_the_cap_falls_when_items_are_small_again(clock: Clock, pair: Pair) -> None:
    """Not before the large ones have come back: their consumer may hold as much as it was told with them."""
    (view,) = pair.send(64 * MIB)
    for _ in range(3):
        clock.next_window()
        cross(pair, just_under(MIB))
    # Under the cap of the large one.
    assert len([pair.place(just_under(MIB)) for _ in range(100)]) == 100
    # Nobody is to wait for ever.
    pair.wire.hang_up()
    del view


def test_the_cap_of_a_stream_of_small_items_does_not_know_of_a_large_one_long_ago(clock: Clock, pair: Pair) -> None:
    cross(pair, large(64 * MIB))
    for _ in range(3):
        clock.next_window()
        cross(pair, just_under(MIB))
    pair.wire.hang_up()
    for _ in range(arena_cap(MIB, 1) // MIB):
        pair.place(just_under(MIB))
    # Instead of waiting.
    with pytest.raises(Cancelled):
        pair.place(just_under(MIB))


def test_a_producer_with_credits_does_not_wait_for_slabs(pair: Pair) -> None:
    pair.arena = Arena(pair.file, pair.reading, 1, pair.out, in_flight=7)
    # Instead of waiting, it would raise Cancelled.
    pair.wire.hang_up()
    views = [pair.send(2 * MIB - 256) for _ in range(8)]
    assert len(views) == 8


def test_a_producer_that_ends_gives_its_idle_pages_back_and_consumers_give_the_rest(pair: Pair) -> None:
    views = [pair.send(MIB - 256)[0] for _ in range(3)]
    cross(pair, just_under(2 * MIB))
    pair.arena.close()
    pair.reading.close()
    assert resident(pair) == 3 * MIB
    views.pop()
    assert resident(pair) == 2 * MIB
    views.clear()
    assert resident(pair) == 0


def end_run(pair: Pair) -> None:
    punch_all_but(pair.file, pair.slabs.end()[0])


def test_after_the_run_only_what_is_kept_takes_memory(pair: Pair) -> None:
    kept = [pair.send(MIB - 256, fill=n)[0] for n in range(4)]
    del kept[0], kept[1]
    end_run(pair)
    assert resident(pair) == 2 * MIB
    assert [view[-1] for view in kept] == [1, 3]
    del kept[0]
    assert resident(pair) == MIB
    assert kept[0][-1] == 3


def test_a_fork_that_drops_a_view_takes_nothing_from_its_parent(pair: Pair) -> None:
    kept = [pair.send(MIB, fill=9)[0]]
    end_run(pair)
    child = os.fork()
    if not child:
        kept.clear()
        os._exit(0)
    os.waitpid(child, 0)
    assert kept[0][-1] == 9


def test_what_arrives_once_the_run_is_over_is_not_read(pair: Pair) -> None:
    place = pair.place(large(MIB))
    end_run(pair)
    with pytest.raises(Cancelled):
        pair.load(place)


# ---------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.skipif(not hasattr(fcntl, "F_SETPIPE_SZ"), reason="only Linux can make a pipe smaller")
def test_a_consumer_that_drops_more_views_than_its_pipe_was_made_for_loses_none(pair: Pair) -> None:
    fcntl.fcntl(pair.reading.fileno(), fcntl.F_SETPIPE_SZ, 4096)
    most = 4096 // slab_allocator.RETURN.size
    # The first has no thread yet.
    pair.arena = Arena(pair.file, pair.reading, 1, pair.out)
    # So large that bytes are no bound.
    cross(pair, large(4 * MIB * most // 16))
    kept = [pair.send(131_072)[0] for _ in range(most + 20)]
    assert sum(map(is_view, kept)) == most - 2
    # A full pipe would raise in a finalizer, which pytest tells of.
    kept.clear()
    used = {offset_of(pair.place(large(131_072))) for _ in range(most)}
    assert len(used) == most


def test_a_limit_on_the_size_of_files_is_met_by_using_less(pair: Pair) -> None:
    """Slabs of one size are given up for those of another: the file grows only by what is in use at once."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8 * MIB, hard))
    try:
        for size in [MIB, 2 * MIB, 4 * MIB, 8 * MIB, MIB] * 3:
            cross(pair, just_under(size), 3)
        with pytest.raises(OSError, match=rf"Errno {errno.EFBIG}"):
            pair.place(just_under(16 * MIB))
        cross(pair, just_under(8 * MIB))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_where_there_is_no_room_idle_slabs_make_some(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    room, written = 5 * MIB, os.pwritev

    def pwritev(fd: int, buffers: Any, offset: int) -> int:
        if resident(pair) + sum(map(len, buffers)) > room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return written(fd, buffers, offset)

    monkeypatch.setattr(os, "pwritev", pwritev)
    for place in [pair.place(just_under(MIB)) for _ in range(3)]:
        pair.load(place)
    cross(pair, just_under(4 * MIB))
    with pytest.raises(OSError, match=rf"Errno {errno.ENOSPC}"):
        pair.place(just_under(8 * MIB))
    assert resident(pair) == 0

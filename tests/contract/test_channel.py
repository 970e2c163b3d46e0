"""What every kind of channel promises to its workers and to the supervisor: one body, each implementation."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from itertools import count
from typing import Any, Protocol

import numpy as np
import pytest

from chainpump.errors import Cancelled
from chainpump.ipc.system import VARIABLE
from chainpump.pickling.items import ItemFault, Large
from chainpump.transport.channel import Channel, Receiver, Sender
from chainpump.transport.frames import Frame, Span
from chainpump.transport.process_channel import PacketChannel
from chainpump.transport.thread_channel import MemoryChannel

# Seconds; for every wait of a test. Only a defect comes near it.
LIMIT = 60


class Endpoints(Protocol):
    """Makes a channel with all its ends, each with its worker."""

    def __call__(
        self, producers: int = 1, consumers: int = 1, in_flight: int | None = None, renewable: bool = False
    ) -> tuple[Channel, Sequence[Sender], Sequence[Receiver]]: ...


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as pool:
        yield pool


@pytest.fixture
def thread(pool: ThreadPoolExecutor) -> Callable[..., Future[Any]]:
    """Runs a function in a thread of its own."""
    return pool.submit


KINDS: dict[str, tuple[Callable[[int, int, int | None, bool], Channel], str]] = {
    "memory": (MemoryChannel, "linux"),
    "sockets": (PacketChannel, "linux"),
    "pipes": (PacketChannel, "portable"),
}


@pytest.fixture(params=KINDS)
def ends(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, pool: ThreadPoolExecutor
) -> Iterator[Endpoints]:
    """Of each kind of channel; a test may name the kinds that it is for."""
    kind, transport = KINDS[request.param]
    if transport == "linux" and not hasattr(os, "memfd_create"):
        pytest.skip("this is not Linux, or is to seem so")
    monkeypatch.setenv(VARIABLE, transport)
    stack = ExitStack()

    def ends(
        producers: int = 1, consumers: int = 1, in_flight: int | None = None, renewable: bool = False
    ) -> tuple[Channel, Sequence[Sender], Sequence[Receiver]]:
        channel = kind(producers, consumers, in_flight, renewable)
        senders = [channel.sender(number) for number in range(producers)]
        receivers = [channel.receiver() for _ in range(consumers)]
        channel.started()
        for end in (*senders, *receivers):
            end.open()
        for step in (channel.close, *(end.close for end in (*senders, *receivers)), pool.shutdown, channel.hang_up):
            # Backwards: a test that fails lets its threads go first.
            stack.callback(step)
        return channel, senders, receivers

    with stack:
        yield ends


between_processes = pytest.mark.parametrize("ends", ["sockets", "pipes"], indirect=True)


def send(sender: Sender, items: Sequence[Any], first: int = 0) -> None:
    """Each item as a frame of its own."""
    for number, item in enumerate(items, first):
        sender.send([sender.admit(item)[0]], True, Span(number, number + 1), None)


def send_all(sender: Sender, items: Sequence[Any]) -> None:
    send(sender, items)
    sender.close()


def items_of(frame: Frame) -> list[Any]:
    return [frame.decode(entry) if frame.decode else entry for entry in frame.entries]


def frames(receiver: Receiver) -> Iterator[Frame]:
    while (frame := receiver.receive(wait=True)) is not None:
        yield frame


def drain(receiver: Receiver) -> list[Any]:
    return [item for frame in frames(receiver) for item in items_of(frame)]


class Told:
    """What a send tells of its waits. entered: set while it waits for the first time."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.entries = self.exits = 0

    def __enter__(self) -> None:
        self.entries += 1
        self.entered.set()

    def __exit__(self, *_: object) -> None:
        self.exits += 1


# ----------------------------------------------------------------------------------------------- what comes through


def test_items_of_one_producer_arrive_in_order(ends: Endpoints, thread: Callable[..., Future[Any]]) -> None:
    _, [sender], [receiver] = ends()
    thread(send_all, sender, range(5_000))
    assert drain(receiver) == list(range(5_000))


def test_frames_keep_their_items_their_producer_and_their_number(ends: Endpoints) -> None:
    _, senders, [receiver] = ends(producers=2)
    senders[1].send([1, 2, 3], False, Span(70, 73, origin=1), None)
    send(senders[0], [[4]], first=5)
    received = [receiver.receive(wait=True) for _ in range(2)]
    assert [(frame.producer, frame.span, frame.numbers, items_of(frame)) for frame in received if frame] == [
        (1, Span(70, 73, origin=1), None, [1, 2, 3]),
        (0, Span(5, 6), None, [[4]]),
    ]


@between_processes
def test_bytes_too_large_for_a_packet_go_beside_their_pickle_from_the_second_on(ends: Endpoints) -> None:
    _, [sender], [receiver] = ends()
    data = bytearray(300_000)
    entries = [sender.admit({"data": data})[0]]
    sender.send(entries, True, Span(0, 1), None)
    large, nbytes = sender.admit({"data": data})
    assert isinstance(large, Large)
    assert (len(large.data) < 300, nbytes == large.size) == (True, True)
    sender.send([large], True, Span(1, 2), None)
    # Nobody holds on to it, once it was sent.
    data.append(1)
    sender.send([bytes(data)], False, Span(2, 3), None)
    sender.send([bytes(data)], False, Span(3, 4), None)
    found = [items_of(frame)[0] for frame in (receiver.receive(wait=True) for _ in range(4)) if frame]
    assert found == [{"data": bytearray(300_000)}] * 2 + [bytes(data)] * 2


@pytest.mark.parametrize(
    "entries,span,numbers",
    [
        pytest.param([], Span(3, 9), None, id="nothing is left of it"),
        pytest.param([], Span(100, 100, (7,), last=True), None, id="the end of an item"),
        pytest.param(["a", "b"], Span(3, 9, origin=2), [4, 4], id="numbers of their own"),
        pytest.param(["a", "b"], Span(0, 2, (7, 1), origin=2), None, id="parts of one item"),
        pytest.param(["a", "b"], Span(2**40, 2**40 + 2), None, id="large numbers"),
        pytest.param(["x" * 300_000, "y"], Span(3, 9, (7,), True, 2), [4, 8], id="too much for a packet"),
        pytest.param([np.zeros(100_000), "z"], Span(3, 9, (7,), True, 2), [4, 8], id="a large array"),
        pytest.param(["a"] * 60_000, Span(0, 60_000), [*range(60_000)], id="more numbers than fit into a packet"),
    ],
)
@pytest.mark.parametrize("snapshots", [False, True], ids=["together", "snapshots"])
def test_frames_keep_the_span_that_they_stand_for(
    ends: Endpoints, entries: list[Any], span: Span, numbers: list[int] | None, snapshots: bool
) -> None:
    _, senders, [receiver] = ends(producers=2)
    # What has large buffers travels alone.
    if snapshots:
        entries = [entry if isinstance(entry, str) else "array" for entry in entries]
    senders[1].send(
        [senders[1].admit(entry)[0] for entry in entries] if snapshots else entries, snapshots, span, numbers
    )
    frame = receiver.receive(wait=True)
    assert frame is not None
    assert (frame.producer, frame.span, frame.numbers) == (1, span, numbers)
    assert list(map(repr, items_of(frame))) == list(map(repr, entries))


def test_a_frame_tells_about_how_much_room_it_takes(ends: Endpoints) -> None:
    _, [sender], [receiver] = ends()
    for number, size in enumerate((1_000, 1_000_000)):
        sender.send([b"x" * size] * 3, False, Span(3 * number, 3 * number + 3), None)
        frame = receiver.receive(wait=True)
        assert frame is not None
        assert size <= frame.nbytes < 4.5 * size


def test_a_frame_of_nothing_takes_no_room_to_speak_of(ends: Endpoints) -> None:
    _, [sender], [receiver] = ends()
    assert sender.send([], False, Span(0, 5), None) < 100
    frame = receiver.receive(wait=True)
    assert frame is not None
    assert frame.nbytes < 100


def test_every_item_of_many_producers_reaches_one_of_many_consumers(
    ends: Endpoints, thread: Callable[..., Future[Any]]
) -> None:
    def signed(producer: int, number: int) -> tuple[int, int, bytes, int]:
        payload = bytes([producer]) * (number % 700)
        return producer, number, payload, zlib.crc32(payload)

    _, senders, receivers = ends(producers=3, consumers=4)
    for producer, sender in enumerate(senders):
        thread(send_all, sender, [signed(producer, number) for number in range(1_000)])
    received = [future.result(LIMIT) for future in [thread(drain, receiver) for receiver in receivers]]

    everything = [item for part in received for item in part]
    assert all(zlib.crc32(payload) == checksum for _, _, payload, checksum in everything)
    counts = Counter((producer, number) for producer, number, _, _ in everything)
    assert counts == Counter({(producer, number): 1 for producer in range(3) for number in range(1_000)})
    for part in received:
        for producer in range(3):
            numbers = [number for who, number, _, _ in part if who == producer]
            assert numbers == sorted(numbers)


@pytest.mark.parametrize(
    "item",
    [
        pytest.param(None, id="none"),
        pytest.param(b"", id="empty"),
        pytest.param(b"x" * 5_000_000, id="5 MB of bytes"),
        pytest.param(["x" * 1_000] * 3_000, id="3 MB in parts"),
        pytest.param(bytearray(b"y" * 1_000_000), id="1 MB that can change"),
        pytest.param(ValueError("an item, not a failure"), id="an exception"),
    ],
)
def test_an_item_of_any_size_comes_through(ends: Endpoints, thread: Callable[..., Future[Any]], item: object) -> None:
    _, [sender], [receiver] = ends()
    thread(send_all, sender, [item, item])
    assert [(type(each), repr(each)) for each in drain(receiver)] == [(type(item), repr(item))] * 2


def test_a_huge_array_comes_through_and_may_be_written_to(ends: Endpoints, thread: Callable[..., Future[Any]]) -> None:
    _, [sender], [receiver] = ends()
    # 40 MB each.
    thread(send_all, sender, [np.full(5_000_000, number) for number in range(3)])
    for number, frame in enumerate(frames(receiver)):
        (array,) = items_of(frame)
        np.add(array, 1, out=array)
        assert (array.min(), array.max(), array.size) == (number + 1, number + 1, 5_000_000)


# ------------------------------------------------------------------------------------------------------ waiting


def test_a_wait_ends_when_a_frame_is_there(ends: Endpoints) -> None:
    _, [sender], [receiver] = ends()
    assert not receiver.wait(0)
    assert not receiver.wait(0.001)
    send(sender, [1])
    assert receiver.wait(0)
    # It takes nothing.
    assert receiver.wait(LIMIT)
    assert receiver.receive(wait=False) is not None
    assert not receiver.wait(0)


def test_a_wait_is_over_at_the_end(ends: Endpoints) -> None:
    _, [sender], [receiver] = ends()
    sender.close()
    assert receiver.wait(LIMIT)
    assert receiver.receive(wait=False) is None
    assert receiver.wait(LIMIT)


def test_who_waits_is_woken_by_a_frame_of_another_thread(ends: Endpoints, thread: Callable[..., Future[Any]]) -> None:
    _, [sender], [receiver] = ends()
    waiting = thread(receiver.wait, LIMIT)
    send(sender, [1])
    assert waiting.result(LIMIT)


def test_a_hang_up_wakes_who_waits_for_so_long(ends: Endpoints, thread: Callable[..., Future[Any]]) -> None:
    channel, [_], receivers = ends(consumers=2)
    waiting = [thread(receiver.wait, LIMIT) for receiver in receivers]
    channel.hang_up()
    assert [future.result(LIMIT) for future in waiting] == [True, True]
    assert [receiver.receive(wait=False) for receiver in receivers] == [None, None]


# ------------------------------------------------------------------------------------------------------- the end


def test_no_items_are_a_clean_end(ends: Endpoints) -> None:
    _, [sender], [receiver] = ends()
    sender.close()
    assert receiver.receive(wait=True) is None


def test_what_is_queued_comes_before_the_end(ends: Endpoints) -> None:
    _, [sender], [receiver] = ends()
    send_all(sender, [1, 2, 3])
    assert drain(receiver) == [1, 2, 3]


def test_the_end_comes_only_after_the_last_producer(ends: Endpoints) -> None:
    _, senders, [receiver] = ends(producers=3)
    for sender in senders:
        with pytest.raises(BlockingIOError):
            receiver.receive(wait=False)
        sender.close()
    assert receiver.receive(wait=False) is None


def test_every_consumer_sees_the_end(ends: Endpoints, thread: Callable[..., Future[Any]]) -> None:
    _, [sender], receivers = ends(consumers=3)
    waiting = [thread(drain, receiver) for receiver in receivers]
    sender.close()
    assert [future.result(LIMIT) for future in waiting] == [[], [], []]


@between_processes
def test_a_sealed_channel_ends_after_what_is_queued_though_somebody_still_holds_a_writing_end(
    # A thread leaks none.
    ends: Endpoints,
) -> None:
    channel, [sender], [receiver] = ends()
    leaked = [descriptor.dup() for descriptor in sender.descriptors]
    send_all(sender, [1, 2])
    channel.seal()
    assert drain(receiver) == [1, 2]
    for descriptor in leaked:
        descriptor.close()


def test_sealing_a_channel_that_has_ended_does_nothing(ends: Endpoints) -> None:
    channel, [sender], [receiver] = ends()
    send_all(sender, [1])
    channel.seal()
    channel.seal()
    assert drain(receiver) == [1]


def test_closing_twice_does_nothing(ends: Endpoints) -> None:
    _, senders, [receiver] = ends(producers=2)
    senders[0].close()
    senders[0].close()
    with pytest.raises(BlockingIOError):
        # The other producer's end is still open.
        receiver.receive(wait=False)
    receiver.close()
    receiver.close()


# -------------------------------------------------------------------------------------------- waiting in an event loop

CHANGES: dict[str, Callable[[Channel, Sender], object]] = {
    "a frame": lambda _, sender: send(sender, [1]),
    "the end": lambda _, sender: sender.close(),
    "a hang-up": lambda channel, _: channel.hang_up(),
}


@pytest.mark.parametrize("is_before", [True, False], ids=["before", "meanwhile"])
@pytest.mark.parametrize("change", CHANGES)
def test_an_event_loop_is_woken_when_a_receive_does_not_wait(
    ends: Endpoints, thread: Callable[..., Future[Any]], change: str, is_before: bool
) -> None:
    channel, [sender], [receiver] = ends()

    async def woken() -> None:
        if is_before:
            CHANGES[change](channel, sender)
        ready = asyncio.Event()
        end = receiver.watch(asyncio.get_running_loop(), ready.set)
        if not is_before:
            thread(CHANGES[change], channel, sender)
        await asyncio.wait_for(ready.wait(), LIMIT)
        end()

    asyncio.run(woken())
    frame = receiver.receive(wait=False)
    assert (frame is not None) == (change == "a frame")


def test_a_loop_that_does_not_watch_any_more_is_not_woken_and_may_be_closed(ends: Endpoints) -> None:
    channel, [sender], [receiver] = ends()
    calls: list[int] = []

    async def begin(number: int) -> Callable[[], None]:
        end = receiver.watch(asyncio.get_running_loop(), lambda: calls.append(number))
        if number == 0:
            end()
            send(sender, [1])
            # Twice, as sockets have their turn in the next iteration.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert receiver.receive(wait=False) is not None
        return end

    asyncio.run(begin(0))
    end_late = asyncio.run(begin(1))
    send(sender, [2], 1)
    channel.hang_up()
    end_late()
    assert not calls


# -------------------------------------------------------------------------------------------------------- hang-up


def test_a_hang_up_wakes_a_sender_that_waits_for_room(ends: Endpoints, thread: Callable[..., Future[Any]]) -> None:
    channel, [sender], [_] = ends()
    full = threading.Event()

    def send_for_ever() -> None:
        for number in count():
            # Fits into every channel.
            if number == 3:
                full.set()
            send(sender, [b"x" * 100_000], number)

    sending = thread(send_for_ever)
    assert full.wait(LIMIT)
    channel.hang_up()
    assert isinstance(sending.exception(LIMIT), Cancelled)


def test_a_hang_up_wakes_every_receiver(ends: Endpoints, thread: Callable[..., Future[Any]]) -> None:
    channel, [_], receivers = ends(consumers=3)
    waiting = [thread(receiver.receive, True) for receiver in receivers]
    channel.hang_up()
    assert [future.result(LIMIT) for future in waiting] == [None, None, None]


def test_a_hang_up_wakes_who_waits_for_a_credit(ends: Endpoints, thread: Callable[..., Future[Any]]) -> None:
    channel, [sender], [_] = ends(in_flight=1)
    assert sender.credits is not None
    assert sender.credits.take()
    waiting = thread(sender.credits.wait)
    channel.hang_up()
    waiting.result(LIMIT)


def test_who_sends_after_a_hang_up_is_cancelled(ends: Endpoints) -> None:
    channel, [sender], [_] = ends()
    channel.hang_up()
    channel.hang_up()
    for _ in range(2):
        with pytest.raises(Cancelled):
            send(sender, [1])


def test_a_hang_up_after_the_end_does_nothing(ends: Endpoints) -> None:
    channel, [sender], [receiver] = ends()
    sender.close()
    assert receiver.receive(wait=True) is None
    receiver.close()
    channel.hang_up()


# -------------------------------------------------------------------------------------------------------- credits


def test_a_channel_bounded_by_bytes_has_no_credits(ends: Endpoints) -> None:
    _, [sender], [receiver] = ends()
    assert sender.credits is None
    assert receiver.credits is None


@pytest.mark.parametrize("in_flight", [1, 2, 7])
def test_all_ends_share_so_many_credits(ends: Endpoints, in_flight: int) -> None:
    _, senders, receivers = ends(producers=2, consumers=2, in_flight=in_flight)
    (one, two), (three, four) = [[end.credits for end in side] for side in (senders, receivers)]
    assert one is not None
    assert two is not None
    assert three is not None
    assert four is not None
    assert [(one, two)[number % 2].take() for number in range(in_flight + 2)] == [True] * in_flight + [False, False]
    three.give()
    four.give()
    assert [two.take(), one.take(), one.take()] == [True, True, False]


def test_who_waits_for_a_credit_goes_on_when_one_is_given(ends: Endpoints, thread: Callable[..., Future[Any]]) -> None:
    _, [sender], [receiver] = ends(in_flight=1)
    assert sender.credits is not None
    assert receiver.credits is not None
    assert sender.credits.take()
    waiting = thread(sender.credits.wait)
    receiver.credits.give()
    waiting.result(LIMIT)
    assert sender.credits.take()


# ------------------------------------------------------------------------------------------------- packets alone


@pytest.mark.parametrize("ends", ["sockets"], indirect=True)
def test_a_frame_above_what_the_socket_takes_goes_through_a_slab(ends: Endpoints) -> None:
    _, [sender], [receiver] = ends()
    out = sender.descriptors[0].dup()
    # As a system might grant.
    out.socket().setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
    out.close()
    items = list(range(30_000))
    sender.send(items, False, Span(0, len(items)), None)
    sender.close()
    assert drain(receiver) == items


class Broken:
    """An item that pickles, and does not load."""

    def __reduce__(self) -> Any:
        return int, ("no number",)


@pytest.mark.parametrize("size", [0, 1_000_000], ids=["in a packet", "in a slab"])
@between_processes
def test_an_item_that_cannot_be_rebuilt_is_a_fault_with_its_place(ends: Endpoints, size: int) -> None:
    _, senders, [receiver] = ends(producers=2)
    senders[1].send([b"x" * size, Broken()], False, Span(40, 42, origin=1), None)
    with pytest.raises(ItemFault) as caught:
        receiver.receive(wait=True)
    assert (caught.value.producer, caught.value.index) == (1, 41)
    assert caught.value.reason.startswith("ValueError: invalid literal for int()")


@pytest.mark.parametrize(
    "span,numbers,named",
    [
        pytest.param(Span(40, 42, origin=0), None, (0, 41), id="numbered by a worker before"),
        pytest.param(Span(40, 60, origin=0), [40, 55], (0, 55), id="some came to nothing"),
        pytest.param(Span(40, 42, (7,), origin=3), None, (3, 7), id="parts of one item"),
    ],
)
@between_processes
def test_an_item_that_cannot_be_rebuilt_is_named_by_where_it_comes_from(
    ends: Endpoints, span: Span, numbers: list[int] | None, named: tuple[int, int]
) -> None:
    _, senders, [receiver] = ends(producers=2)
    senders[1].send([1, Broken()], False, span, numbers)
    with pytest.raises(ItemFault) as caught:
        receiver.receive(wait=True)
    assert (caught.value.producer, caught.value.index) == named


class Meanwhile:
    """Has something done while it is being pickled."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._work = work

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        self._work()
        return str, ("done",)


@between_processes
def test_frame_that_another_thread_sends_while_an_item_is_admitted_disturbs_neither(
    ends: Endpoints, thread: Callable[..., Future[Any]]
) -> None:
    """As the flusher does: it takes the worker's lock to send, which the worker itself does not need to admit."""
    _, [sender], [receiver] = ends()
    numbers = np.arange(100_000)
    flushing = Meanwhile(lambda: thread(sender.send, [1, 2], False, Span(0, 2), None).result(LIMIT))
    send(sender, [[numbers, flushing]], first=2)
    sender.close()
    received = drain(receiver)
    assert received[:2] == [1, 2]
    assert np.array_equal(received[2][0], numbers)


@between_processes
def test_large_buffers_of_a_frame_share_a_slab(ends: Endpoints) -> None:
    _, [sender], [receiver] = ends()
    # 400 KB each.
    arrays = [np.full(50_000, number) for number in range(3)]
    nbytes = sender.send([*arrays, "small"], False, Span(0, 4), None)
    assert nbytes >= 1_200_000
    frame = receiver.receive(wait=True)
    assert frame is not None
    *received, small = items_of(frame)
    for array, sent in zip(received, arrays, strict=True):
        np.add(array, 1, out=array)
        assert np.array_equal(array, sent + 1)
    assert small == "small"


@between_processes
@pytest.mark.parametrize("buffers", [0, 100], ids=["many numbers", "many buffers"])
def test_what_is_too_long_to_say_beside_a_slab_goes_through_one(ends: Endpoints, buffers: int) -> None:
    """What the packet itself says is longer than a record, and in the end longer than any packet."""
    _, [sender], [receiver] = ends()
    numbers = range(0, 80_000, 2)
    # 160 KB each.
    items = [np.full(20_000, number) for number in range(buffers)] or list(numbers)
    # More than there are slabs: they come back.
    for _ in range(20):
        sender.send(items, False, Span(0, 80_000), None if buffers else list(numbers))
        frame = receiver.receive(wait=True)
        assert frame is not None
        assert np.array_equal(items_of(frame), items)
        assert buffers or frame.numbers == list(numbers)
        del frame


@between_processes
def test_what_cannot_be_pickled_is_a_fault_with_its_place_in_the_frame(ends: Endpoints) -> None:
    _, [sender], [receiver] = ends()
    with pytest.raises(ItemFault) as caught:
        sender.send([1, 2, threading.Lock()], False, Span(40, 43), None)
    assert (caught.value.reason, caught.value.index) == ("lock: cannot pickle '_thread.lock' object", 2)
    with pytest.raises(BlockingIOError):
        receiver.receive(wait=False)


@between_processes
def test_a_consumer_that_keeps_every_array_starves_nobody(ends: Endpoints, thread: Callable[..., Future[Any]]) -> None:
    _, [sender], receivers = ends(consumers=2)
    # 400 KB each, 24 MB in all.
    thread(send_all, sender, [np.full(50_000, number) for number in range(60)])
    kept = [future.result(LIMIT) for future in [thread(drain, receiver) for receiver in receivers]]
    assert sorted(int(array[-1]) for arrays in kept for array in arrays) == list(range(60))


# --------------------------------------------------------------------------------------------- what is told of waits


@pytest.mark.parametrize("item", [b"small", bytearray(1 << 20)], ids=["in packets", "in slabs"])
def test_a_send_tells_that_it_waits_only_while_the_channel_is_full(
    ends: Endpoints, thread: Callable[..., Future[Any]], item: Any
) -> None:
    _, [sender], [receiver] = ends()
    told = Told()

    def send_until_full() -> int:
        for number in count():
            entry = sender.admit(item)[0]
            sender.send([entry], True, Span(number, number + 1), None, told)
            if told.entries:
                sender.close()
                return number + 1
        return 0

    sending = thread(send_until_full)
    assert told.entered.wait(LIMIT)
    assert len(drain(receiver)) == sending.result(LIMIT) > 1
    assert told.exits == told.entries


# -------------------------------------------------------------------------- where producers come while others have gone


def test_a_channel_whose_producers_are_replaced_ends_as_it_is_sealed(
    ends: Endpoints, thread: Callable[..., Future[Any]]
) -> None:
    channel, [first], [receiver] = ends(renewable=True)
    received = thread(drain, receiver)
    send(first, [0, 1])
    first.close()
    second = channel.sender(0)
    second.open()
    send(second, [2, 3], first=2)
    second.close()
    assert not received.done()
    channel.seal()
    assert received.result(LIMIT) == [0, 1, 2, 3]


def test_a_consumer_that_comes_late_shares_what_comes_from_then_on(
    ends: Endpoints, thread: Callable[..., Future[Any]]
) -> None:
    channel, [sender], [first] = ends(renewable=True)
    send(sender, [0])
    assert items_of(first.receive(wait=True)) == [0]  # type: ignore[arg-type]  # no end yet
    second = channel.receiver()
    second.open()
    received = thread(drain, second)
    send(sender, [1, np.full(50_000, 2)], first=1)
    sender.close()
    channel.seal()
    assert len(received.result(LIMIT)) == 2
    second.close()

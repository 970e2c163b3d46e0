"""What every kind of channel promises to its workers and to the supervisor: one body, each implementation."""

from __future__ import annotations

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
from chainpump.transport.channel import Channel, Receiver, Sender
from chainpump.transport.codec import ItemFault
from chainpump.transport.frames import Frame
from chainpump.transport.memory import MemoryChannel
from chainpump.transport.seqpacket import PacketChannel

LIMIT = 60  # seconds; for every wait of a test. Only a defect comes near it.


class Ends(Protocol):
    """Makes a channel with all its ends, each with its worker."""

    def __call__(
        self, producers: int = 1, consumers: int = 1, in_flight: int | None = None
    ) -> tuple[Channel, Sequence[Sender], Sequence[Receiver]]: ...


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as pool:
        yield pool


@pytest.fixture
def thread(pool: ThreadPoolExecutor) -> Callable[..., Future[Any]]:
    """Runs a function in a thread of its own."""
    return pool.submit


def open_ends(kind: Callable[[int, int, int | None], Channel], pool: ThreadPoolExecutor, stack: ExitStack) -> Ends:
    def ends(
        producers: int = 1, consumers: int = 1, in_flight: int | None = None
    ) -> tuple[Channel, Sequence[Sender], Sequence[Receiver]]:
        channel = kind(producers, consumers, in_flight)
        senders = [channel.sender(number) for number in range(producers)]
        receivers = [channel.receiver() for _ in range(consumers)]
        channel.started()
        for end in (*senders, *receivers):
            end.open()
        for step in (channel.close, *(end.close for end in (*senders, *receivers)), pool.shutdown, channel.hang_up):
            stack.callback(step)  # backwards: a test that fails lets its threads go first
        return channel, senders, receivers

    return ends


@pytest.fixture(params=[MemoryChannel, PacketChannel], ids=["memory", "packets"])
def ends(request: pytest.FixtureRequest, pool: ThreadPoolExecutor) -> Iterator[Ends]:
    with ExitStack() as stack:
        yield open_ends(request.param, pool, stack)


@pytest.fixture
def packet_ends(pool: ThreadPoolExecutor) -> Iterator[Ends]:
    with ExitStack() as stack:
        yield open_ends(PacketChannel, pool, stack)


def send(sender: Sender, items: Sequence[Any], first: int = 0) -> None:
    """Each item as a frame of its own."""
    for number, item in enumerate(items, first):
        sender.send([sender.admit(item)[0]], True, number)


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


# ----------------------------------------------------------------------------------------------- what comes through


def test_items_of_one_producer_arrive_in_order(ends: Ends, thread: Callable[..., Future[Any]]) -> None:
    _, [sender], [receiver] = ends()
    thread(send_all, sender, range(5_000))
    assert drain(receiver) == list(range(5_000))


def test_frames_keep_their_items_their_producer_and_their_number(ends: Ends) -> None:
    _, senders, [receiver] = ends(producers=2)
    senders[1].send([1, 2, 3], False, 70)
    send(senders[0], [[4]], first=5)
    received = [receiver.receive(wait=True) for _ in range(2)]
    assert [(frame.producer, frame.first, items_of(frame)) for frame in received if frame] == [
        (1, 70, [1, 2, 3]),
        (0, 5, [[4]]),
    ]


def test_every_item_of_many_producers_reaches_one_of_many_consumers(
    ends: Ends, thread: Callable[..., Future[Any]]
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
def test_an_item_of_any_size_comes_through(ends: Ends, thread: Callable[..., Future[Any]], item: object) -> None:
    _, [sender], [receiver] = ends()
    thread(send_all, sender, [item, item])
    assert [(type(each), repr(each)) for each in drain(receiver)] == [(type(item), repr(item))] * 2


def test_a_huge_array_comes_through_and_may_be_written_to(ends: Ends, thread: Callable[..., Future[Any]]) -> None:
    _, [sender], [receiver] = ends()
    thread(send_all, sender, [np.full(5_000_000, number) for number in range(3)])  # 40 MB each
    for number, frame in enumerate(frames(receiver)):
        (array,) = items_of(frame)
        np.add(array, 1, out=array)
        assert (array.min(), array.max(), array.size) == (number + 1, number + 1, 5_000_000)


# ------------------------------------------------------------------------------------------------------- the end


def test_no_items_are_a_clean_end(ends: Ends) -> None:
    _, [sender], [receiver] = ends()
    sender.close()
    assert receiver.receive(wait=True) is None


def test_what_is_queued_comes_before_the_end(ends: Ends) -> None:
    _, [sender], [receiver] = ends()
    send_all(sender, [1, 2, 3])
    assert drain(receiver) == [1, 2, 3]


def test_the_end_comes_only_after_the_last_producer(ends: Ends) -> None:
    _, senders, [receiver] = ends(producers=3)
    for sender in senders:
        with pytest.raises(BlockingIOError):
            receiver.receive(wait=False)
        sender.close()
    assert receiver.receive(wait=False) is None


def test_every_consumer_sees_the_end(ends: Ends, thread: Callable[..., Future[Any]]) -> None:
    _, [sender], receivers = ends(consumers=3)
    waiting = [thread(drain, receiver) for receiver in receivers]
    sender.close()
    assert [future.result(LIMIT) for future in waiting] == [[], [], []]


def test_a_sealed_channel_ends_after_what_is_queued_though_somebody_still_holds_a_writing_end(
    packet_ends: Ends,  # a thread leaks none
) -> None:
    channel, [sender], [receiver] = packet_ends()
    leaked = [descriptor.dup() for descriptor in sender.descriptors]
    send_all(sender, [1, 2])
    channel.seal()
    assert drain(receiver) == [1, 2]
    for descriptor in leaked:
        descriptor.close()


def test_sealing_a_channel_that_has_ended_does_nothing(ends: Ends) -> None:
    channel, [sender], [receiver] = ends()
    send_all(sender, [1])
    channel.seal()
    channel.seal()
    assert drain(receiver) == [1]


def test_closing_twice_does_nothing(ends: Ends) -> None:
    _, senders, [receiver] = ends(producers=2)
    senders[0].close()
    senders[0].close()
    with pytest.raises(BlockingIOError):
        receiver.receive(wait=False)  # the other producer's end is still open
    receiver.close()
    receiver.close()


# -------------------------------------------------------------------------------------------------------- hang-up


def test_a_hang_up_wakes_a_sender_that_waits_for_room(ends: Ends, thread: Callable[..., Future[Any]]) -> None:
    channel, [sender], [_] = ends()
    full = threading.Event()

    def send_for_ever() -> None:
        for number in count():
            if number == 3:  # fits into every channel
                full.set()
            send(sender, [b"x" * 100_000], number)

    sending = thread(send_for_ever)
    assert full.wait(LIMIT)
    channel.hang_up()
    assert isinstance(sending.exception(LIMIT), Cancelled)


def test_a_hang_up_wakes_every_receiver(ends: Ends, thread: Callable[..., Future[Any]]) -> None:
    channel, [_], receivers = ends(consumers=3)
    waiting = [thread(receiver.receive, True) for receiver in receivers]
    channel.hang_up()
    assert [future.result(LIMIT) for future in waiting] == [None, None, None]


def test_a_hang_up_wakes_who_waits_for_a_credit(ends: Ends, thread: Callable[..., Future[Any]]) -> None:
    channel, [sender], [_] = ends(in_flight=1)
    assert sender.credits is not None
    assert sender.credits.take()
    waiting = thread(sender.credits.wait)
    channel.hang_up()
    waiting.result(LIMIT)


def test_who_sends_after_a_hang_up_is_cancelled(ends: Ends) -> None:
    channel, [sender], [_] = ends()
    channel.hang_up()
    channel.hang_up()
    for _ in range(2):
        with pytest.raises(Cancelled):
            send(sender, [1])


def test_a_hang_up_after_the_end_does_nothing(ends: Ends) -> None:
    channel, [sender], [receiver] = ends()
    sender.close()
    assert receiver.receive(wait=True) is None
    receiver.close()
    channel.hang_up()


# -------------------------------------------------------------------------------------------------------- credits


def test_a_channel_bounded_by_bytes_has_no_credits(ends: Ends) -> None:
    _, [sender], [receiver] = ends()
    assert sender.credits is None
    assert receiver.credits is None


@pytest.mark.parametrize("in_flight", [1, 2, 7])
def test_all_ends_share_so_many_credits(ends: Ends, in_flight: int) -> None:
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


def test_who_waits_for_a_credit_goes_on_when_one_is_given(ends: Ends, thread: Callable[..., Future[Any]]) -> None:
    _, [sender], [receiver] = ends(in_flight=1)
    assert sender.credits is not None
    assert receiver.credits is not None
    assert sender.credits.take()
    waiting = thread(sender.credits.wait)
    receiver.credits.give()
    waiting.result(LIMIT)
    assert sender.credits.take()


# ------------------------------------------------------------------------------------------------- packets alone


def test_a_frame_above_what_the_socket_takes_goes_through_a_slab(packet_ends: Ends) -> None:
    _, [sender], [receiver] = packet_ends()
    out = sender.descriptors[0].dup()
    out.socket().setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)  # as a system might grant
    out.close()
    items = list(range(30_000))
    sender.send(items, False, 0)
    sender.close()
    assert drain(receiver) == items


class Broken:
    """An item that pickles, and does not load."""

    def __reduce__(self) -> Any:
        return int, ("no number",)


@pytest.mark.parametrize("size", [0, 1_000_000], ids=["in a packet", "in a slab"])
def test_a_frame_that_cannot_be_rebuilt_is_a_fault_with_its_place(packet_ends: Ends, size: int) -> None:
    _, senders, [receiver] = packet_ends(producers=2)
    senders[1].send([b"x" * size, Broken()], False, 40)
    with pytest.raises(ItemFault) as caught:
        receiver.receive(wait=True)
    assert (caught.value.producer, caught.value.index) == (1, 40)
    assert caught.value.reason.startswith("ValueError: invalid literal for int()")


def test_a_consumer_that_keeps_every_array_starves_nobody(
    packet_ends: Ends, thread: Callable[..., Future[Any]]
) -> None:
    _, [sender], receivers = packet_ends(consumers=2)
    thread(send_all, sender, [np.full(50_000, number) for number in range(60)])  # 400 KB each, 24 MB in all
    kept = [future.result(LIMIT) for future in [thread(drain, receiver) for receiver in receivers]]
    assert sorted(int(array[-1]) for arrays in kept for array in arrays) == list(range(60))

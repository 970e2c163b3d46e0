"""What raw ends promise on each wire: a frame crosses two channels unread, and arrives as if it were sent directly."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest

from chainpump.errors import Cancelled
from chainpump.ipc.checkpoint import Checkpoint
from chainpump.ipc.system import VARIABLE
from chainpump.pickling.items import ItemFault
from chainpump.transport import frames
from chainpump.transport.frames import Frame, Span
from chainpump.transport.process_channel import PacketChannel, PacketReceiver, PacketSender
from chainpump.transport.raw_ends import RawFrame, RawReceiver, RawSender
from chainpump.transport.slab_source import Reserved
from chainpump.transport.wire import PACKET_BYTES

# Seconds; for every wait of a test. Only a defect comes near it.
LIMIT = 60


class Hop:
    """Two channels and the raw ends between them. `direct` is a second consumer of the first channel."""

    def __init__(self, stack: ExitStack, producers: int) -> None:
        self.left = PacketChannel(producers, 2, None)
        self.right = PacketChannel(1, 1, None, counts_taken=True)
        self.senders: Sequence[PacketSender] = [self.left.sender(number) for number in range(producers)]
        self.direct: PacketReceiver = self.left.receiver()
        self.raw_receiver: RawReceiver = self.left.raw_receiver()
        self.raw_sender: RawSender = self.right.raw_sender(0)
        self.receiver: PacketReceiver = self.right.receiver()
        for channel in (self.left, self.right):
            channel.started()
            stack.callback(channel.close)
        for end in (*self.senders, self.direct, self.raw_receiver, self.raw_sender, self.receiver):
            end.open()
            stack.callback(end.close)

    def carry(self) -> RawFrame | None:
        """Pass one frame on, as bytes. Returns what was taken, or None at the end."""
        frame = self.raw_receiver.receive(wait=True)
        if frame is not None:
            head, contents = (memoryview(bytes(part)) for part in frame.encoded())
            frame.release()
            self.raw_sender.send(RawFrame.decode(head, contents))
        return frame

    def carry_all(self) -> None:
        while self.carry():
            pass
        self.raw_sender.close()


@pytest.fixture(params=["sockets", "pipes"])
def hop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Hop]]:
    """Makes a hop on each wire."""
    if request.param == "sockets" and not hasattr(os, "memfd_create"):
        pytest.skip("this is not Linux, or is to seem so")
    monkeypatch.setenv(VARIABLE, "linux" if request.param == "sockets" else "portable")
    with ExitStack() as stack:
        yield lambda producers=1: Hop(stack, producers)


@pytest.fixture
def thread() -> Iterator[Callable[..., Future[Any]]]:
    """Runs a function in a thread of its own."""
    with ThreadPoolExecutor(8) as pool:
        yield pool.submit


def items_of(frame: Frame | None) -> list[Any]:
    assert frame is not None
    return [frame.decode(entry) if frame.decode else entry for entry in frame.entries]


def drain(receiver: PacketReceiver) -> list[Any]:
    items: list[Any] = []
    while (frame := receiver.receive(wait=True)) is not None:
        items += items_of(frame)
    return items


def known(frame: Frame | None) -> tuple[Any, ...]:
    """All of a frame but its producer, which is that of the channel."""
    assert frame is not None
    return frame.span, frame.numbers, frame.nbytes, frame.decode, list(map(repr, items_of(frame)))


ARRAY = np.arange(100_000.0)


@pytest.mark.parametrize(
    "entries,span,numbers",
    [
        pytest.param(["a", "b"], Span(3, 5, origin=1), None, id="a span that its producer implies"),
        pytest.param(["a", "b"], Span(3, 5, origin=0), None, id="the origin of another worker"),
        pytest.param([], Span(3, 9), None, id="nothing is left of it"),
        pytest.param([], Span(100, 100, (7,), last=True), None, id="the end of an item"),
        pytest.param(["a", "b"], Span(3, 9, origin=2), [4, 4], id="numbers of their own"),
        pytest.param(["a", "b"], Span(2**40, 2**40 + 2, (7, 1), origin=2), None, id="parts of one item"),
        pytest.param(["x" * 300_000, "y"], Span(3, 5, origin=1), None, id="too much for a packet"),
        pytest.param([ARRAY, "z"], Span(3, 9, (7,), True, 2), [4, 8], id="a large array"),
        pytest.param([ARRAY] * 30, Span(3, 33, origin=1), None, id="many arrays"),
        pytest.param(["a"] * 60_000, Span(0, 60_000), [*range(60_000)], id="more numbers than fit into a packet"),
    ],
)
@pytest.mark.parametrize("snapshots", [False, True], ids=["together", "snapshots"])
def test_a_frame_that_crosses_unread_equals_the_frame_sent_directly(
    hop: Callable[..., Hop], entries: list[Any], span: Span, numbers: list[int] | None, snapshots: bool
) -> None:
    there = hop(producers=2)
    sender = there.senders[1]

    def send() -> None:
        # An array travels alone, and is one of the forms of a frame.
        admitted = [sender.admit(entry)[0] for entry in entries]
        if snapshots and any(entry is ARRAY for entry in entries):
            admitted = admitted[:1]
        sender.send(admitted if snapshots else list(entries), snapshots, span, numbers)

    send()
    direct = there.direct.receive(wait=True)
    send()
    there.carry()
    carried = there.receiver.receive(wait=True)
    assert known(carried) == known(direct)


def test_an_item_that_cannot_be_rebuilt_is_named_by_where_it_comes_from(hop: Callable[..., Hop]) -> None:
    class Broken:
        def __reduce__(self) -> Any:
            return int, ("no number",)

    there = hop(producers=2)
    there.senders[1].send([1, Broken()], False, Span(40, 42, origin=1), None)
    there.carry()
    with pytest.raises(ItemFault) as caught:
        there.receiver.receive(wait=True)
    assert (caught.value.producer, caught.value.index) == (1, 41)


def test_all_frames_arrive_in_order_and_then_the_end(
    hop: Callable[..., Hop], thread: Callable[..., Future[Any]]
) -> None:
    there = hop()
    there.direct.close()
    items = [number if number % 10 else np.full(50_000, number) for number in range(1_000)]

    def send() -> None:
        for number, item in enumerate(items):
            there.senders[0].send([item], False, Span(number, number + 1), None)
        there.senders[0].close()

    sending, carrying = thread(send), thread(there.carry_all)
    received = drain(there.receiver)
    assert [int(np.ravel(item)[0]) for item in received] == list(range(1_000))
    sending.result(LIMIT)
    carrying.result(LIMIT)


def test_a_hang_up_wakes_both_raw_ends(hop: Callable[..., Hop], thread: Callable[..., Future[Any]]) -> None:
    there = hop()
    full = threading.Event()
    there.senders[0].send([ARRAY], False, Span(0, 1), None)
    frame = there.raw_receiver.receive(wait=True)
    assert frame is not None

    class Waits:
        def __enter__(self) -> None:
            full.set()

        def __exit__(self, *_: object) -> None: ...

    def send_for_ever() -> None:
        while True:
            there.raw_sender.send(frame, Waits())

    waiting, sending = thread(there.raw_receiver.receive, True), thread(send_for_ever)
    assert full.wait(LIMIT)
    there.left.hang_up()
    there.right.hang_up()
    assert waiting.result(LIMIT) is None
    assert isinstance(sending.exception(LIMIT), Cancelled)


def test_a_receiver_that_keeps_its_slabs_gets_copies_and_starves_nobody(
    hop: Callable[..., Hop], thread: Callable[..., Future[Any]]
) -> None:
    there = hop()

    def send() -> None:
        # 40 MB, and there are 8 MB of slabs.
        for number in range(50):
            there.senders[0].send([np.full(100_000, number)], False, Span(number, number + 1), None)

    sending = thread(send)
    kept = [there.raw_receiver.receive(wait=True) for _ in range(50)]
    sending.result(LIMIT)
    for number, frame in enumerate(kept):
        assert frame is not None
        assert (np.frombuffer(frame.contents[-800_000:], "i8")[:-8] == number).all()
    [held] = there.raw_receiver.slabs.end()
    assert 0 < len(held) < 50


def test_a_frame_that_was_released_cannot_be_read(hop: Callable[..., Hop]) -> None:
    there = hop()
    there.senders[0].send([ARRAY], False, Span(0, 1), None)
    frame = there.raw_receiver.receive(wait=True)
    assert frame is not None
    frame.release()
    frame.release()
    with pytest.raises(ValueError, match="released memoryview"):
        bytes(frame.contents)


def test_without_a_frame_a_receiver_need_not_wait(hop: Callable[..., Hop]) -> None:
    there = hop()
    with pytest.raises(BlockingIOError):
        there.raw_receiver.receive(wait=False)
    there.left.seal()
    assert there.raw_receiver.receive(wait=False) is None


# ----------------------------------------------------------------------------------------- the count of taken frames


@pytest.mark.parametrize("item", ["small", ARRAY], ids=["in packets", "in slabs"])
def test_each_frame_that_leaves_the_wire_is_counted_once(hop: Callable[..., Hop], item: Any) -> None:
    there = hop()
    taken = there.right.taken
    assert taken is not None
    for number in range(3):
        there.senders[0].send([item], False, Span(number, number + 1), None)
        there.carry()
    with pytest.raises(BlockingIOError):
        taken.take()
    for _ in range(2):
        there.receiver.receive(wait=True)
    taken.wait()
    assert taken.take() == 2
    there.receiver.receive(wait=True)
    assert taken.take() == 1
    there.raw_sender.close()
    # The end is no frame.
    assert there.receiver.receive(wait=True) is None
    with pytest.raises(BlockingIOError):
        taken.take()


@pytest.mark.parametrize("was_counted", [False, True], ids=["before it counts", "after it has counted"])
def test_frame_of_a_consumer_that_died_is_counted_once(monkeypatch: pytest.MonkeyPatch, was_counted: bool) -> None:
    channel = PacketChannel(1, 1, None, renewable=True, counts_taken=True)
    sender, checkpoint = channel.sender(0), Checkpoint(PACKET_BYTES)
    sender.open()
    first = channel.receiver(checkpoint.dup())
    first.open()
    sender.send(["item"], False, Span(0, 1), None)
    if not was_counted:
        monkeypatch.setattr(PacketReceiver, "_count", lambda *_: None)
    assert items_of(first.receive(wait=True)) == ["item"]
    monkeypatch.undo()
    first.close()
    second = channel.receiver(checkpoint.dup())
    second.open()
    assert items_of(second.receive(wait=True)) == ["item"]
    assert channel.taken is not None
    assert channel.taken.take() == 1
    # The kernel writes the next frame over the mark.
    sender.send(["next"], False, Span(1, 2), None)
    assert items_of(second.receive(wait=True)) == ["next"]
    assert channel.taken.take() == 1
    assert not checkpoint.packet[frames.FLAGS_AT] & ~frames.COUNTED
    for part in (sender, second, checkpoint, channel):
        part.close()


# ------------------------------------------------------------------------------------------------- without waiting


def received_into(hop: Hop, reserved: Reserved, frame: RawFrame) -> RawFrame:
    """The frame, as if it had been received from a link into this slab."""
    head, contents = frame.encoded()
    reserved.contents[:] = contents
    frame.release()
    return RawFrame.decode(memoryview(head), reserved.contents, reserved)


@pytest.fixture
def sockets(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hop]:
    """A hop on the wire of Linux, where slabs can be reserved."""
    if not hasattr(os, "memfd_create"):
        pytest.skip("this is not Linux, or is to seem so")
    monkeypatch.setenv(VARIABLE, "linux")
    with ExitStack() as stack:
        yield Hop(stack, 1)


def reserved_for(hop: Hop, frame: RawFrame) -> Reserved:
    reserved = hop.raw_sender.reserve(len(frame.lengths), len(frame.contents))
    assert reserved is not None
    return reserved


def test_a_frame_is_received_into_the_slab_in_which_it_arrives(sockets: Hop) -> None:
    for number in range(50):
        array = np.full(1 << 18, number)
        sockets.senders[0].send([array], False, Span(number, number + 1), None)
        frame = sockets.raw_receiver.receive(wait=True)
        assert frame is not None
        assert sockets.raw_sender.send_now(received_into(sockets, reserved_for(sockets, frame), frame))
        arrived = sockets.receiver.receive(wait=True)
        assert arrived is not None
        assert arrived.span.start == number
        assert np.array_equal(arrived.entries[0], array)
        assert arrived.entries[0].flags.writeable


def test_one_slab_is_reserved_at_a_time_and_comes_back_if_it_is_not_needed(sockets: Hop) -> None:
    for _ in range(1000):
        reserved = sockets.raw_sender.reserve(2, 1 << 20)
        assert reserved is not None
        assert sockets.raw_sender.reserve(2, 1 << 20) is None
        reserved.release()
        reserved.release()


def test_a_frame_that_fits_into_a_packet_needs_no_slab(sockets: Hop) -> None:
    assert sockets.raw_sender.reserve(1, 1000) is None


def test_no_slab_is_reserved_while_none_is_free(sockets: Hop) -> None:
    """The other ones are lent: their consumer has not received them."""
    kept = []
    while (reserved := sockets.raw_sender.reserve(2, 3 << 20)) is not None:
        frame = RawFrame(frames.Form.BUFFERS, 0, 1, len(kept), memoryview(b""), (8, 64), reserved.contents, reserved)
        assert sockets.raw_sender.send_now(frame)
        kept.append(frame)
    assert 2 <= len(kept) <= 4


def test_a_frame_that_would_have_to_wait_is_not_sent(hop: Callable[..., Hop]) -> None:
    there = hop()
    frame = RawFrame(frames.Form.ITEMS, 0, 1, 0, memoryview(b""), (100,), memoryview(bytes(100)))
    sent = 0
    while there.raw_sender.send_now(frame):
        sent += 1
    assert sent > 1
    taken = 0
    while True:
        try:
            there.receiver._into.receive_into(there.receiver._buffer, wait=False)
        except BlockingIOError:
            break
        taken += 1
    assert taken == sent
    assert there.raw_sender.send_now(frame)


def test_after_a_hang_up_a_frame_is_not_sent_without_waiting_either(hop: Callable[..., Hop]) -> None:
    there = hop()
    there.right.hang_up()
    with pytest.raises(Cancelled):
        there.raw_sender.send_now(RawFrame(1, 0, 1, 0, memoryview(b""), (9,), memoryview(bytes(9))))

"""What the ferries of several hosts promise together: each frame arrives once, then the end; nothing waits for ever."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from itertools import count
from typing import Any

import numpy as np
import pytest

from chainpump.errors import Cancelled
from chainpump.ipc.counters import Counter
from chainpump.ipc.system import VARIABLE
from chainpump.transport.frames import Span
from chainpump.transport.link import Kind, Message, encode
from support.hosts import LIMIT, Hosts

MakeHosts = Callable[..., Hosts]


@pytest.fixture(params=["sockets", "pipes"])
def hosts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeHosts]:
    """Makes hosts, whose channels have each wire."""
    if request.param == "sockets" and not hasattr(os, "memfd_create"):
        pytest.skip("this is not Linux, or is to seem so")
    monkeypatch.setenv(VARIABLE, "linux" if request.param == "sockets" else "portable")
    with ExitStack() as stack:

        def hosts(left: dict[int, int], right: dict[int, int], *, carries: bool = True) -> Hosts:
            made = Hosts(left, right, carries=carries)
            stack.callback(made.close)
            return made

        yield hosts


@pytest.fixture
def thread() -> Iterator[Callable[..., Future[Any]]]:
    """Runs a function in a thread of its own."""
    with ThreadPoolExecutor(16) as pool:
        yield pool.submit


@pytest.mark.parametrize(
    "left,right",
    [
        pytest.param({0: 1}, {1: 2}, id="to another host"),
        pytest.param({0: 1}, {1: 2, 2: 1}, id="to two hosts"),
        pytest.param({1: 1, 2: 2}, {0: 1}, id="from two hosts to one"),
        pytest.param({0: 2, 1: 1, 2: 1}, {0: 1, 1: 2, 2: 1}, id="all to all"),
        pytest.param({0: 2}, {0: 2}, id="to the own host"),
    ],
)
def test_each_item_arrives_once_and_then_the_end(
    hosts: MakeHosts, thread: Callable[..., Future[Any]], left: dict[int, int], right: dict[int, int]
) -> None:
    there = hosts(left, right)

    def item(host: int, worker: int, number: int) -> Any:
        signed = (host, worker, number)
        return (*signed, np.full(30_000, number)) if number % 50 == 7 else (*signed, None)

    workers = [(host, worker) for host, there_are in left.items() for worker in range(there_are)]
    sending = [
        thread(there.send_all, host, worker, [item(host, worker, number) for number in range(200)])
        for host, worker in workers
    ]
    receiving = [thread(there.receive_all, host) for host, there_are in right.items() for _ in range(there_are)]
    for future in sending:
        future.result(LIMIT)
    there.seal()
    received = [item for future in receiving for item in future.result(LIMIT)]
    expected = [(*worker, number) for worker in workers for number in range(200)]
    assert sorted(item[:3] for item in received) == expected
    assert all((array == number).all() for _, _, number, array in received if array is not None)
    assert there.ends == {host: {of: b"of %d" % of for of in left} for host in right}
    assert (there.pairs.lost, there.pairs.failed) == ([], [])


def test_items_of_one_worker_keep_their_order_to_one_host(hosts: MakeHosts, thread: Callable[..., Future[Any]]) -> None:
    there = hosts({0: 1}, {1: 1})
    receiving = thread(there.receive_all, 1)
    there.send_all(0, 0, range(1_000))
    there.seal()
    assert receiving.result(LIMIT) == list(range(1_000))


def test_frames_keep_span_numbers_and_origin(hosts: MakeHosts) -> None:
    there = hosts({0: 3}, {1: 1})
    sender, receiver = there.sender(0, 2), there.receiver(1)
    for span, numbers in [
        (Span(5, 7, origin=2), None),
        (Span(5, 7, origin=1), None),
        (Span(5, 20, (7,), True, 4), [5, 19]),
    ]:
        sender.send(["a", "b"], False, span, numbers)
        frame = receiver.receive(wait=True)
        assert frame is not None
        assert (frame.span, frame.numbers, frame.entries) == (span, numbers, ["a", "b"])


def test_frames_of_16_mb_arrive_whole(hosts: MakeHosts, thread: Callable[..., Future[Any]]) -> None:
    there = hosts({0: 1}, {0: 1, 1: 1})

    def receive(host: int) -> list[int]:
        receiver, numbers = there.receiver(host), []
        while (frame := receiver.receive(wait=True)) is not None:
            [array] = frame.entries
            # It may be written to, as any array.
            array += 1
            assert (array == array[0]).all()
            numbers.append(int(array[0]) - 1)
            del array, frame
        return numbers

    receiving = [thread(receive, host) for host in (0, 1)]
    there.send_all(0, 0, [np.full(1 << 21, number) for number in range(8)])
    there.seal()
    assert sorted(number for future in receiving for number in future.result(LIMIT)) == list(range(8))


def test_no_items_are_a_clean_end(hosts: MakeHosts, thread: Callable[..., Future[Any]]) -> None:
    there = hosts({0: 1, 1: 1}, {1: 1, 2: 1})
    there.seal()
    assert [thread(there.receive_all, host).result(LIMIT) for host in (1, 2)] == [[], []]
    assert there.ends == {host: {0: b"of 0", 1: b"of 1"} for host in (1, 2)}


def test_the_end_of_a_host_may_come_before_the_other_host_begins(
    hosts: MakeHosts, thread: Callable[..., Future[Any]]
) -> None:
    there = hosts({0: 1, 2: 1}, {1: 1}, carries=False)
    there.carry(0)
    there.outgoing[0].seal()
    # The end of host 0 is on its way or kept there; what comes on the same link afterwards is read afterwards.
    there.carry(1)
    there.carry(2)
    there.send_all(2, 0, [1, 2, 3])
    there.seal()
    assert thread(there.receive_all, 1).result(LIMIT) == [1, 2, 3]


def test_a_host_wants_two_frames_for_each_worker_and_one_more_and_then_those_that_were_taken(
    hosts: MakeHosts,
) -> None:
    there = hosts({0: 1}, {1: 2})
    pairs = there.pairs
    pairs.wait_for(lambda: pairs.wanted[1])
    assert pairs.wanted[1] == 5
    receiver = there.receiver(1)
    for taken in range(1, 20):
        there.send_all(0, 0, [taken])
        frame = receiver.receive(wait=True)
        assert frame is not None
        assert pairs.wanted[1] <= 5 + taken
    # More than one for each worker are on their way again.
    pairs.wait_for(lambda: pairs.wanted[1] >= 19 + 3)


def test_a_host_whose_workers_take_nothing_hoards_no_frames(
    hosts: MakeHosts, thread: Callable[..., Future[Any]]
) -> None:
    there = hosts({0: 1}, {1: 1, 2: 1})
    receiving = thread(there.receive_all, 2)
    there.send_all(0, 0, range(300))
    there.seal()
    # Host 1 got its three, and the other host all others, although nobody has read those of host 1.
    pairs = there.pairs
    pairs.wait_for(lambda: pairs.granted[2] == 297)
    assert pairs.granted[1] == 3
    stuck = thread(there.receive_all, 1).result(LIMIT)
    assert len(stuck) == 3
    assert sorted([*receiving.result(LIMIT), *stuck]) == list(range(300))


def test_frames_that_nobody_wants_stay_with_their_producers(
    hosts: MakeHosts, thread: Callable[..., Future[Any]]
) -> None:
    there = hosts({0: 1}, {1: 1})
    there.pairs.held.add(1)
    sender = there.sender(0, 0)
    waits = threading.Event()

    class Waits:
        def __enter__(self) -> None:
            waits.set()

        def __exit__(self, *_: object) -> None: ...

    def send_for_ever() -> None:
        for number in count():
            sender.send([np.zeros(1 << 18)], False, Span(number, number + 1), None, Waits())

    sending = thread(send_for_ever)
    assert waits.wait(LIMIT)
    # 2 MB each: at most 16 MB are taken from the channel, and one more.
    assert len(there.pairs.haves) <= 8
    there.ferries[0].hang_up(0)
    assert isinstance(sending.exception(LIMIT), Cancelled)


@pytest.mark.parametrize("fills", [False, True], ids=["while all is quiet", "while all is full"])
def test_a_hang_up_wakes_every_thread(hosts: MakeHosts, thread: Callable[..., Future[Any]], fills: bool) -> None:
    there = hosts({0: 1, 1: 1}, {0: 1, 1: 1})
    sending = []
    if fills:
        sending = [
            thread(there.send_all, host, 0, [np.full(50_000, number) for number in range(1_000)]) for host in (0, 1)
        ]
        there.pairs.wait_for(lambda: there.pairs.granted.total() == 6)
    receivers = [there.receiver(host) for host in (0, 1)]
    for ferry in there.ferries.values():
        ferry.hang_up(0)
    for future in sending:
        assert isinstance(future.exception(LIMIT), Cancelled)
    for receiver in receivers:
        while receiver.receive(wait=True) is not None:
            pass
    # This joins all threads.
    there.close_ferries()
    assert there.ends == {0: {}, 1: {}}


class HeldCounter:
    """A counter whose units the counting thread takes only once that which says stop has been given.

    The thread of a link takes none, as if the workers had taken no frame yet. steals: it takes the unit that says stop,
    and the counting thread waits only afterwards.
    """

    def __init__(self, counter: Counter, steals: bool = False) -> None:
        self._counter = counter
        self._steals = steals
        self.takes = threading.Event()
        self._is_stopped, self._is_stolen = threading.Event(), threading.Event()
        self.close = counter.close

    def wait(self) -> None:
        assert not self._steals or self._is_stolen.wait(LIMIT)
        self._counter.wait()

    def take(self) -> int:
        is_link = "link" in threading.current_thread().name
        if is_link != self._steals:
            raise BlockingIOError
        self.takes.set()
        assert self._is_stopped.wait(LIMIT)
        try:
            return self._counter.take()
        finally:
            self._is_stolen.set()

    def give(self, count: int) -> None:
        self._counter.give(count)
        self._is_stopped.set()

    def dup(self) -> HeldCounter:
        return self


@pytest.mark.parametrize("hangs_up", [False, True], ids=["at the end", "after a hang-up"])
def test_a_frame_that_is_taken_last_does_not_hide_that_counting_stops(hosts: MakeHosts, hangs_up: bool) -> None:
    there = hosts({0: 1}, {1: 1}, carries=False)
    receiver, channel = there.receiver(1), there.incoming[1]
    assert channel.taken is not None
    held: Any = HeldCounter(channel.taken.dup())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(channel, "taken", held)
        there.carry(1)
    there.carry(0)
    # Then only one more frame is coming, so the counting thread waits until a frame is taken.
    there.send_all(0, 0, ["first", "last"])
    for _ in range(2):
        assert receiver.receive(wait=True) is not None
    assert held.takes.wait(LIMIT)
    if hangs_up:
        there.ferries[1].hang_up(0)
    else:
        there.seal()
    assert receiver.receive(wait=True) is None
    # This joins all threads.
    there.close_ferries()


def test_who_brings_a_frame_does_not_hide_that_counting_stops(hosts: MakeHosts) -> None:
    there = hosts({0: 1}, {1: 1}, carries=False)
    receiver, channel = there.receiver(1), there.incoming[1]
    assert channel.taken is not None
    held: Any = HeldCounter(channel.taken.dup(), steals=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(channel, "taken", held)
        there.carry(1)
    there.carry(0)
    there.send_all(0, 0, ["first", "last"])
    assert held.takes.wait(LIMIT)
    there.ferries[1].hang_up(0)
    while receiver.receive(wait=True) is not None:
        pass
    # This joins all threads.
    there.close_ferries()


def test_a_ferry_that_closes_in_the_middle_leaves_no_thread(
    hosts: MakeHosts, thread: Callable[..., Future[Any]]
) -> None:
    before = set(threading.enumerate())
    there = hosts({0: 1}, {1: 1})
    sending = thread(there.send_all, 0, 0, range(100_000))
    there.pairs.wait_for(lambda: there.pairs.granted.total() == 3)
    there.close_ferries()
    assert isinstance(sending.exception(LIMIT), Cancelled)
    left = [each.name for each in threading.enumerate() if each not in before and "chainpump" in each.name]
    assert left == []


def test_a_peer_that_dies_with_half_a_frame_sent_is_lost_and_delivers_nothing_of_it(hosts: MakeHosts) -> None:
    there = hosts({0: 1, 2: 1}, {1: 1}, carries=False)
    there.carry(1)
    there.carry(2)
    receiver = there.receiver(1)
    there.send_all(2, 0, ["whole"])
    frame = receiver.receive(wait=True)
    assert frame is not None
    assert frame.entries == ["whole"]
    # As a process that is killed while it sends.
    broken = there.links[0, 1]._socket
    half = b"".join(encode(Message(Kind.FRAME, 0, 0, (b"head", bytes(1_000_000)))))[:600_000]
    broken.sendall(half)
    broken.shutdown(socket.SHUT_RDWR)
    there.pairs.wait_for(lambda: any(lost[:2] == (1, 0) for lost in there.pairs.lost))
    assert (1, 0, "closed the connection within a message") in there.pairs.lost
    there.outgoing[2].seal()
    # The end of host 0 never comes, so the channel does not end, and there is nothing in it.
    there.send_all(2, 0, [])
    assert not receiver.wait(0)
    there.ferries[1].hang_up(0)
    assert receiver.receive(wait=True) is None
    assert 0 not in there.ends[1]


def test_a_frame_that_nobody_expects_is_refused(hosts: MakeHosts) -> None:
    there = hosts({0: 1}, {1: 1})
    there.links[0, 1].send(Kind.FRAME, 9, b"head", b"")
    there.pairs.wait_for(lambda: any(lost[:2] == (1, 0) for lost in there.pairs.lost))
    assert (1, 0, "sent FRAME of junction 9, which this host does not expect") in there.pairs.lost

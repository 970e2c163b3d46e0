"""What a link between hosts promises: messages in order, no waiting sender, and a reason when the peer is lost."""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from functools import partial
from queue import SimpleQueue
from typing import Any

import pytest

from chainpump.cluster import links as links_module
from chainpump.cluster import listener as listener_module
from chainpump.cluster.links import Link, connect
from chainpump.cluster.listener import MOST_CHALLENGES, Listener
from chainpump.transport.heartbeat import Heartbeat
from chainpump.transport.link import Kind, LinkError, Message, encode
from support.hosts import LIMIT, links
from support.processes import until

KEY = os.urandom(32)


class End:
    """A started link, with what it has received."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.messages: SimpleQueue[Message] = SimpleQueue()
        self.lost: SimpleQueue[str] = SimpleQueue()
        link.start(self.messages.put, self.lost.put)

    def next(self) -> tuple[Kind, int, list[bytes]]:
        kind, number, _, parts = self.messages.get(timeout=LIMIT)
        return kind, number, list(map(bytes, parts))


@pytest.fixture
def ends() -> Iterator[tuple[End, End]]:
    one, other = map(End, links())
    yield one, other
    one.link.close()
    other.link.close()


@pytest.fixture
def listening() -> Iterator[Callable[..., tuple[Listener, SimpleQueue[Link], SimpleQueue[str]]]]:
    """Makes a listener with the queues of what it accepts and refuses."""
    with ExitStack() as stack:

        def listening() -> tuple[Listener, SimpleQueue[Link], SimpleQueue[str]]:
            accepted: SimpleQueue[Link] = SimpleQueue()
            refused: SimpleQueue[str] = SimpleQueue()
            server = socket.create_server(("127.0.0.1", 0), backlog=128)
            listener = Listener(server, KEY, b"host 0", accepted.put, refused.put)
            stack.callback(listener.close)
            return listener, accepted, refused

        yield listening


def test_messages_of_any_size_arrive_in_order_in_both_directions(ends: tuple[End, End]) -> None:
    one, other = ends
    large = os.urandom(5_000_000)
    for number in range(300):
        one.link.send(Kind.FRAME, number, b"head", large if number % 100 == 0 else b"")
        other.link.send(Kind.CONTROL, number, b"%d" % number)
    for number in range(300):
        assert other.next() == (Kind.FRAME, number, [b"head", large if number % 100 == 0 else b""])
        assert one.next() == (Kind.CONTROL, number, [b"%d" % number])


def test_the_name_of_a_peer_is_known(ends: tuple[End, End]) -> None:
    assert [end.link.name for end in ends] == [b"listening", b"connecting"]


def test_what_was_sent_may_change_from_then_on(ends: tuple[End, End]) -> None:
    one, other = ends
    data, sent = bytearray(b"x" * 1_000_000), threading.Event()

    def change() -> None:
        data[:] = bytes(len(data))
        sent.set()

    one.link.send(Kind.FRAME, 0, memoryview(data), then=change)
    assert other.next() == (Kind.FRAME, 0, [b"x" * 1_000_000])
    assert sent.wait(LIMIT)


def test_a_short_message_is_sent_by_the_thread_that_has_it_unless_others_wait(ends: tuple[End, End]) -> None:
    one, other = ends
    senders: list[int] = []
    one.link.send(Kind.FRAME, 0, bytes(65_536), then=lambda: senders.append(threading.get_ident()))
    assert senders == [threading.get_ident()]
    assert other.next() == (Kind.FRAME, 0, [bytes(65_536)])


def test_short_messages_wait_in_order_for_a_peer_that_does_not_read_yet() -> None:
    one, other = links()
    end, sent = End(one), SimpleQueue[int]()
    # More than all buffers of the system: one of these messages is sent in part.
    frames = [os.urandom(64) * 1_500 for _ in range(400)]
    for number, frame in enumerate(frames):
        one.send(Kind.FRAME, number, frame, then=partial(sent.put, number))
    assert sent.qsize() < len(frames)
    reader = End(other)
    for number, frame in enumerate(frames):
        assert reader.next() == (Kind.FRAME, number, [frame])
    assert [sent.get(timeout=LIMIT) for _ in frames] == list(range(len(frames)))
    for link in (one, other):
        link.say_goodbye()
    for link in (one, other):
        link.close()
    assert end.lost.empty()


def test_a_sender_never_waits_for_a_peer_that_does_not_read() -> None:
    one, other = links()
    end, released = End(one), threading.Semaphore(0)
    # More than all buffers of the system.
    for number in range(50):
        one.send(Kind.FRAME, number, bytes(1_000_000), then=released.release)
    other._socket.close()
    assert "cannot be reached" in (reason := end.lost.get(timeout=LIMIT)) or "closed the connection" in reason
    for _ in range(50):
        assert released.acquire(timeout=LIMIT)
    one.send(Kind.FRAME, 50, b"too late", then=released.release)
    assert released.acquire(timeout=LIMIT)
    one.close()


def test_everything_that_was_sent_arrives_before_the_goodbye(ends: tuple[End, End]) -> None:
    one, other = ends
    for number in range(20):
        one.link.send(Kind.FRAME, number, bytes(1_000_000))
    one.link.close()
    assert [other.next()[1] for _ in range(20)] == list(range(20))
    other.link.close()
    assert one.lost.empty()
    assert other.lost.empty()


def test_both_may_close_at_the_same_time(ends: tuple[End, End]) -> None:
    closing = [threading.Thread(target=end.link.close) for end in ends]
    for thread in closing:
        thread.start()
    for thread in closing:
        thread.join(LIMIT)
    assert all(end.lost.empty() for end in ends)


def test_a_peer_that_ends_without_a_goodbye_is_lost(ends: tuple[End, End]) -> None:
    one, other = ends
    one.link._socket.shutdown(socket.SHUT_RDWR)
    assert other.lost.get(timeout=LIMIT) == "closed the connection without a goodbye: its process has ended"
    assert other.lost.empty()


def test_a_peer_that_dies_within_a_message_is_lost_and_nothing_of_it_arrives() -> None:
    one, other = links()
    end = End(other)
    whole = b"".join(encode(Message(Kind.FRAME, 1, 0, (b"head", bytes(1_000_000)))))
    one._socket.sendall(whole + whole[:500_000])
    one._socket.close()
    assert end.next()[1] == 1
    assert end.lost.get(timeout=LIMIT) == "closed the connection within a message"
    assert end.messages.empty()
    other.close()


def test_a_peer_that_sends_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links_module, "Heartbeat", lambda now, **_: Heartbeat(now, every=0.01, lost_after=0.05))
    one, other = links()
    # The other side never starts.
    end = End(one)
    assert end.lost.get(timeout=LIMIT).startswith("has sent nothing for 5 s: it is frozen")
    one.close()
    other.close()


def test_peers_that_have_nothing_to_say_stay_connected(monkeypatch: pytest.MonkeyPatch) -> None:
    beats = threading.Semaphore(0)

    class Counted(Heartbeat):
        def received(self, now: float) -> None:
            beats.release()
            super().received(now)

    monkeypatch.setattr(links_module, "Heartbeat", Counted)
    ends = [End(link) for link in links()]
    # Two from each side.
    for _ in range(4):
        assert beats.acquire(timeout=LIMIT)
    assert all(end.lost.empty() for end in ends)
    for end in ends:
        end.link.say_goodbye()
    for end in ends:
        end.link.close()


def test_the_descriptor_of_a_dropped_peer_is_closed_before_the_link_is(ends: tuple[End, End]) -> None:
    one, other = ends
    one.link.abort()
    assert "has ended" in other.lost.get(timeout=LIMIT)
    until(lambda: one.link.is_released, "the end of both threads")


def test_the_descriptor_of_a_peer_that_is_dropped_after_its_loss_is_closed(ends: tuple[End, End]) -> None:
    one, other = ends
    other.link.abort()
    one.lost.get(timeout=LIMIT)
    assert not one.link.is_released
    one.link.abort()
    until(lambda: one.link.is_released, "the end of both threads")


def test_a_link_that_was_never_started_is_closed_if_its_peer_is_dropped() -> None:
    one, other = links()
    one.abort()
    assert one.is_released
    other.close()


def test_a_message_that_cannot_be_handled_ends_the_link(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = links()
    lost: SimpleQueue[str] = SimpleQueue()

    def refuse(_: Message) -> None:
        raise LinkError("sent what nobody expects")

    other.start(refuse, lost.put)
    end = End(one)
    one.send(Kind.FRAME, 1)
    assert lost.get(timeout=LIMIT) == "sent what nobody expects"
    end.lost.get(timeout=LIMIT)
    one.close()
    other.close()


# ------------------------------------------------------------------------------------------------- who may connect


def test_a_peer_with_another_key_is_refused_on_both_sides(listening: Callable[..., Any]) -> None:
    listener, accepted, refused = listening()
    with pytest.raises((LinkError, OSError)):
        connect(listener.address, os.urandom(32), b"host 1")
    assert "does not know the key of this run" in refused.get(timeout=LIMIT)
    assert accepted.empty()


def test_who_speaks_another_protocol_is_refused_and_harms_nobody(listening: Callable[..., Any]) -> None:
    listener, accepted, refused = listening()
    with socket.create_connection(listener.address) as stranger:
        stranger.sendall(b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n")
        assert "does not speak the protocol of chainpump" in refused.get(timeout=LIMIT)
    connect(listener.address, KEY, b"host 1").close()
    link = accepted.get(timeout=LIMIT)
    assert link.name == b"host 1"
    link.close()


def test_strangers_that_say_nothing_keep_nobody_out_for_ever(
    listening: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    listener, accepted, refused = listening()
    with ExitStack() as stack:
        strangers = [stack.enter_context(socket.create_connection(listener.address)) for _ in range(MOST_CHALLENGES)]
        strangers[-1].close()
        # A port scan: connect and close. The first one that leaves makes room.
        refused.get(timeout=LIMIT)
        connect(listener.address, KEY, b"host 1").close()
        link = accepted.get(timeout=LIMIT)
    assert link.name == b"host 1"
    link.close()


def test_a_listener_that_does_not_answer_is_told_after_a_time() -> None:
    message = r"^has not answered the challenge within 0\.05 s$"
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(LinkError, match=message):
        connect(silent.getsockname()[:2], KEY, b"host 1", seconds=0.05)


def test_a_closed_listener_ends_its_challenges(listening: Callable[..., Any]) -> None:
    listener, accepted, _ = listening()
    with socket.create_connection(listener.address) as stranger:
        listener.close()
        # The connection may not have been accepted yet.
        with suppress(ConnectionResetError):
            assert stranger.recv(1) == b""
    assert accepted.empty()


def test_a_listener_goes_on_when_there_are_descriptors_again(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refused(socket.socket):
        """The system has no descriptor for the first two connections."""

        left = 2

        def accept(self) -> tuple[socket.socket, Any]:
            if self.left:
                self.left -= 1
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            return super().accept()

    monkeypatch.setattr(listener_module, "PAUSE", 0.01)
    server = socket.create_server(("127.0.0.1", 0))
    accepted: SimpleQueue[Link] = SimpleQueue()
    failed: SimpleQueue[str] = SimpleQueue()
    listener = Listener(Refused(fileno=server.detach()), KEY, b"host 0", accepted.put, on_failed=failed.put)
    link = connect(listener.address, KEY, b"host 1")
    for each in (link, accepted.get(timeout=LIMIT)):
        each.close()
    listener.close()
    assert (failed.get(), failed.empty()) == ("Too many open files", True)


def test_a_listener_that_the_system_refuses_can_be_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refused(socket.socket):
        def accept(self) -> tuple[socket.socket, Any]:
            raise OSError(errno.ENFILE, os.strerror(errno.ENFILE))

    # Longer than the test may take.
    monkeypatch.setattr(listener_module, "PAUSE", 10 * LIMIT)
    server = socket.create_server(("127.0.0.1", 0))
    failed: SimpleQueue[str] = SimpleQueue()
    listener = Listener(Refused(fileno=server.detach()), KEY, b"host 0", lambda _: None, on_failed=failed.put)
    assert "Too many open files" in failed.get(timeout=LIMIT)
    listener.close()

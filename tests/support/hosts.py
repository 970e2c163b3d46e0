"""Hosts of a run inside one process: ferries with real links over localhost, and real channels between processes."""

from __future__ import annotations

import os
import socket
import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from queue import SimpleQueue
from typing import Any

from chainpump.cluster.ferry import Ferry
from chainpump.cluster.links import Link, connect
from chainpump.cluster.listener import Listener
from chainpump.cluster.route import Route
from chainpump.transport.frames import Span
from chainpump.transport.process_channel import PacketChannel, PacketReceiver, PacketSender

__all__ = ["Hosts", "links"]

KEY = os.urandom(32)
# Seconds; for every wait of a test. Only a defect comes near it.
LIMIT = 60


def links(key: bytes = KEY) -> tuple[Link, Link]:
    """Two ends of one link that were not started: of the host that connects, and of the host that listens."""
    accepted: SimpleQueue[Link] = SimpleQueue()
    listener = Listener(socket.create_server(("127.0.0.1", 0)), key, b"listening", accepted.put)
    link = connect(listener.address, key, b"connecting")
    try:
        return link, accepted.get(timeout=LIMIT)
    finally:
        listener.close()


class Pairs:
    """Pairs hosts, first come first served, and records what the ferries say."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.haves: deque[int] = deque()
        self.wants: deque[int] = deque()
        # How many frames each host has wanted, and was granted.
        self.wanted: Counter[int] = Counter()
        self.granted: Counter[int] = Counter()
        self.lost: list[tuple[int, int, str]] = []
        self.failed: list[tuple[int, str]] = []
        self.ferries: dict[int, Ferry] = {}
        # Hosts that get no frames for now.
        self.held: set[int] = set()

    def pair(self) -> None:
        """Grant frames as long as there are and are wanted."""
        with self.changed:
            wants = deque(host for host in self.wants if host not in self.held)
            while self.haves and wants:
                sender, receiver = self.haves.popleft(), wants.popleft()
                self.wants.remove(receiver)
                self.granted[receiver] += 1
                self.ferries[sender].granted(0, receiver)
            self.changed.notify_all()

    def wait_for(self, fact: Callable[[], object]) -> None:
        with self.changed:
            assert self.changed.wait_for(fact, LIMIT)


class _Voice:
    """What one ferry says."""

    def __init__(self, pairs: Pairs, host: int) -> None:
        self._pairs = pairs
        self._host = host

    def has(self, junction: int, n: int) -> None:
        with self._pairs.changed:
            self._pairs.haves.extend([self._host] * n)
        self._pairs.pair()

    def wants(self, junction: int, n: int) -> None:
        with self._pairs.changed:
            self._pairs.wants.extend([self._host] * n)
            self._pairs.wanted[self._host] += n
        self._pairs.pair()

    def parted(self, junction: int, dead: int, again: int, arrived: int) -> None:
        raise AssertionError("no host is replaced here")

    def full(self, junction: int, is_full: bool) -> None:
        raise AssertionError("nothing is kept here")

    def lost(self, host: int, reason: str) -> None:
        with self._pairs.changed:
            self._pairs.lost.append((self._host, host, reason))
            self._pairs.changed.notify_all()

    def failed(self, junction: int, reason: str) -> None:
        with self._pairs.changed:
            self._pairs.failed.append((self._host, reason))
            self._pairs.changed.notify_all()


class Hosts:
    """One junction between hosts. left, right: how many workers each host has there.

    carries: begin to carry at once.
    """

    def __init__(self, left: dict[int, int], right: dict[int, int], *, carries: bool = True) -> None:
        self.left, self.right = left, right
        self.numbers = sorted({*left, *right})
        self.pairs = Pairs()
        self.ferries = {host: Ferry(host, _Voice(self.pairs, host)) for host in self.numbers}
        self.pairs.ferries = self.ferries
        self.links: dict[tuple[int, int], Link] = {}
        self._stack = ExitStack()
        # Each host's channel from the workers that send, and to those that receive.
        self.outgoing = {host: PacketChannel(count, 1, None, renewable=True) for host, count in left.items()}
        self.incoming = {
            host: PacketChannel(1, count, None, renewable=True, counts_taken=True) for host, count in right.items()
        }
        # What a host was told at the end, by itself and by others.
        self.ends: dict[int, dict[int, bytes]] = {host: {} for host in right}
        for one in self.numbers:
            for other in self.numbers:
                if one < other:
                    self.links[one, other], self.links[other, one] = links()
                    self.ferries[one].add_link(other, self.links[one, other])
                    self.ferries[other].add_link(one, self.links[other, one])
        if carries:
            for host in self.numbers:
                self.carry(host)

    def carry(self, host: int) -> None:
        """Let the ferry of a host begin."""
        self.ferries[host].carry(
            Route(
                junction=0,
                left=self.outgoing.get(host),
                right=self.incoming.get(host),
                workers=self.right.get(host, 0),
                left_hosts=tuple(self.left),
                right_hosts=tuple(self.right),
                states=lambda: b"of %d" % host,
                ended=partial(self._ended, host),
            )
        )

    def _ended(self, host: int, of: int, states: bytes) -> None:
        assert of not in self.ends[host]
        self.ends[host][of] = states

    def sender(self, host: int, worker: int) -> PacketSender:
        """The end of a worker that sends."""
        sender = self.outgoing[host].sender(worker)
        sender.open()
        self._stack.callback(sender.close)
        return sender

    def receiver(self, host: int) -> PacketReceiver:
        """The end of a worker that receives."""
        receiver = self.incoming[host].receiver()
        receiver.open()
        self._stack.callback(receiver.close)
        return receiver

    def send_all(self, host: int, worker: int, items: Sequence[Any]) -> None:
        """Send each item as a frame of its own."""
        sender = self.sender(host, worker)
        for number, item in enumerate(items):
            sender.send([item], False, Span(number, number + 1, origin=worker), None)

    def receive_all(self, host: int) -> list[Any]:
        """Receive items until the end."""
        receiver, items = self.receiver(host), list[Any]()
        while (frame := receiver.receive(wait=True)) is not None:
            items += frame.entries
        return items

    def seal(self) -> None:
        """The workers that send have ended."""
        for channel in self.outgoing.values():
            channel.seal()

    def close_ferries(self) -> None:
        """Close all ferries. They take leave of each other at the same time, as at the end of a run."""
        closing = [threading.Thread(target=ferry.close) for ferry in self.ferries.values()]
        for thread in closing:
            thread.start()
        for thread in closing:
            thread.join(LIMIT)
            assert not thread.is_alive()

    def close(self) -> None:
        """End everything."""
        self.close_ferries()
        self._stack.close()
        for channel in (*self.outgoing.values(), *self.incoming.values()):
            channel.close()

"""A section whose hosts may die, inside one process: real ferries, links and channels, and what pairs them.

    host 0: origin ──► [0] ──► hosts: stage 1 ──► [1] ──► ... ──► host 0: restores the order

The thread of the test is the switchboard: it takes what the ferries say, in turn, and does what a test has planned.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any

from chainpump.cluster.backlog import Keeping
from chainpump.cluster.ferry import Ferry
from chainpump.cluster.links import Link
from chainpump.cluster.route import Replayed, Route
from chainpump.errors import Cancelled
from chainpump.transport.frames import Frame, Span
from chainpump.transport.order import Order
from chainpump.transport.pairing import Grant, Pairing
from chainpump.transport.process_channel import PacketChannel
from support.hosts import LIMIT, links

__all__ = ["HOME", "Host", "Section", "unchanged"]

HOME = 0
# Seconds between two copies of the board.
COPY_EVERY = 0.02

Stage = Callable[["Host", Any], Any]


def unchanged(host: Host, item: Any) -> Any:
    """A stage that passes its items on."""
    return item


class _Voice:
    """What one ferry says, in turn."""

    def __init__(self, host: int, queue: SimpleQueue[Any]) -> None:
        self._host = host
        self._queue = queue

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args: self._queue.put((self._host, name, args))


class Host:
    """A host with one worker of each stage that it is named for."""

    def __init__(self, number: int, section: Section, groups: Iterable[int]) -> None:
        self.number = number
        # Any: checkers do not see the methods that `__getattr__` makes.
        voice: Any = _Voice(number, section.queue)
        self.ferry = Ferry(number, voice, section.keeps)
        self.links: dict[int, Link] = {}
        self.groups = list(groups)
        last = len(section.groups) - 1
        self.left = {group: PacketChannel(1, 1, None, renewable=True) for group in self.groups if group < last}
        self.right = {
            group - 1: PacketChannel(1, 1, None, renewable=True, counts_taken=True) for group in self.groups if group
        }
        self.threads: list[threading.Thread] = []
        # Set it when a worker here is to stop for ever within its stage.
        self.dies = threading.Event()

    def run(self, target: Callable[..., None], *args: Any) -> None:
        """Run something of this host in a thread."""
        self.threads.append(threading.Thread(target=target, args=args, daemon=True))
        self.threads[-1].start()


class Section:
    """groups: the hosts of each group, from the origin to the worker that restores the order, which are on host 0.

    stages: the functions of the groups between. items: what the origin sends. keeps: bytes that a host may keep of
    each junction. plan: what to do once so many items have come out. links_late: the living hosts get their link to a
    successor only after that one has its own.
    """

    def __init__(
        self,
        groups: Sequence[Sequence[int]],
        stages: Sequence[Stage],
        items: Sequence[Any],
        *,
        keeps: int = 1 << 20,
        plan: Mapping[int, Callable[[Section], object]] | None = None,
        links_late: bool = False,
    ) -> None:
        self.groups = [set(each) for each in groups]
        self.stages = stages
        self.items = items
        self.keeps = keeps
        self.plan = dict(plan or {})
        self.links_late = links_late
        self.queue: SimpleQueue[Any] = SimpleQueue()
        self.passed = 0
        self.output: list[Any] = []
        # The consumer waits for it before each item.
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.is_over = False
        self.pairings = [Pairing() for _ in self.groups[:-1]]
        self.hosts: dict[int, Host] = {}
        self.dead: dict[int, Host] = {}
        # Hosts whose workers of a group have ended, and junctions that are sealed.
        self.finished: defaultdict[int, set[int]] = defaultdict(set)
        self.sealed: set[int] = set()
        self.full: set[tuple[int, int]] = set()
        self.was_held = self.was_released = False
        # The most bytes that a host ever kept, by junction.
        self.most: Counter[int] = Counter()
        self.failed: list[Any] = []
        for number in sorted(set().union(*self.groups)):
            self.add(number, [group for group, hosts in enumerate(self.groups) if number in hosts])

    # ------------------------------------------------------------------------------------------------- its members

    def add(self, number: int, groups: Iterable[int]) -> Host:
        """A host joins."""
        host = Host(number, self, groups)
        ends = {other: links() for other in self.hosts}
        for other, (_, theirs) in ends.items():
            self.hosts[other].links[number] = theirs
            if not self.links_late:
                self.hosts[other].ferry.add_link(number, theirs)
        self.hosts[number] = host
        for junction in range(len(self.groups) - 1):
            if junction in host.left or junction in host.right:
                host.ferry.carry(self.route(host, junction))
        for other, (ours, _) in ends.items():
            host.links[other] = ours
            host.ferry.add_link(other, ours)
        if self.links_late:
            self.queue.put((None, "call", (partial(self.link_late, number, ends),)))
        for group in host.groups:
            host.run(self.origin if not group else self.consume if group not in host.left else self.work, host, group)
        for junction in self.sealed & host.left.keys():
            host.left[junction].seal()
        return host

    def link_late(self, number: int, ends: Mapping[int, tuple[Link, Link]]) -> None:
        for other, (_, theirs) in ends.items():
            if other in self.hosts:
                self.hosts[other].ferry.add_link(number, theirs)

    def route(self, host: Host, junction: int) -> Route:
        return Route(
            junction=junction,
            left=host.left.get(junction),
            right=host.right.get(junction),
            workers=1,
            left_hosts=tuple(self.groups[junction]),
            right_hosts=tuple(self.groups[junction + 1]),
            states=lambda: b"of %d" % host.number,
            ended=lambda *_: None,
            replayed=Replayed(lambda: self.passed, not junction, not junction, junction < len(self.groups) - 2),
        )

    # ------------------------------------------------------------------------------------------------- its workers

    def origin(self, host: Host, group: int) -> None:
        sender = host.left[group].sender(0)
        sender.open()
        try:
            for number, item in enumerate(self.items):
                sender.send([item], False, Span(number, number + 1), None)
            self.queue.put((host.number, "done", (group,)))
        except Cancelled:
            # A test has failed.
            pass
        finally:
            sender.close()

    def work(self, host: Host, group: int) -> None:
        receiver, sender = host.right[group - 1].receiver(), host.left[group].sender(0)
        receiver.open()
        sender.open()
        try:
            while (frame := receiver.receive(wait=True)) is not None:
                made = [self.stages[group - 1](host, item) for item in frame.entries]
                if host.dies.is_set():
                    return
                sender.send(made, False, frame.span, frame.numbers)
            self.queue.put((host.number, "done", (group,)))
        except Cancelled:
            # The host is dead.
            pass
        finally:
            receiver.close()
            sender.close()

    def consume(self, host: Host, group: int) -> None:
        receiver, order = host.right[group - 1].receiver(), Order()
        receiver.open()
        while (frame := receiver.receive(wait=True)) is not None:
            order.push(frame)
            for ready in order.ready():
                self.take(ready, order)
        receiver.close()
        self.is_over = True
        self.queue.put((host.number, "over", ()))

    def take(self, frame: Frame, order: Order) -> None:
        self.goes_on.wait()
        self.output += frame.entries
        self.passed = order.next[0]
        for count in range(len(self.output) - len(frame.entries) + 1, len(self.output) + 1):
            if (planned := self.plan.get(count)) is not None:
                self.queue.put((None, "call", (partial(planned, self),)))

    # --------------------------------------------------------------------------------------------- the switchboard

    def run(self, until: Callable[[], object] | None = None) -> None:
        """Serve until the end, or until something is so."""
        by = monotonic() + LIMIT
        if (planned := self.plan.pop(0, None)) is not None:
            planned(self)
        while not (until() if until is not None else self.is_over):
            assert monotonic() < by, f"nothing moves: {self.passed} of {len(self.items)} have passed"
            try:
                sender, name, args = self.queue.get(timeout=COPY_EVERY)
            except Empty:
                pass
            else:
                if sender is None or sender in self.hosts:
                    getattr(self, f"on_{name}")(sender, *args)
            for host in self.hosts.values():
                host.ferry.look()
                self.measure(host)

    def measure(self, host: Host) -> None:
        for junction, departures in host.ferry._departures.items():
            if isinstance(departures._backlog, Keeping):
                self.most[junction] = max(self.most[junction], departures._backlog.nbytes)

    def on_call(self, _: None, function: Callable[[], object]) -> None:
        function()

    def on_has(self, host: int, junction: int, n: int) -> None:
        self.grant(junction, self.pairings[junction].has(host, n))

    def on_wants(self, host: int, junction: int, n: int) -> None:
        self.grant(junction, self.pairings[junction].wants(host, n))

    def grant(self, junction: int, grants: Sequence[Grant]) -> None:
        for sender, receiver, frames in grants:
            for _ in range(frames):
                self.hosts[sender].ferry.granted(junction, receiver)

    def on_parted(self, host: int, junction: int, dead: int, again: int, arrived: int) -> None:
        self.grant(junction, self.pairings[junction].parted(host, dead, again, arrived))

    def on_full(self, host: int, junction: int, is_full: bool) -> None:
        (self.full.add if is_full else self.full.discard)((host, junction))
        self.hold()

    def hold(self) -> None:
        self.was_released = self.was_released or (self.was_held and not self.full)
        self.was_held = self.was_held or bool(self.full)
        self.hosts[HOME].ferry.hold(0, bool(self.full))

    def on_lost(self, host: int, lost: int, reason: str) -> None:
        # Host 0 is alive: its link has ended because the other host does.
        self.lose(host if lost == HOME else lost)

    def on_failed(self, host: int, junction: int, reason: str) -> None:
        self.failed.append((host, junction, reason))

    def on_done(self, host: int, group: int) -> None:
        self.finished[group].add(host)
        if self.groups[group] <= self.finished[group] and group not in self.sealed:
            self.sealed.add(group)
            for each in self.hosts.values():
                if group in each.left:
                    each.left[group].seal()

    def on_over(self, host: int) -> None: ...

    # ------------------------------------------------------------------------------------------------------- deaths

    def lose(self, number: int) -> None:
        """A host counts as dead, and a successor joins. The host itself may live on."""
        assert number != HOME
        if number not in self.hosts:
            return
        lost = self.dead[number] = self.hosts.pop(number)
        new = max([*self.hosts, *self.dead]) + 1
        for group in lost.groups:
            self.groups[group].remove(number)
            self.groups[group].add(new)
        for pairing in self.pairings:
            pairing.died(number)
        for host in self.hosts.values():
            host.ferry.succeed(number, new)
        self.full = {each for each in self.full if each[0] != number}
        self.hold()
        self.add(new, lost.groups)

    def kill(self, number: int) -> None:
        """A host dies as a process that is killed. The others learn it from their links."""
        host = self.hosts[number]
        host.dies.set()
        for link in host.links.values():
            link.abort()
        for junction in {*host.left, *host.right}:
            host.ferry.hang_up(junction)

    def close(self) -> None:
        """End everything."""
        self.goes_on.set()
        everyone = [*self.hosts.values(), *self.dead.values()]
        for host in everyone:
            host.dies.set()
            for junction in {*host.left, *host.right}:
                host.ferry.hang_up(junction)
        closing = [threading.Thread(target=host.ferry.close, daemon=True) for host in everyone]
        for thread in closing:
            thread.start()
        for thread in (*closing, *(thread for host in everyone for thread in host.threads)):
            thread.join(LIMIT)
            assert not thread.is_alive()
        for host in everyone:
            for link in host.links.values():
                # Those of a successor that came too late were never used.
                link.close()
            for channel in (*host.left.values(), *host.right.values()):
                channel.close()

"""A chain over hosts that die at any moment gives each item once and in order, in bounded memory, and comes to its end.

    host 0: source ──► [frames] ──► hosts: a stage ──► [frames] ──► host 0: reorder buffer

The model moves the frames. All decisions are those of `Pairing`, `Retained` and `Order`.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from random import Random
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from chainpump.transport.frames import Frame, Span
from chainpump.transport.order import Order, SpanSplitter
from chainpump.transport.pairing import Grant, Pairing
from chainpump.transport.retained import Retained

HOME = 0
# Frames that a host wants, and that the source offers, ahead.
DEPTH = 3


class Item(NamedTuple):
    number: int
    part: int


def results(item: Item) -> list[Item]:
    """Between none and three, as of a filter and a flat_map."""
    return [Item(item.number, part) for part in range(item.number * 7 % 4)]


def cut(numbers: range, random: Random, most: int) -> Iterator[tuple[int, int]]:
    start = numbers.start
    while start < numbers.stop:
        stop = min(numbers.stop, start + random.randint(1, most))
        yield start, stop
        start = stop


class Junction:
    """A junction between hosts, with what the hosts keep, and the frames on their way."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.pairing = Pairing()
        self.retained: dict[int, Retained[Frame]] = {}
        self.links: defaultdict[tuple[int, int], deque[Frame]] = defaultdict(deque)
        self.arrived: Counter[tuple[int, int]] = Counter()

    def keeps(self, host: int) -> Retained[Frame]:
        return self.retained.setdefault(host, Retained(host, self.limit))

    def offer(self, host: int, frame: Frame) -> None:
        self.keeps(host).take(frame, frame.span, frame.nbytes)
        self.grant(self.pairing.has(host, 1))

    def grant(self, grants: Sequence[Grant]) -> None:
        for sender, receiver, frames in grants:
            self.links[sender, receiver].extend(self.keeps(sender).send(receiver) for _ in range(frames))

    def receive(self, link: tuple[int, int]) -> Frame:
        self.arrived[link] += 1
        frame = self.links[link].popleft()
        self.grant(self.pairing.wants(link[1], 1))
        return frame


class Cluster:
    """A run. Each step is one of those that are possible now; that none is possible before the end is a deadlock."""

    def __init__(self, items: int, hosts: int, deaths: int, limit: int, random: Random) -> None:
        self.random = random
        self.items = items
        self.deaths = deaths
        self.source = deque(
            Frame(HOME, Span(start, stop), [Item(n, 0) for n in range(start, stop)], nbytes=random.randint(1, 40))
            for start, stop in cut(range(items), random, 4)
        )
        self.largest = max((frame.nbytes for frame in self.source), default=0)
        self.limit = limit
        self.hosts = set(range(1, hosts + 1))
        self.count = hosts
        self.first, self.second = Junction(limit), Junction(limit)
        self.inputs: defaultdict[int, list[Frame]] = defaultdict(list)
        self.order = Order()
        self.output: list[Item] = []
        self.is_sealed = False
        self.ended: set[int] = set()
        # Hosts that have died and that the home host has not parted from, in each junction.
        self.unparted: set[tuple[Junction, int]] = set()
        for host in sorted(self.hosts):
            self.first.grant(self.first.pairing.wants(host, DEPTH))
        self.second.grant(self.second.pairing.wants(HOME, DEPTH))

    # ----------------------------------------------------------------------------------------- what may happen

    def steps(self) -> Iterator[Callable[[], None]]:
        kept = self.first.keeps(HOME)
        if self.source and kept.waiting < DEPTH and kept.has_room(self.source[0].span, self.source[0].nbytes):
            yield self.send
        if self.order.next == (self.items,) and not self.is_sealed:
            yield self.seal
        for _, host in sorted(link for link, frames in self.first.links.items() if frames):
            yield partial(self.take, host)
        for host, _ in sorted(link for link, frames in self.second.links.items() if frames):
            yield partial(self.arrive, host)
        for host in sorted(self.hosts):
            if self.inputs[host]:
                yield partial(self.work, host)
            elif self.may_end(host):
                yield partial(self.ended.add, host)
        for junction, host in sorted(self.unparted, key=lambda each: (each[1], each[0] is self.first)):
            if not junction.links[host, HOME]:
                yield partial(self.part, junction, host)

    def may_end(self, host: int) -> bool:
        """Whether the end of the first junction comes to this host, which then ends as well."""
        keeps = self.first.keeps(HOME), self.second.keeps(host)
        on_the_way = self.first.links[HOME, host] or self.second.links[host, HOME]
        return self.is_sealed and not on_the_way and not any(each.waiting for each in keeps) and host not in self.ended

    def run(self) -> None:
        while not self.hosts <= self.ended:
            if self.deaths and self.random.random() < 0.05:
                self.die(self.random.choice(sorted(self.hosts)))
            steps = list(self.steps())
            # The position that was told last may be an old one. Then the source may wait for the next one.
            if not steps or self.random.random() < 0.3:
                self.tell_passed()
                steps = list(self.steps())
            assert steps, "a deadlock"
            self.random.choice(steps)()
            self.check_memory()

    def check_memory(self) -> None:
        kept = self.first.keeps(HOME)
        assert kept.nbytes <= max(self.limit, self.largest) + self.largest
        # What has not passed is kept, or has not been taken yet.
        assert kept.nbytes or self.source or self.order.next == (self.items,)

    # ------------------------------------------------------------------------------------------------ its steps

    def send(self) -> None:
        self.first.offer(HOME, self.source.popleft())

    def seal(self) -> None:
        """The source has ended, and all that it has numbered has passed: nothing needs to be sent again."""
        self.is_sealed = True

    def take(self, host: int) -> None:
        self.inputs[host].append(self.first.receive((HOME, host)))

    def work(self, host: int) -> None:
        frames = self.inputs[host]
        frame = frames.pop(self.random.randrange(len(frames)))
        splitter = SpanSplitter(frame.span)
        made = [
            (number, each)
            for number, item in zip(range(*frame.span[:2]), frame.entries, strict=True)
            for each in results(item)
        ]
        for start, stop in cut(range(*frame.span[:2]), self.random, 4):
            pairs = [(number, each) for number, each in made if start <= number < stop]
            entries = [each for _, each in pairs]
            for piece in splitter.cut(entries, [number for number, _ in pairs], stop, stop == frame.span.stop):
                self.second.offer(host, Frame(host, piece.span, piece.entries, piece.numbers, nbytes=10))

    def arrive(self, host: int) -> None:
        self.order.push(self.second.receive((host, HOME)))
        for each in self.order.ready():
            self.output += each.entries

    def tell_passed(self) -> None:
        for junction in (self.first, self.second):
            for kept in junction.retained.values():
                kept.passed(self.order.next)

    def die(self, host: int) -> None:
        """What a host has is lost, but for some frames that are on their way. Another host takes its place."""
        self.deaths -= 1
        self.hosts.remove(host)
        self.inputs.pop(host, None)
        self.first.links.pop((HOME, host), None)
        on_the_way = self.second.links[host, HOME]
        for _ in range(self.random.randint(0, len(on_the_way))):
            on_the_way.pop()
        self.second.retained.pop(host, None)
        for junction in (self.first, self.second):
            junction.pairing.died(host)
            self.unparted.add((junction, host))
        self.count += 1
        self.hosts.add(self.count)
        self.first.grant(self.first.pairing.wants(self.count, DEPTH))

    def part(self, junction: Junction, host: int) -> None:
        """The home host sends again what it had sent there, or has read the link to its end."""
        self.unparted.remove((junction, host))
        self.tell_passed()
        again, arrived = junction.keeps(HOME).died(host), junction.arrived[host, HOME]
        junction.grant(junction.pairing.parted(HOME, host, again, arrived))


@given(
    items=st.integers(0, 60),
    hosts=st.integers(1, 3),
    deaths=st.integers(0, 6),
    limit=st.integers(1, 120),
    random=st.integers(0, 2**32).map(Random),
)
def test_items_come_once_and_in_order_whichever_hosts_die(
    items: int, hosts: int, deaths: int, limit: int, random: Random
) -> None:
    cluster = Cluster(items, hosts, deaths, limit, random)
    cluster.run()
    assert cluster.output == [each for number in range(items) for each in results(Item(number, 0))]
    cluster.tell_passed()
    assert [kept.nbytes for kept in cluster.first.retained.values() if not kept.waiting] in ([], [0])

"""Whatever passes and dies: what has not passed is kept, memory is bounded, and a frame may always be taken."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from chainpump.transport.frames import Frame, Span
from chainpump.transport.order import Order
from chainpump.transport.retained import Retained


def spans(items: int, random: Random) -> Iterator[Span]:
    """Spans without gaps, of items or of parts of an item."""
    start = 0
    while start < items:
        if random.random() < 0.3:
            parts = random.randint(1, 3)
            yield from (Span(part, part + 1, (start,), last=part == parts - 1) for part in range(parts))
            start += 1
        else:
            stop = random.randint(start + 1, items)
            yield Span(start, stop)
            start = stop


class Sender:
    """A host that may take its frames in any order. Others receive them, and the reorder buffer is at the end."""

    def __init__(self, items: int, limit: int, random: Random) -> None:
        self.items = items
        self.limit = limit
        self.random = random
        self.retained = Retained[Frame](host=0, limit=limit)
        self.frames = [Frame(0, span, [span], nbytes=random.randint(1, 40)) for span in spans(items, random)]
        self.untaken = random.sample(self.frames, len(self.frames))
        self.waiting: list[Frame] = []
        # Frames that are at a host, and those whose results have reached the reorder buffer.
        self.at: dict[int, list[Frame]] = {1: [], 2: []}
        self.done: dict[int, list[Frame]] = {1: [], 2: []}
        self.order = Order()
        self.output: list[Span] = []
        self.told: tuple[int, ...] = (0,)

    def run(self, deaths: int) -> None:
        while self.order.next != (self.items,):
            if deaths and self.random.random() < 0.1:
                deaths -= 1
                self.die(self.random.choice([1, 2]))
            may_take = [frame for frame in self.untaken if self.retained.has_room(frame.span, frame.nbytes)]
            busy = [host for host, frames in self.at.items() if frames]
            steps: list[Callable[[], None]] = [partial(self.take, frame) for frame in may_take]
            steps += [partial(self.work, host) for host in busy]
            steps += [self.tell] * (self.told != self.order.next) + [self.send] * bool(self.waiting)
            assert steps, "a deadlock"
            self.random.choice(steps)()
            self.check()

    def take(self, frame: Frame) -> None:
        self.untaken.remove(frame)
        self.waiting.append(frame)
        self.retained.take(frame, frame.span, frame.nbytes)

    def send(self) -> None:
        host = self.random.choice([1, 2])
        frame = self.retained.send(host)
        assert frame.span.position == min(each.span.position for each in self.waiting)
        self.waiting.remove(frame)
        self.at[host].append(frame)

    def work(self, host: int) -> None:
        frame = self.at[host].pop(self.random.randrange(len(self.at[host])))
        self.done[host].append(frame)
        self.order.push(frame)
        self.output += [each for ready in self.order.ready() for each in ready.entries]

    def tell(self) -> None:
        self.told = self.order.next
        self.retained.passed(self.told)

    def die(self, host: int) -> None:
        """All that it was sent and that is not known to have passed comes again."""
        again = [frame for frame in self.at[host] + self.done[host] if not self.has_passed(frame)]
        assert self.retained.died(host) == len(again)
        self.waiting += again
        self.at[host], self.done[host] = [], []

    def has_passed(self, frame: Frame) -> bool:
        return frame.span.after <= self.told

    def check(self) -> None:
        sent = [frame for frames in (*self.at.values(), *self.done.values()) for frame in frames]
        kept = self.waiting + [frame for frame in sent if not self.has_passed(frame)]
        assert self.retained.nbytes == sum(frame.nbytes for frame in kept)
        # Of an item that comes in parts, all of them have room when it is awaited: here up to three.
        assert self.retained.nbytes <= max(self.limit, 40) + 3 * 40


@given(
    items=st.integers(0, 30),
    limit=st.integers(1, 200),
    deaths=st.integers(0, 6),
    random=st.integers(0, 2**32).map(Random),
)
def test_what_has_not_passed_is_kept_and_a_frame_may_always_go(
    items: int, limit: int, deaths: int, random: Random
) -> None:
    sender = Sender(items, limit, random)
    sender.run(deaths)
    assert sender.output == [frame.span for frame in sender.frames]

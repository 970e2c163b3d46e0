"""The pairing against a model of hosts and links: after any events no frame is lost, and no host waits for ever."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from chainpump.transport.pairing import PATIENCE, Grant, Pairing

Link = tuple[int, int]


class Hosts(RuleBasedStateMachine):
    """Hosts that send and receive frames, and die. The model counts frames; the switchboard only sees the events."""

    @initialize(hosts=st.integers(1, 4))
    def start(self, hosts: int) -> None:
        self.living = set(range(hosts))
        self.dead: set[int] = set()
        self.has: Counter[int] = Counter()
        self.wants: Counter[int] = Counter()
        # Frames on their way, frames that have arrived, and frames that the sender still keeps then.
        self.links: Counter[Link] = Counter()
        self.arrived: Counter[Link] = Counter()
        self.kept: Counter[Link] = Counter()
        # Links that a living host has to a dead one.
        self.loose: set[Link] = set()
        self.pairing = Pairing()

    def grant(self, grants: Sequence[Grant]) -> None:
        for sender, receiver, frames in grants:
            assert frames > 0
            self.has[sender] -= frames
            self.wants[receiver] -= frames
            self.links[sender, receiver] += frames
            self.kept[sender, receiver] += frames

    def some_of(self, data: st.DataObject, hosts: set[int]) -> int:
        return data.draw(st.sampled_from(sorted(hosts)))

    @precondition(lambda self: self.living)
    @rule(data=st.data(), frames=st.integers(0, 5))
    def a_host_has_frames(self, data: st.DataObject, frames: int) -> None:
        host = self.some_of(data, self.living)
        self.has[host] += frames
        self.grant(self.pairing.has(host, frames))

    @precondition(lambda self: self.living)
    @rule(data=st.data(), frames=st.integers(0, 5))
    def a_host_wants_frames(self, data: st.DataObject, frames: int) -> None:
        host = self.some_of(data, self.living)
        self.wants[host] += frames
        self.grant(self.pairing.wants(host, frames))

    @precondition(lambda self: +self.links)
    @rule(data=st.data())
    def frames_arrive(self, data: st.DataObject) -> None:
        link = data.draw(st.sampled_from(sorted(+self.links)))
        frames = data.draw(st.integers(1, self.links[link]))
        self.links[link] -= frames
        self.arrived[link] += frames

    @precondition(lambda self: +self.kept)
    @rule(data=st.data())
    def the_reorder_buffer_passes_a_frame(self, data: st.DataObject) -> None:
        link = data.draw(st.sampled_from(sorted(+self.kept)))
        if self.kept[link] > self.links[link]:
            self.kept[link] -= 1

    @precondition(lambda self: len(self.living) + len(self.dead) < 8)
    @rule()
    def a_host_joins(self) -> None:
        self.living.add(len(self.living) + len(self.dead))

    @precondition(lambda self: self.living)
    @rule(data=st.data())
    def a_host_dies(self, data: st.DataObject) -> None:
        host = self.some_of(data, self.living)
        self.living.remove(host)
        self.dead.add(host)
        del self.has[host], self.wants[host]
        for sender, receiver in [link for link in self.kept if host in link]:
            if self.dead.issuperset((sender, receiver)):
                del self.links[sender, receiver], self.kept[sender, receiver]
                self.loose.discard((sender, receiver))
            else:
                self.loose.add((sender, receiver))
                # What is on its way to a dead host is lost. What a dead host has sent may still arrive.
                if receiver == host:
                    del self.links[sender, receiver]
        self.pairing.died(host)

    @precondition(lambda self: self.loose)
    @rule(data=st.data())
    def a_living_host_parts_from_a_dead_one(self, data: st.DataObject) -> None:
        sender, receiver = data.draw(st.sampled_from(sorted(self.loose)))
        host, dead = (sender, receiver) if receiver in self.dead else (receiver, sender)
        self.loose -= {(host, dead), (dead, host)}
        again = self.kept.pop((host, dead), 0)
        self.has[host] += again
        # It closes the link: nothing more arrives of what was on its way.
        self.wants[host] += self.links.pop((dead, host), 0)
        self.kept.pop((dead, host), None)
        self.grant(self.pairing.parted(host, dead, again, self.arrived[dead, host]))

    @precondition(lambda self: self.dead)
    @rule(data=st.data(), frames=st.integers(1, 5))
    def a_dead_host_comes_back(self, data: st.DataObject, frames: int) -> None:
        host = self.some_of(data, self.dead)
        self.grant(self.pairing.has(host, frames) + self.pairing.wants(host, frames))
        self.grant(self.pairing.parted(host, self.some_of(data, self.dead), frames, frames))

    @invariant()
    def grants_take_what_there_is_and_no_more(self) -> None:
        if hasattr(self, "pairing"):
            assert min([0, *self.has.values(), *self.wants.values()]) == 0
            assert not (+self.has and +self.wants)
            assert not (set(+self.has) | set(+self.wants)) & self.dead


TestHosts = Hosts.TestCase

EVENTS = st.lists(st.tuples(st.booleans(), st.integers(0, 4), st.integers(1, 3)), max_size=200)


@given(EVENTS)
def test_no_host_waits_for_ever_while_frames_move(events: Sequence[tuple[bool, int, int]]) -> None:
    """However the others have and want frames, each host has its turn within a bounded number of frames."""
    pairing = Pairing()
    has: Counter[int] = Counter()
    wants: Counter[int] = Counter()
    # How many frames have been granted since a host began to wait.
    waited: defaultdict[tuple[str, int], int] = defaultdict(int)
    for gives, host, count in events:
        (has if gives else wants)[host] += count
        grants = pairing.has(host, count) if gives else pairing.wants(host, count)
        for grant in grants:
            has[grant.sender] -= grant.frames
            wants[grant.receiver] -= grant.frames
        moved = sum(grant.frames for grant in grants)
        served = {("has", grant.sender) for grant in grants} | {("wants", grant.receiver) for grant in grants}
        waiting = {("has", each) for each in +has} | {("wants", each) for each in +wants}
        for each in waiting - served:
            waited[each] += moved
            assert waited[each] <= 5 * (PATIENCE + 1 if each[0] == "wants" else 1)
        for each in served | (waited.keys() - waiting):
            waited[each] = 0

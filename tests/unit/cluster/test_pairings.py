"""Pairings of several threads."""

from __future__ import annotations

import threading

from chainpump.cluster.pairings import Pairings
from chainpump.transport.pairing import Grant, Pairing

# Seconds; for every wait of a test. Only a defect comes near it.
LIMIT = 60
FRAMES = 500


def test_each_junction_is_paired_by_itself() -> None:
    granted: list[tuple[int, Grant]] = []
    pairings = Pairings({2: Pairing(), 5: Pairing()}, lambda junction, grant: granted.append((junction, grant)))
    pairings.has(1, 2, 3)
    pairings.wants(4, 5, 1)
    assert granted == []
    pairings.wants(4, 2, 2)
    assert granted == [(2, Grant(1, 4, 2))]


def test_hosts_may_call_at_the_same_time() -> None:
    granted = 0
    calling = threading.Lock()

    def grant(_junction: int, each: Grant) -> None:
        nonlocal granted
        # Grants leave one after the other.
        assert calling.acquire(blocking=False)
        granted += each.frames
        calling.release()

    pairings = Pairings({0: Pairing()}, grant)

    def call(host: int) -> None:
        for _ in range(FRAMES):
            (pairings.has if host < 3 else pairings.wants)(host, 0, 1)

    threads = [threading.Thread(target=call, args=(host,)) for host in (1, 2, 3, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
    assert granted == 2 * FRAMES


def test_a_grant_may_make_its_host_want_another_frame() -> None:
    left = 3

    def grant(junction: int, each: Grant) -> None:
        nonlocal left
        if left:
            left -= 1
            pairings.wants(each.receiver, junction, 1)

    pairings = Pairings({0: Pairing()}, grant)
    pairings.wants(1, 0, 1)
    pairings.has(1, 0, 10)
    assert left == 0


def test_nothing_is_granted_to_a_dead_host_after_the_others_were_told() -> None:
    events: list[object] = []
    pairings = Pairings({0: Pairing()}, lambda _, grant: events.append(grant))
    pairings.wants(3, 0, 2)
    pairings.has(1, 0, 1)
    pairings.died(3, lambda: events.append("told"))
    pairings.has(2, 0, 1)
    pairings.wants(4, 0, 2)
    # One frame had been sent to the dead host and is sent again.
    pairings.parted(1, 0, 3, again=1, arrived=0)
    assert events == [Grant(1, 3, 1), "told", Grant(2, 4, 1), Grant(1, 4, 1)]


def test_a_host_wants_other_frames_for_those_that_never_came_from_a_dead_one() -> None:
    granted: list[Grant] = []
    pairings = Pairings({0: Pairing()}, lambda _, grant: granted.append(grant))
    pairings.has(1, 0, 3)
    pairings.wants(4, 0, 3)
    pairings.died(1, lambda: None)
    pairings.parted(4, 0, 1, again=0, arrived=2)
    pairings.has(2, 0, 5)
    assert granted == [Grant(1, 4, 3), Grant(2, 4, 1)]

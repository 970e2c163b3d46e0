"""Who sends to whom, and what follows from a death."""

from __future__ import annotations

import pytest

from chainpump.transport.pairing import PATIENCE, Grant, Pairing

A, B, C, D = range(4)


def granted(*hosts: int) -> Pairing:
    """A junction in which A has sent one frame to each of these hosts."""
    pairing = Pairing()
    pairing.has(A, len(hosts))
    assert [pairing.wants(host, 1) for host in hosts] == [[Grant(A, host, 1)] for host in hosts]
    return pairing


def test_frames_wait_for_hosts_and_hosts_wait_for_frames() -> None:
    pairing = Pairing()
    assert pairing.has(A, 2) == []
    assert pairing.wants(B, 3) == [Grant(A, B, 2)]
    assert pairing.has(A, 2) == [Grant(A, B, 1)]
    assert pairing.wants(C, 1) == [Grant(A, C, 1)]


def test_hosts_that_want_frames_and_hosts_that_have_some_take_turns() -> None:
    pairing = Pairing()
    for host in (C, D):
        pairing.wants(host, 4)
    assert pairing.has(A, 4) == [Grant(A, C, 2), Grant(A, D, 2)]
    assert pairing.has(B, 4) == [Grant(B, C, 2), Grant(B, D, 2)]
    for host in (A, B):
        pairing.has(host, 3)
    assert pairing.wants(C, 4) == [Grant(A, C, 2), Grant(B, C, 2)]


def test_a_host_keeps_its_own_frames_but_others_do_not_wait_for_ever() -> None:
    pairing = Pairing()
    pairing.wants(B, 2)
    pairing.wants(A, 100)
    receivers = [grant.receiver for _ in range(2 * PATIENCE + 3) for grant in pairing.has(A, 1)]
    # B waits again from its turn on, and is first again after the next frame.
    assert receivers == [A] * PATIENCE + [B] + [A] * (PATIENCE + 1) + [B]


def test_frames_of_a_host_that_has_died_are_granted_again() -> None:
    pairing = granted(B)
    pairing.died(B)
    assert pairing.wants(C, 2) == []
    assert pairing.parted(A, B, again=1, arrived=0) == [Grant(A, C, 1)]


def test_who_wanted_a_frame_that_never_comes_gets_another_one() -> None:
    pairing = granted(B, B, C)
    pairing.died(A)
    assert pairing.has(D, 3) == []
    assert pairing.parted(B, A, again=0, arrived=1) == [Grant(D, B, 1)]
    assert pairing.parted(C, A, again=0, arrived=0) == [Grant(D, C, 1)]
    assert pairing.has(D, 1) == []


def test_who_has_got_all_frames_of_a_dead_host_wants_no_others() -> None:
    pairing = granted(B, B)
    pairing.died(A)
    assert pairing.parted(B, A, again=0, arrived=2) + pairing.has(C, 1) == []


def test_what_a_dead_host_has_and_wants_does_not_count() -> None:
    pairing = Pairing()
    pairing.has(A, 1)
    pairing.died(A)
    assert pairing.wants(C, 1) == []
    pairing.died(C)
    assert pairing.has(B, 1) == []
    # Hosts that were only stopped, and come back.
    assert pairing.has(A, 1) + pairing.wants(C, 1) + pairing.parted(A, C, again=1, arrived=0) == []
    assert pairing.wants(D, 1) == [Grant(B, D, 1)]


def test_what_cannot_be_is_refused() -> None:
    pairing = granted(B)
    with pytest.raises(ValueError, match=r"^host 1 has parted from host 0, which is not dead$"):
        pairing.parted(B, A, again=0, arrived=1)
    pairing.died(A)
    with pytest.raises(ValueError, match=r"^host 1 has got 2 frames of host 0, which was granted 1$"):
        pairing.parted(B, A, again=0, arrived=2)

"""The challenge: who knows the key is let in, and nobody else, whatever they send."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from chainpump.transport.challenge import CHALLENGE_BYTES, NONCE_BYTES, VERSION, Challenge
from chainpump.transport.link import Kind, LinkError, LinkReader, Message, encode

KEY, OTHER_KEY = b"k" * 32, b"o" * 32
SWITCHBOARD, AGENT, OTHER_AGENT = b"switchboard", b"agent 3", b"agent 4"


def connecting(own: bytes = AGENT, key: bytes = KEY, nonce: bytes = b"c" * 32) -> Challenge:
    return Challenge(key, own, nonce, connects=True)


def listening(own: bytes = SWITCHBOARD, key: bytes = KEY, nonce: bytes = b"l" * 32) -> Challenge:
    return Challenge(key, own, nonce, connects=False)


def sent(messages: Iterable[Message]) -> list[Message]:
    """The messages as they arrive at the other side, within the limit for strangers."""
    reader = LinkReader(CHALLENGE_BYTES)
    found = []
    for message in messages:
        data = b"".join(bytes(buffer) for buffer in encode(message))
        reader.buffer()[: len(data)] = data
        reader.received(len(data))
        while (arrived := reader.next()) is not None:
            found.append(arrived)
    return found


def talk(one: Challenge, other: Challenge) -> None:
    """Pass on the messages of both sides until neither has more."""
    to_one, to_other = list(other.begin()), list(one.begin())
    while to_one or to_other:
        answers = [answer for message in sent(to_other) for answer in other.receive(message)]
        to_other = [answer for message in sent(to_one) for answer in one.receive(message)]
        to_one = answers


def test_two_sides_with_the_same_key_know_each_other() -> None:
    one, other = connecting(), listening()
    assert (one.peer, other.peer) == (None, None)
    talk(one, other)
    assert (one.peer, other.peer) == (SWITCHBOARD, AGENT)
    one.end()
    other.end()


def test_a_peer_is_not_known_before_its_proof_and_the_listening_side_proves_last() -> None:
    one, other = connecting(), listening()
    assert other.begin() == ()
    (greeting,) = one.begin()
    (answer,) = other.receive(greeting)
    (proof,) = one.receive(answer)
    assert (greeting.kind, answer.kind, proof.kind) == (Kind.CHALLENGE, Kind.CHALLENGE, Kind.PROOF)
    assert (one.peer, other.peer) == (None, None)
    (last,) = other.receive(proof)
    assert (one.peer, other.peer) == (None, AGENT)
    assert one.receive(last) == ()
    assert one.peer == SWITCHBOARD


def test_a_wrong_key_is_refused_by_both_sides() -> None:
    one, other = connecting(key=OTHER_KEY), listening()
    with pytest.raises(LinkError, match=r"^does not know the key of this run\.\n"):
        talk(one, other)
    with pytest.raises(LinkError, match=r"^closed the connection before it had proven the key of the run\.\n"):
        one.end()
    # A listening side that says it is content, without the key.
    one = connecting()
    (greeting,) = one.begin()
    impostor = listening(key=OTHER_KEY)
    one.receive(*impostor.receive(greeting))
    with pytest.raises(LinkError, match=r"^does not know the key"):
        one.receive(Message(Kind.PROOF, parts=(impostor._digest(impostor._side),)))
    assert one.peer is None


def test_an_old_version_is_refused_with_both_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    (greeting,) = connecting().begin()
    message = rf"^speaks version 0 of the protocol, and this host version {VERSION}\.\n  Install the same version"
    with pytest.raises(LinkError, match=message):
        listening().receive(greeting._replace(first=0))


def test_a_side_that_speaks_to_itself_is_refused() -> None:
    """An attacker sends back our own challenge, or passes our messages on to our own listening side."""
    one = connecting()
    (greeting,) = one.begin()
    with pytest.raises(LinkError, match=r"^claims the name of this process, b'agent 3': it may reflect messages$"):
        one.receive(greeting)
    with pytest.raises(LinkError, match=r"^claims the name of this process"):
        talk(connecting(AGENT), listening(AGENT))


def test_a_proof_is_worth_nothing_on_another_link_or_side() -> None:
    one, other = connecting(), listening()
    (answer,) = other.receive(*one.begin())
    (proof,) = one.receive(answer)
    # The own proof, reflected.
    with pytest.raises(LinkError, match=r"^does not know the key"):
        one.receive(proof)
    # The proof of one link on another one, whose listening side has another nonce.
    later = listening(nonce=b"m" * 32)
    later.receive(*connecting().begin())
    with pytest.raises(LinkError, match=r"^does not know the key"):
        later.receive(proof)
    # Under another name.
    third = listening()
    third.receive(*connecting(OTHER_AGENT).begin())
    with pytest.raises(LinkError, match=r"^does not know the key"):
        third.receive(proof)


@pytest.mark.parametrize("kind", [Kind.PROOF, Kind.HEARTBEAT, Kind.FRAME])
def test_nothing_but_the_challenge_is_accepted_before_it_is_over(kind: Kind) -> None:
    for side in (connecting, listening):
        with pytest.raises(LinkError, match=rf"^sent {kind.name}, where its challenge expects CHALLENGE$"):
            side().receive(Message(kind))
    other = listening()
    other.receive(*connecting().begin())
    with pytest.raises(LinkError, match=r"^sent CHALLENGE, where its challenge expects PROOF$"):
        other.receive(*connecting().begin())


def test_a_refused_peer_has_no_second_try() -> None:
    one, other = connecting(), listening()
    (answer,) = other.receive(*one.begin())
    (proof,) = one.receive(answer)
    with pytest.raises(LinkError, match=r"^does not know the key"):
        other.receive(Message(Kind.PROOF, parts=(bytes(32),)))
    with pytest.raises(LinkError, match=r"^sent PROOF, where its challenge expects nothing more$"):
        other.receive(proof)
    assert other.peer is None


def changed(**changes: object) -> Callable[[Message], Message]:
    return lambda message: message._replace(**changes)  # type: ignore[arg-type]  # any field


@pytest.mark.parametrize(
    "change",
    [
        changed(second=1),
        changed(parts=()),
        changed(parts=(b"",)),
        # Without a name, and with one that is too long.
        changed(parts=(bytes(NONCE_BYTES),)),
        changed(parts=(bytes(CHALLENGE_BYTES + 1),)),
        changed(parts=(bytes(41), b"")),
    ],
)
def test_a_challenge_of_another_shape_is_refused(change: Callable[[Message], Message]) -> None:
    (greeting,) = connecting().begin()
    with pytest.raises(LinkError, match=r"^sent CHALLENGE with the numbers .* which it never has$"):
        listening().receive(change(greeting))


def test_a_proof_covers_where_the_name_ends() -> None:
    """Otherwise bytes could move from the challenge of one side to that of the other one."""
    one, other = connecting(b"agent 3"), listening(b"s")
    (greeting,) = one.begin()
    (answer,) = other.receive(greeting)
    longer = answer._replace(parts=(bytes(answer.parts[0]) + b"x",))
    (proof,) = one.receive(longer)
    with pytest.raises(LinkError, match=r"^does not know the key"):
        other.receive(proof)


def test_short_keys_nonces_and_names_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^the key must have at least 32 bytes but has 31$"):
        connecting(key=bytes(31))
    with pytest.raises(ValueError, match=r"^the nonce must have 32 bytes but has 33$"):
        connecting(nonce=bytes(33))
    for name in (b"", bytes(65)):
        with pytest.raises(ValueError, match=rf"^a name must have 1 to 64 bytes but has {len(name)}$"):
            connecting(name)

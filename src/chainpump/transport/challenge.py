"""The challenge at the start of a link: both sides prove that they know the key of the run, which is never sent.

    connecting side                        listening side
    CHALLENGE  ─────────────────────────►                       version, nonce, name
               ◄─────────────────────────  CHALLENGE
    PROOF      ─────────────────────────►                       HMAC-SHA256 of all of that, and of the side
               ◄─────────────────────────  PROOF

The listening side answers nothing to a stranger but its challenge, and proves itself last. The two proofs of a link
differ by their sides, and the proofs of two links by their nonces. So no message of one link is of use on another one.
All agents of a run share its key: a name is proven to belong to the run, not to a host. The link is not encrypted.

For the agents and the switchboard. It has no clock: the owner closes a link whose challenge takes too long.
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Container
from enum import Enum

from .link import Kind, LinkError, Message

__all__ = ["CHALLENGE_BYTES", "KEY_BYTES", "NONCE_BYTES", "VERSION", "Challenge"]

# Of the messages between hosts. All hosts of a run must have the same one.
VERSION = 1
KEY_BYTES = NONCE_BYTES = PROOF_BYTES = 32
# The most bytes of a name.
NAME_BYTES = 64
# Bytes: the limit of a LinkReader until the peer has proven the key.
CHALLENGE_BYTES = NONCE_BYTES + NAME_BYTES


class _Side(Enum):
    CONNECTING = b"connecting"
    LISTENING = b"listening"


class Challenge:
    """One side of a challenge: messages in, messages out. Use a new one for each connection.

    key: of the run, random, at least 32 bytes. own: the name of this process; no two processes that have links have the
    same one. nonce: 32 random bytes that were never used before.
    """

    def __init__(self, key: bytes, own: bytes, nonce: bytes, *, connects: bool) -> None:
        if len(key) < KEY_BYTES:
            raise ValueError(f"the key must have at least {KEY_BYTES} bytes but has {len(key)}")
        if len(nonce) != NONCE_BYTES:
            raise ValueError(f"the nonce must have {NONCE_BYTES} bytes but has {len(nonce)}")
        self._key = key
        if not 0 < len(own) <= NAME_BYTES:
            raise ValueError(f"a name must have 1 to {NAME_BYTES} bytes but has {len(own)}")
        self._own = own
        self._greeting = nonce + own
        self._side, self._other_side = _Side.CONNECTING, _Side.LISTENING
        if not connects:
            self._side, self._other_side = self._other_side, self._side
        # The kind of the next message. None if none is accepted any more.
        self._expected: Kind | None = Kind.CHALLENGE
        self._claimed: bytes | None = None
        self._is_proven = False
        # What both proofs cover: the version and the challenges of both sides.
        self._covered = b""

    @property
    def peer(self) -> bytes | None:
        """Who the peer is. None until it has proven the key."""
        return self._claimed if self._is_proven else None

    def begin(self) -> tuple[Message, ...]:
        """The messages to send first."""
        return (self._challenge(),) if self._side is _Side.CONNECTING else ()

    def receive(self, message: Message) -> tuple[Message, ...]:
        """The messages to send after this one of the peer. Raises LinkError if the peer is refused.

        Until `peer` is known every message of the connection goes here, and none afterwards.
        """
        expected, self._expected = self._expected, None
        if message.kind != expected:
            awaited = "nothing more" if expected is None else expected.name
            raise LinkError(f"sent {message.kind.name}, where its challenge expects {awaited}")
        return self._receive_challenge(message) if expected is Kind.CHALLENGE else self._receive_proof(message)

    def end(self) -> None:
        """The peer has closed the connection. Raises LinkError if the challenge was not over."""
        if not self._is_proven:
            raise LinkError(
                "closed the connection before it had proven the key of the run.\n"
                "  It may belong to another run or have another version of chainpump; its own log says why."
            )

    def _receive_challenge(self, message: Message) -> tuple[Message, ...]:
        if message.first != VERSION:
            raise LinkError(
                f"speaks version {message.first} of the protocol, and this host version {VERSION}.\n"
                "  Install the same version of chainpump on all hosts."
            )
        greeting = _only_part(message, range(NONCE_BYTES + 1, NONCE_BYTES + NAME_BYTES + 1), first=VERSION)
        self._claimed = greeting[NONCE_BYTES:]
        # Whoever lets this process answer its own challenge can only do so under its own name.
        if self._claimed == self._own:
            raise LinkError(f"claims the name of this process, {self._own!r}: it may reflect messages")
        both = (self._greeting, greeting) if self._side is _Side.CONNECTING else (greeting, self._greeting)
        self._covered = struct.pack("<QQQ", VERSION, *map(len, both)) + b"".join(both)
        self._expected = Kind.PROOF
        return (self._proof() if self._side is _Side.CONNECTING else self._challenge(),)

    def _receive_proof(self, message: Message) -> tuple[Message, ...]:
        if not hmac.compare_digest(_only_part(message, [PROOF_BYTES]), self._digest(self._other_side)):
            raise LinkError("does not know the key of this run.\n  It may belong to another run, or be an attacker.")
        self._is_proven = True
        return (self._proof(),) if self._side is _Side.LISTENING else ()

    def _challenge(self) -> Message:
        return Message(Kind.CHALLENGE, VERSION, 0, (self._greeting,))

    def _proof(self) -> Message:
        return Message(Kind.PROOF, 0, 0, (self._digest(self._side),))

    def _digest(self, side: _Side) -> bytes:
        return hmac.digest(self._key, b"chainpump link " + side.value + b"\0" + self._covered, "sha256")


def _only_part(message: Message, allowed: Container[int], first: int = 0) -> bytes:
    """The part of a message that has one of an allowed size, and these numbers."""
    kind, *numbers, parts = message
    sizes = [len(part) for part in parts]
    if numbers != [first, 0] or len(sizes) != 1 or sizes[0] not in allowed:
        raise LinkError(f"sent {kind.name} with the numbers {numbers} and parts of {sizes} bytes, which it never has")
    return bytes(parts[0])

"""Whatever messages are sent, in whatever pieces they arrive, they come back; and no other bytes do harm."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from chainpump.transport.challenge import CHALLENGE_BYTES, Challenge
from chainpump.transport.link import MESSAGE_BYTES, Kind, LinkError, LinkReader, LinkWriter, Message

NUMBERS = st.integers(0, 2**64 - 1)
# As many bytes as are joined, received ahead, or neither.
SIZES = st.one_of(st.integers(0, 20), st.integers(2000, 2100), st.integers(3900, 4300), st.integers(0, 20_000))
PARTS = st.lists(st.builds(lambda size, byte: bytes([byte]) * size, SIZES, st.integers(0, 255)), max_size=5)
MESSAGES = st.lists(st.builds(Message, st.sampled_from(Kind), NUMBERS, NUMBERS, PARTS.map(tuple)), max_size=6)


def moved(writer: LinkWriter, reader: LinkReader, random: Random) -> list[Message]:
    """The messages that arrive if each call sends or receives as few bytes as it may."""
    found, stream = [], bytearray()
    while stream or writer.buffers():
        if writer.buffers() and random.random() < 0.5:
            data = b"".join(writer.buffers())
            count = random.choice([1, 24, len(data) // 2, len(data)])
            stream += data[:count]
            writer.sent(min(count, len(data)))
        buffer = reader.buffer()
        count = min(len(stream), random.choice([1, 8, 500, len(buffer)]), len(buffer))
        if count:
            buffer[:count] = stream[:count]
            del stream[:count]
            reader.received(count)
        while (message := reader.next()) is not None:
            found.append(message)
    return found


@given(MESSAGES, st.integers(0, 2**32).map(Random))
def test_messages_arrive_as_they_were_sent_in_whatever_pieces(messages: Sequence[Message], random: Random) -> None:
    writer, reader = LinkWriter(), LinkReader(MESSAGE_BYTES)
    for message in messages:
        writer.write(message)
    assert moved(writer, reader, random) == messages
    reader.end()


AGENT, SWITCHBOARD = b"agent 1", b"switchboard"


def sides() -> tuple[Challenge, Challenge]:
    key = b"k" * 32
    return Challenge(key, AGENT, b"c" * 32, connects=True), Challenge(key, SWITCHBOARD, b"l" * 32, connects=False)


def received(side: Challenge, data: bytes) -> LinkWriter:
    """What a side answers to these bytes of a new connection. Raises LinkError if it refuses them."""
    reader, writer = LinkReader(CHALLENGE_BYTES), LinkWriter()
    while data:
        buffer = reader.buffer()
        count = min(len(buffer), len(data))
        buffer[:count], data = data[:count], data[count:]
        reader.received(count)
        while (message := reader.next()) is not None:
            for answer in side.receive(message):
                writer.write(answer)
    return writer


@given(st.binary(max_size=300), st.booleans())
def test_random_bytes_are_refused_and_prove_nothing(data: bytes, has_magic: bool) -> None:
    for side in sides():
        try:
            received(side, b"cpln" * has_magic + data)
        except LinkError:
            pass
        assert side.peer is None


@given(st.data())
def test_one_changed_bit_on_either_way_proves_nothing(data: st.DataObject) -> None:
    """The side that receives it refuses it, or waits for more; it never takes it for a proof."""
    one, other = sides()
    number = data.draw(st.integers(0, 3), "message")
    to, back = other, one
    messages = list(one.begin())
    for step in range(4):
        writer = LinkWriter()
        for message in messages:
            writer.write(message)
        stream = bytearray(b"".join(writer.buffers()))
        if step == number:
            bit = data.draw(st.integers(0, 8 * len(stream) - 1), "bit")
            stream[bit // 8] ^= 1 << bit % 8
        reader, messages = LinkReader(CHALLENGE_BYTES), []
        reader.buffer()[: len(stream)] = stream
        reader.received(len(stream))
        try:
            while (arrived := reader.next()) is not None:
                messages += to.receive(arrived)
        except LinkError:
            break
        to, back = back, to
    # The last message only concerns the connecting side: the listening one has its proof by then.
    assert one.peer is None
    assert other.peer is None or number == 3

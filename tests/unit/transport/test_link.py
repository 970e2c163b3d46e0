"""Messages over a stream of bytes: what is copied, what is refused, and when."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from chainpump.transport.link import HEADER, MAGIC, Kind, LinkError, LinkReader, LinkWriter, Message, encode, on_heap


def feed(reader: LinkReader, data: bytes) -> list[Message]:
    """Receive these bytes, and return the messages that are complete."""
    found = []
    while data:
        buffer = reader.buffer()
        count = min(len(buffer), len(data))
        buffer[:count] = data[:count]
        data = data[count:]
        reader.received(count)
        while (message := reader.next()) is not None:
            found.append(message)
    return found


def joined(*messages: Message) -> bytes:
    return b"".join(bytes(buffer) for message in messages for buffer in encode(message))


def test_a_large_part_is_sent_from_its_own_memory() -> None:
    large = bytearray(1 << 20)
    buffers = encode(Message(Kind.FRAME, 1, 2, (b"packet", large, b"", b"behind")))
    assert [len(buffer) for buffer in buffers] == [24 + 4 * 8 + len(b"packet"), 1 << 20, len(b"behind")]
    assert buffers[1] is large


def test_a_large_part_is_received_into_its_own_memory() -> None:
    memory = bytearray(16 << 20)
    data = joined(Message(Kind.FRAME, parts=(bytes(range(256)) * (16 << 12),)))
    reader = LinkReader(1 << 30, lambda *_: [memory])
    first = len(reader.buffer())
    assert feed(reader, data[:first]) == []
    # The rest of the part, and nothing behind it.
    assert (reader.buffer().obj, len(reader.buffer())) == (memory, len(data) - first)
    assert first < 5000
    (message,) = feed(reader, data[first:])
    assert message.parts[0] == data[32:]
    assert isinstance(message.parts[0], memoryview)
    assert message.parts[0].obj is memory


def test_no_message_is_looked_at_before_it_is_asked_for() -> None:
    """So the limit may be raised when the challenge is over, even if the next message came with its last one."""
    data = joined(Message(Kind.PROOF, parts=(b"x" * 8,)), Message(Kind.FRAME, parts=(b"y" * 9,)))
    reader = LinkReader(limit=8)
    reader.buffer()[: len(data)] = data
    reader.received(len(data))
    assert reader.next() == (Kind.PROOF, 0, 0, (b"x" * 8,))
    reader.limit = 9
    assert reader.next() == (Kind.FRAME, 0, 0, (b"y" * 9,))
    assert reader.next() is None


def test_a_message_above_the_limit_is_refused_before_memory_is_allocated_for_it() -> None:
    asked = []

    def allocate(kind: Kind, first: int, second: int, sizes: Sequence[int]) -> Sequence[bytearray]:
        asked.append(kind)
        return on_heap(kind, first, second, sizes)

    reader = LinkReader(100, allocate)
    with pytest.raises(LinkError, match=r"^sent FRAME of 101 bytes; at most 100 are allowed here$"):
        feed(reader, joined(Message(Kind.FRAME, parts=(bytes(50), bytes(51)))))
    assert asked == []


@pytest.mark.parametrize(
    "data,message",
    [
        (b"GE", r"does not speak the protocol of chainpump: its message begins with b'GE'"),
        (b"GET / HTTP/1.1\r\nHost: x", r"does not speak .* begins with b'GET / HTTP/1.1\\r\\n'"),
        (HEADER.pack(MAGIC, 99, 0, 0, 0), r"sent a message of an unknown kind, 99"),
        (HEADER.pack(MAGIC, Kind.FRAME, 65, 0, 0), r"sent a message of 65 parts; at most 64 are allowed"),
    ],
    ids=["too short to be a header", "another protocol", "unknown kind", "too many parts"],
)
def test_what_is_no_message_is_refused_by_what_it_is(data: bytes, message: str) -> None:
    with pytest.raises(LinkError, match=f"^{message}$"):
        feed(LinkReader(limit=100), data)


def test_the_end_of_a_connection_within_a_message_is_no_end() -> None:
    data = joined(Message(Kind.FRAME, parts=(b"packet",)))
    for count in range(1, len(data)):
        reader = LinkReader(limit=100)
        assert feed(reader, data[:count]) == []
        with pytest.raises(LinkError, match=r"^closed the connection within a message$"):
            reader.end()
    for whole in (b"", data):
        reader = LinkReader(limit=100)
        feed(reader, whole)
        reader.end()


def test_too_many_parts_are_not_sent() -> None:
    with pytest.raises(ValueError, match=r"^a message must have at most 64 parts but got: 65$"):
        encode(Message(Kind.FRAME, parts=(b"",) * 65))


def test_a_writer_knows_how_many_bytes_wait() -> None:
    writer = LinkWriter()
    writer.write(Message(Kind.HEARTBEAT))
    writer.write(Message(Kind.FRAME, parts=(bytes(5000),)))
    assert writer.nbytes == 24 + 32 + 5000
    writer.sent(24 + 32 + 1000)
    assert (writer.nbytes, list(map(len, writer.buffers()))) == (4000, [4000])
    writer.sent(4000)
    assert (writer.nbytes, writer.buffers()) == (0, [])

"""Messages in chunks: whole, whoever else writes, and however a writer ends."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator

import pytest

from chainpump.ipc.descriptors import Descriptor, pipe
from chainpump.logs.message_pipe import ROOM, ChunkReader, ChunkWriter


@pytest.fixture
def ends() -> Iterator[tuple[Descriptor, Descriptor]]:
    reading, writing = pipe()
    yield reading, writing
    reading.close()
    writing.close()


def sent(ends: tuple[Descriptor, Descriptor], *messages: bytes) -> bytes:
    """What is in the pipe then."""
    writer = ChunkWriter(ends[1])
    for message in messages:
        writer.send(message)
    return os.read(ends[0].fileno(), 1 << 16)


@pytest.mark.parametrize("size", [1, ROOM - 1, ROOM, ROOM + 1, 4 * ROOM])
def test_messages_of_any_length_arrive(ends: tuple[Descriptor, Descriptor], size: int) -> None:
    messages = [bytes([number]) * size for number in range(1, 4)]
    assert list(ChunkReader().feed(sent(ends, *messages))) == messages


def test_messages_arrive_as_soon_as_their_last_byte_is_there(ends: tuple[Descriptor, Descriptor]) -> None:
    data = sent(ends, b"a" * ROOM + b"a", b"b")
    reader = ChunkReader()
    found = [list(reader.feed(data[place : place + 1])) for place in range(len(data))]
    assert [messages for messages in found if messages] == [[b"a" * ROOM + b"a"], [b"b"]]
    assert found[-1] == [b"b"]


def test_a_message_that_breaks_in_on_another_leaves_both_whole(ends: tuple[Descriptor, Descriptor]) -> None:
    data = sent(ends, b"a" * 2 * ROOM, b"b")
    chunk = select.PIPE_BUF
    assert list(ChunkReader().feed(data[:chunk] + data[2 * chunk :] + data[chunk : 2 * chunk])) == [
        b"b",
        b"a" * 2 * ROOM,
    ]


def test_a_message_that_was_broken_off_stays_away(ends: tuple[Descriptor, Descriptor]) -> None:
    data = sent(ends, b"a" * 2 * ROOM, b"b")
    assert list(ChunkReader().feed(data[: select.PIPE_BUF] + data[2 * select.PIPE_BUF :])) == [b"b"]


def test_who_sends_where_nobody_reads_is_told(ends: tuple[Descriptor, Descriptor]) -> None:
    ends[0].close()
    with pytest.raises(BrokenPipeError):
        ChunkWriter(ends[1]).send(b"a")

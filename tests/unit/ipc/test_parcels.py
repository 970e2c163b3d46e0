"""A parcel brings a value and its descriptors to another process, whole; its sender never waits."""

import os
import socket
from collections.abc import Iterator

import pytest

from chainpump.ipc import parcels
from chainpump.ipc.descriptors import Descriptor, pipe


@pytest.fixture
def ends() -> Iterator[tuple[Descriptor, Descriptor]]:
    made = parcels.parcel_socket()
    yield made
    for end in made:
        end.close()


def test_descriptor_arrives_as_a_duplicate_that_no_program_inherits(ends):
    reading, writing = pipe()
    parcels.send(ends[0], {"end": writing, "again": writing, "text": "x"})
    writing.close()
    found = parcels.receive(ends[1])
    assert found["end"] is found["again"]
    assert not os.get_inheritable(found["end"].fileno())
    os.write(found["end"].fileno(), b"here")
    found["end"].close()
    assert os.read(reading.fileno(), 10) == b"here"
    assert os.read(reading.fileno(), 10) == b""
    reading.close()


@pytest.mark.parametrize("count", [0, 1, parcels.PER_MESSAGE, parcels.PER_MESSAGE + 1, 300])
def test_any_number_of_descriptors_arrives_in_order(ends, count):
    reading, writing = pipe()
    sent = [writing.dup() for _ in range(count)]
    parcels.send(ends[0], sent)
    parcels.send(ends[0], "next")
    received = parcels.receive(ends[1])
    assert len(received) == count
    assert parcels.receive(ends[1]) == "next"
    for end in (*sent, *received, reading, writing):
        end.close()


def test_object_that_the_receiver_has_is_not_sent(ends):
    here, there = object(), object()
    parcels.send(ends[0], [here, 1], known=[here])
    assert parcels.receive(ends[1], known=[there]) == [there, 1]


def test_parcel_that_is_too_large_raises_and_sends_nothing(ends):
    with pytest.raises(OSError, match="at most 32768 bytes"):
        parcels.send(ends[0], bytes(parcels.MOST_BYTES))
    parcels.send(ends[0], bytes(parcels.MOST_BYTES - 100))
    assert len(parcels.receive(ends[1])) == parcels.MOST_BYTES - 100


def test_sender_does_not_wait_for_a_receiver_that_reads_nothing(ends):
    def send_many() -> None:
        for _ in range(100):
            parcels.send(ends[0], bytes(parcels.MOST_BYTES - 100))

    with pytest.raises(OSError, match=r"temporarily unavailable|has not read"):
        send_many()


def test_end_of_the_other_side_raises(ends):
    ends[0].close()
    with pytest.raises(EOFError):
        parcels.receive(ends[1])


def test_sending_to_a_receiver_that_has_ended_raises(ends):
    ends[1].close()
    with pytest.raises(BrokenPipeError):
        parcels.send(ends[0], 1)


def test_default_timeout_of_the_program_does_not_count(ends):
    socket.setdefaulttimeout(0.001)
    try:
        parcels.send(ends[0], 1)
        assert parcels.receive(ends[1]) == 1
        assert ends[1].socket().gettimeout() is None
    finally:
        socket.setdefaulttimeout(None)

"""Parcels: values with descriptors, sent to a running process over a UNIX socket.

    head (length of the pickle, number of descriptors), pickle, and the first descriptors   one message
    one byte, and more descriptors                                                          further messages

The sender never waits. So a parcel has to fit into the buffer of the socket, and the receiver has read all before it.
"""

from __future__ import annotations

import array
import copyreg
import io
import os
import pickle
import socket
import struct
from collections.abc import Callable, Sequence
from typing import Any

from .descriptors import Descriptor, opened_pair

__all__ = ["parcel_socket", "receive", "send"]

HEAD = struct.Struct("<II")
# The system passes at most 253 descriptors with one message.
PER_MESSAGE = 128
# Bytes of a pickle.
MOST_BYTES = 1 << 15
# Bytes. The usual buffer is smaller than a parcel on some systems.
BUFFER_BYTES = 1 << 17


def parcel_socket() -> tuple[Descriptor, Descriptor]:
    """Make a connected pair of sockets: the sending end and the receiving end. One byte each may also go back."""
    return opened_pair(_connected)


def _connected() -> tuple[int, int]:
    sending, receiving = socket.socketpair()
    sending.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
    receiving.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    return sending.detach(), receiving.detach()


def send(to: Descriptor, value: object, known: Sequence[object] = ()) -> None:
    """Send a value with all its descriptors, which this process keeps. It never waits.

    known: objects that the receiver has and that the parcel does not contain.
    Raises OSError if the receiver has ended or the parcel is too large, and the errors of pickling. After an OSError
    the receiver may have got a part of the parcel.
    """
    data, passed = _pickled(value, known)
    if len(data) > MOST_BYTES:
        raise OSError(f"a parcel has at most {MOST_BYTES} bytes but this one has {len(data)}")
    end = to.socket()
    end.setblocking(False)
    message = HEAD.pack(len(data), len(passed)) + data
    for start in range(0, max(1, len(passed)), PER_MESSAGE):
        numbers = array.array("i", passed[start : start + PER_MESSAGE])
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, numbers)] if numbers else []
        if end.sendmsg([message], rights) < len(message):
            raise OSError("the receiver has not read the parcel before this one")
        message = b"!"


def receive(source: Descriptor, known: Sequence[object] = ()) -> Any:
    """Wait for the next value, whose descriptors belong to this process. Raises EOFError if the sender has ended."""
    # The program may have set a default timeout, which every new socket object has.
    source.socket().setblocking(True)
    head, numbers = _receive_rights(source, HEAD.size)
    length, count = HEAD.unpack(head + _receive_all(source, HEAD.size - len(head)))
    data = _receive_all(source, length)
    while len(numbers) < count:
        numbers += _receive_rights(source, 1)[1]
    for number in numbers:
        os.set_inheritable(number, False)
    return _Unpickler(io.BytesIO(data), [Descriptor(number) for number in numbers], known).load()


def _receive_rights(source: Descriptor, most: int) -> tuple[bytes, list[int]]:
    """Receive at least one byte, with its descriptors."""
    data, rights, _, _ = source.socket().recvmsg(most, socket.CMSG_SPACE(PER_MESSAGE * array.array("i").itemsize))
    if not data:
        raise EOFError
    return data, [number for _, _, found in rights for number in array.array("i", found)]


def _receive_all(source: Descriptor, count: int) -> bytes:
    found = b""
    while len(found) < count:
        more = source.socket().recv(count - len(found))
        if not more:
            raise EOFError
        found += more
    return found


def _pickled(value: object, known: Sequence[object]) -> tuple[bytes, Sequence[int]]:
    """Pickle a value, with positions in place of descriptors and of known objects. Returns the descriptors, too."""
    passed: list[int] = []
    positions = {id(each): position for position, each in enumerate(known)}

    def reduce_descriptor(descriptor: Descriptor) -> tuple[Callable[[int], Any], tuple[int]]:
        passed.append(descriptor.fileno())
        return _passed, (len(passed) - 1,)

    def reduce_known(obj: Any) -> Any:
        position = positions.get(id(obj))
        return obj.__reduce_ex__(pickle.HIGHEST_PROTOCOL) if position is None else (_known, (position,))

    file = io.BytesIO()
    pickler = pickle.Pickler(file, pickle.HIGHEST_PROTOCOL)
    # Objects of other types cost nothing more.
    kinds = {type(each): reduce_known for each in known}
    pickler.dispatch_table = {**copyreg.dispatch_table, **kinds, Descriptor: reduce_descriptor}
    pickler.dump(value)
    return file.getvalue(), passed


def _passed(position: int) -> Any:
    """Stands in a pickle for a descriptor. The unpickler calls another function instead."""
    raise AssertionError(position)


def _known(position: int) -> Any:
    """Stands in a pickle for a known object."""
    raise AssertionError(position)


class _Unpickler(pickle.Unpickler):
    """Puts descriptors and known objects in their places."""

    def __init__(self, file: io.BytesIO, passed: Sequence[Descriptor], known: Sequence[object]) -> None:
        super().__init__(file)
        self._own = {_passed.__name__: passed.__getitem__, _known.__name__: known.__getitem__}

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """Return the global object that a pickle names."""
        return self._own[global_name] if module_name == __name__ else super().find_class(module_name, global_name)

"""An owned descriptor is closed once, whatever breaks in."""

from __future__ import annotations

import os
import socket
import threading

import pytest

from chainpump.ipc import descriptors
from chainpump.ipc.descriptors import Descriptor


def test_descriptor_is_closed_once_although_ctrl_c_has_broken_in_as_it_became_a_socket(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken_into_behind(fileno: int) -> None:
        # As it is when nobody has kept it.
        socket.socket(fileno=fileno).close()
        raise KeyboardInterrupt

    one, other = socket.socketpair()
    owned = Descriptor(one.detach())
    number = owned.fileno()
    monkeypatch.setattr(descriptors, "SocketType", broken_into_behind)
    with pytest.raises(KeyboardInterrupt):
        owned.socket()
    assert owned.closed
    # Somebody else's by now.
    taken = os.dup2(other.fileno(), number)
    owned.close()
    os.fstat(taken)
    os.close(taken)
    other.close()


def test_two_threads_get_the_same_socket_at_its_first_use(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = socket.socketpair()
    owned, found = Descriptor(one.detach()), list[object]()
    second = threading.Thread(target=lambda: found.append(owned.socket()))

    def made_while_another_asks(fileno: int) -> socket.socket:
        monkeypatch.undo()
        second.start()
        # It waits for this thread. Without that it ends at once, with another socket or an error.
        second.join(timeout=0.3)
        return socket.socket(fileno=fileno)

    monkeypatch.setattr(descriptors, "SocketType", made_while_another_asks)
    first = owned.socket()
    second.join()
    assert found == [first]
    owned.close()
    other.close()

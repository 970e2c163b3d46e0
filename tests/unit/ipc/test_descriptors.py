"""An owned descriptor is closed once, whatever breaks in."""

from __future__ import annotations

import os
import socket

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

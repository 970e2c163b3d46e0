"""Who finds the ports of a run without its key is refused, and the run goes on."""

from __future__ import annotations

import os
import socket
from functools import partial
from pathlib import Path

import pytest

from chainpump import Hosts, Pipeline
from chainpump.cluster.links import connect
from chainpump.transport.link import LinkError
from cluster import work
from cluster.programs import agents, switchboard
from support.gate import Gate

TWO = Hosts(["localhost", "localhost"], workers=2)
# In the column `st` of `/proc/net/tcp`.
LISTENING = "0A"


def ports(pid: int) -> list[int]:
    """Where a process waits for connections."""
    own = {str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()}
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    listening = [row for row in rows if row[3] == LISTENING and f"socket:[{row[9]}]" in own]
    return [int(row[1].partition(":")[2], 16) for row in listening]


def scanned(port: int) -> None:
    socket.create_connection(("127.0.0.1", port)).close()


def addressed_in_another_protocol(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as stranger:
        stranger.sendall(b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n")
        # The end of file, or a reset.
        try:
            while stranger.recv(4096):
                pass
        except ConnectionError:
            pass


def addressed_with_another_key(port: int) -> None:
    for name in (b"control 1", b"data 0", b"data 1"):
        with pytest.raises((LinkError, OSError)):
            connect(("127.0.0.1", port), os.urandom(32), name)


def test_strangers_at_every_port_of_a_run_are_refused_and_change_nothing(gate: Gate) -> None:
    with Pipeline(range(2_000)).map(partial(work.held, gate, 30), on=TWO).open() as run:
        gate.wait_held()
        found = [port for pid in (switchboard(), *agents()) for port in ports(pid)]
        assert len(found) == 3
        for port in found:
            scanned(port)
            addressed_in_another_protocol(port)
            addressed_with_another_key(port)
        gate.release()
        assert list(run) == list(range(2_000))

"""The programs of a run with other machines, where these are this one: for tests and campaigns of the main process."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from support.processes import children_by_thread, parent

__all__ = ["agent_of", "agents", "family", "kill_machine", "switchboard", "workers_of"]


def agent_of(worker: int) -> int:
    """The agent of a worker, which is a child of the agent's fork server."""
    return parent(parent(worker))


def agents() -> list[int]:
    """All agents that this process has started."""
    return _running("agent_main")


def workers_of(agent: int) -> list[int]:
    """The workers of an agent that have started."""
    return [worker for server in children_by_thread(agent) for worker in children_by_thread(server)]


def kill_machine(agent: int) -> None:
    """Kill all processes of a machine at once; one of its workers may be the process that calls this.

    A process of another session sends the signals: a worker ends, with its group, as soon as its agent has ended,
    which may be before it has killed the others.
    """
    servers = children_by_thread(agent)
    # No worker starts meanwhile.
    for server in servers:
        with suppress(ProcessLookupError):
            os.kill(server, signal.SIGSTOP)
    # Some may have ended meanwhile.
    every = ["sh", "-c", 'kill -KILL "$@" 2>/dev/null', "sh", *map(str, [agent, *servers, *workers_of(agent)])]
    subprocess.run(every, check=False, start_new_session=True)


def family(agent: int) -> list[int]:
    """An agent, its fork server and its workers: all of a machine."""
    return [agent, *children_by_thread(agent), *workers_of(agent)]


def switchboard() -> int:
    """The only one that this process has started."""
    (found,) = _running("switchboard_main")
    return found


def _running(name: str) -> list[int]:
    """The children of this process that run the main function of this module."""
    found = []
    for pid in sorted(children_by_thread(os.getpid())):
        # It may have ended meanwhile.
        with suppress(FileNotFoundError, ProcessLookupError):
            if f"cluster.{name}".encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found

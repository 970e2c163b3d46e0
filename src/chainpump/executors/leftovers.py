"""The processes that a worker process started and left behind when it ended: the processes of its group.

A worker leads its own session, and so its own process group. A process that leaves the group does not count as the
worker's any more. Daemons leave it, and so do programs that are started with `start_new_session=True`.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Protocol

from ..ipc.descriptors import Descriptor, opened, pipe
from ..ipc.system import is_portable
from ..messages.printable import printable

__all__ = ["Leftovers", "leftovers_of"]

# The most characters of a command line.
COMMAND_CHARS = 200
# The time limit of `ps`, in seconds.
PS_TIMEOUT = 5.0


class Leftovers(Protocol):
    """The processes of a group whose leader has ended. Only the supervisor's thread uses it."""

    @property
    def waitables(self) -> Sequence[int]:
        """Descriptors that become readable when `refresh` has something to do. None if no process is left."""
        ...

    @property
    def names(self) -> Sequence[str]:
        """The process id and the command of each process."""
        ...

    def refresh(self) -> None:
        """Find out which processes are left."""
        ...

    def send(self, number: signal.Signals) -> None:
        """Send a signal to all processes."""
        ...

    def close(self) -> None:
        """Release the descriptors."""
        ...


class _NoLeftovers:
    """No process is left. This is the usual case."""

    waitables: Sequence[int] = ()
    names: Sequence[str] = ()

    def refresh(self) -> None:
        """There is nothing to find."""

    def send(self, number: signal.Signals) -> None:
        """There is no process to send it to."""

    def close(self) -> None:
        """There is nothing to release."""


class _Member(NamedTuple):
    name: str
    pidfd: Descriptor


class _LeftoversByPidfd:
    """Leftovers on Linux. Each has a pidfd, because another process may get its process id after it has ended."""

    def __init__(self, leader: int) -> None:
        self._leader = leader
        self._members: Sequence[_Member] = ()
        self.refresh()

    @property
    def waitables(self) -> Sequence[int]:
        return [member.pidfd.fileno() for member in self._members]

    @property
    def names(self) -> Sequence[str]:
        return [member.name for member in self._members]

    def refresh(self) -> None:
        self.close()
        self._members = _members(self._leader)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the group.

        The group id is safe to use while the group has a member, so members are read first.
        """
        self.refresh()
        if self._members:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._leader, number)

    def close(self) -> None:
        for member in self._members:
            member.pidfd.close()
        self._members = ()


def _members(leader: int) -> Sequence[_Member]:
    """The living members of the group that can receive signals. Empty if another process has the leader's id now."""
    found = []
    for pid in (int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()):
        if _group_of(pid) != leader:
            continue
        # The process has ended, or belongs to another user.
        with suppress(OSError):
            pidfd = opened(os.pidfd_open, pid)
            signal.pidfd_send_signal(pidfd.fileno(), 0)
            # The process is still in the group. So the pidfd refers to this process, and not to a later one with the
            # same id.
            if _group_of(pid) == leader:
                found.append(_Member(f"pid {pid} ({_command(pid)})", pidfd))
            if pid == leader:
                return ()
    return found


def _group_of(pid: int) -> int:
    """The group of a process in the session of its group leader.

    It is 0 if the process has ended or has left the session.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return 0
    # The format is that of proc(5). The name of the command may contain any character.
    state, _, group, session = stat[stat.rindex(b")") + 2 :].split()[:4]
    return int(group) if group == session and state not in b"ZX" else 0


def _command(pid: int) -> str:
    with suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        # `repr` escapes control characters, which could confuse a terminal.
        return repr(" ".join(words).strip()[:COMMAND_CHARS])[1:-1]
    return "?"


class _LeftoversByPs:
    """Leftovers on systems without `/proc`: each refresh runs `ps`. No descriptor shows when a process ends."""

    def __init__(self, leader: int) -> None:
        self._leader = leader
        self._reader, self._writer = pipe()
        self.names: Sequence[str] = ()
        self.refresh()

    @property
    def waitables(self) -> Sequence[int]:
        return () if self._reader.closed else (self._reader.fileno(),)

    def refresh(self) -> None:
        self.names = _processes_by_ps(self._leader)
        if not self.names:
            self.close()

    def send(self, number: signal.Signals) -> None:
        self.refresh()
        if self.names:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._leader, number)
        if number == signal.SIGKILL:
            self.close()

    def close(self) -> None:
        self._reader.close()
        self._writer.close()


def _processes_by_ps(leader: int) -> Sequence[str]:
    """The living processes of a group, from ps(1)."""
    # The import is late because a worker usually leaves no process behind.
    import subprocess

    command = ["ps", "-A", "-o", "pgid=", "-o", "stat=", "-o", "pid=", "-o", "args="]
    try:
        lines = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=PS_TIMEOUT, check=True
        )
    except (OSError, subprocess.SubprocessError):
        # Without `ps` it is known only that the group has a member.
        return (f"processes of the group {leader}",)
    found = [line.split(maxsplit=3) for line in lines.stdout.splitlines()]
    return [
        f"pid {pid} ({printable(args[:COMMAND_CHARS])})"
        for group, state, pid, args in (each for each in found if len(each) == 4)
        if group == str(leader) and state[:1] != "Z"
    ]


def leftovers_of(leader: int) -> Leftovers:
    """The processes that are left of the group of a process that has ended and was reaped."""
    try:
        os.killpg(leader, 0)
    except (ProcessLookupError, PermissionError):
        return _NoLeftovers()
    if is_portable():
        return _LeftoversByPs(leader)
    return _LeftoversByPidfd(leader)

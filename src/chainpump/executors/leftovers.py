"""What a worker process has started, and left behind when it ended: the processes of its group.

A worker leads a session, and so a group, of its own. A process that leaves the group, as daemons do and programs that
are started with `start_new_session=True`, is not the worker's any more.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Protocol

from ..ipc.descriptors import Descriptor, pipe
from ..ipc.system import is_portable
from ..messages.printable import printable

__all__ = ["Leftovers", "leftovers_of"]

# Characters of a command line, at most.
COMMAND_CHARS = 200
# Seconds for `ps`.
PS_TIMEOUT = 5.0


class Leftovers(Protocol):
    """Processes of a group whose leader has ended. Only the supervisor's thread uses it."""

    @property
    def waitables(self) -> Sequence[int]:
        """Descriptors that become readable when `look` has something to see; none once no process is left."""
        ...

    @property
    def names(self) -> Sequence[str]:
        """Process id and command of each."""
        ...

    def refresh(self) -> None:
        """See which of them are left."""
        ...

    def send(self, number: signal.Signals) -> None:
        """Send all of them a signal."""
        ...

    def close(self) -> None:
        """Release what this holds."""
        ...


class _NoLeftovers:
    """Nobody is left: the rule."""

    waitables: Sequence[int] = ()
    names: Sequence[str] = ()

    def refresh(self) -> None:
        """Nothing."""

    def send(self, number: signal.Signals) -> None:
        """To nobody."""

    def close(self) -> None:
        """Nothing."""


class _Member(NamedTuple):
    name: str
    pidfd: Descriptor


class _LeftoversByPidfd:
    """On Linux. Each is known by a descriptor as well, since another process may get its number once it has ended."""

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
        """A group keeps its number while it has a member: so one is looked for right before that is used."""
        self.refresh()
        if self._members:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._leader, number)

    def close(self) -> None:
        for member in self._members:
            member.pidfd.close()
        self._members = ()


def _members(leader: int) -> Sequence[_Member]:
    """Living processes of its group that may be sent signals; none if its number is another process's by now."""
    found = []
    for pid in (int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()):
        if _group_of(pid) != leader:
            continue
        # It has ended, or belongs to another user.
        with suppress(OSError):
            pidfd = Descriptor(os.pidfd_open(pid))
            signal.pidfd_send_signal(pidfd.fileno(), 0)
            # Still: then the descriptor is of this process.
            if _group_of(pid) == leader:
                found.append(_Member(f"pid {pid} ({_command(pid)})", pidfd))
            if pid == leader:
                return ()
    return found


def _group_of(pid: int) -> int:
    """The group of a process, if it leads it or has not left the session of who does; 0 if it has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return 0
    # proc(5); its name may hold anything.
    state, _, group, session = stat[stat.rindex(b")") + 2 :].split()[:4]
    return int(group) if group == session and state not in b"ZX" else 0


def _command(pid: int) -> str:
    with suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        # Without control characters, for terminals.
        return repr(" ".join(words).strip()[:COMMAND_CHARS])[1:-1]
    return "?"


class _LeftoversByPs:
    """Where there is no `/proc`: `ps` lists them when it is asked, and nothing wakes as they end."""

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
    """Living processes of a group, by ps(1)."""
    # Nobody has left anything, as a rule.
    import subprocess

    command = ["ps", "-A", "-o", "pgid=", "-o", "stat=", "-o", "pid=", "-o", "args="]
    try:
        lines = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=PS_TIMEOUT, check=True
        )
    except (OSError, subprocess.SubprocessError):
        # It is not there: whether the group has a member is all that is known.
        return (f"processes of the group {leader}",)
    found = [line.split(maxsplit=3) for line in lines.stdout.splitlines()]
    return [
        f"pid {pid} ({printable(args[:COMMAND_CHARS])})"
        for group, state, pid, args in (each for each in found if len(each) == 4)
        if group == str(leader) and state[:1] != "Z"
    ]


def leftovers_of(leader: int) -> Leftovers:
    """What is left of the group of a process that has ended, and was reaped."""
    try:
        os.killpg(leader, 0)
    except (ProcessLookupError, PermissionError):
        return _NoLeftovers()
    if is_portable():
        return _LeftoversByPs(leader)
    return _LeftoversByPidfd(leader)

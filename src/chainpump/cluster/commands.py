"""The launcher by commands: one for each machine, which starts the agent there."""

from __future__ import annotations

import shlex
import socket
from collections.abc import Collection, Sequence
from typing import Protocol

from .agent_control import Invitation
from .launched_program import LaunchedProgram, launched
from .launcher import LOCAL
from .started_program import python

__all__ = ["CommandLauncher", "CommandStage"]

AGENT = f"{__package__}.agent_main"


class CommandStage(Protocol):
    """The options of a stage on machines that a command reaches: see `hosts.Hosts`."""

    @property
    def hosts(self) -> Sequence[str]:
        """The names of its machines."""
        ...

    @property
    def workers(self) -> int:
        """The number of its workers."""
        ...

    @property
    def command(self) -> str:
        """How a Python starts on a machine."""
        ...

    @property
    def address(self) -> str | None:
        """The address at which the machines reach this one; None for its host name."""
        ...

    @property
    def lost_after(self) -> float:
        """Seconds of silence after which a machine counts as lost."""
        ...


class CommandLauncher:
    """See `launcher.Launcher`. Stages with equal hosts and commands share the agents, up to the number of workers."""

    # A command may have to wake a machine or a file system.
    join_within = 60.0

    def __init__(self, stages: Sequence[CommandStage]) -> None:
        self.names: list[str] = []
        self.places: list[list[int]] = []
        self._commands: list[Sequence[str]] = []
        self._addresses = [on.address for on in stages if on.address is not None]
        # The list of hosts that each machine is of, and its command.
        self._kinds: list[tuple[Sequence[str], str]] = []
        self._moved = 0
        # All machines have links to each other. The most patient stage decides.
        self.lost_after = max(on.lost_after for on in stages)
        known: dict[object, int] = {}
        for on in stages:
            places: list[int] = []
            for number in range(on.workers):
                position = number % len(on.hosts)
                key = on.hosts, on.command, position
                if key not in known:
                    known[key] = len(self.names)
                    self._add(on.hosts[position], (on.hosts, on.command))
                places.append(known[key])
            self.places.append(places)

    def _add(self, name: str, kind: tuple[Sequence[str], str]) -> None:
        self.names.append(name)
        self._kinds.append(kind)
        self._commands.append(_agent_command(name, kind[1]))

    @property
    def is_local(self) -> bool:
        """Whether all machines are this one."""
        return {*self.names} == {LOCAL}

    @property
    def address(self) -> str:
        """The address that the user has given, or the name of this machine."""
        return next(iter(self._addresses), "127.0.0.1" if self.is_local else socket.gethostname())

    def another(self, lost: int, alive: Collection[int]) -> int:
        """The surviving machines of the same hosts in turn; the same machine again if there are none."""
        names = {self.names[each] for each in alive if self._kinds[each] == self._kinds[lost]}
        others = sorted(names - {self.names[lost]}) or [self.names[lost]]
        self._add(others[self._moved % len(others)], self._kinds[lost])
        self._moved += 1
        return len(self.names) - 1

    def launch(self, machine: int, invitation: Invitation) -> LaunchedProgram:
        """Run the command of a machine."""
        name = f"the command that starts the agent of {self.names[machine]}"
        return launched(name, self._commands[machine], standard_input=invitation.line())

    def close(self) -> None:
        """There is nothing to release."""


def _agent_command(host: str, command: str) -> Sequence[str]:
    """The command that starts the agent of a machine."""
    if host == LOCAL:
        return python(AGENT)
    words = [word.replace("{host}", host) for word in shlex.split(command)]
    # Without a space or a quote, so that it does not matter whether a shell reads it.
    return [*words, "-m", AGENT]

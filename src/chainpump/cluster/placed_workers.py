"""Where the workers of a run are, as the main process sees it, and who follows a lost machine.

Machine 0 is this one. The others are those of the launcher, and one more for each lost one: its workers go on there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack

from ..engine.elsewhere import RunFacts
from ..engine.groups import Group
from ..executors.control_pipe import ControlPipe, control_pipe
from ..executors.remote import RemoteSlot
from ..ipc.descriptors import Descriptor
from ..lazy_dataclass import replace
from ..logs.records import Levels
from .launcher import Launcher
from .members import MAIN
from .messages import Place

__all__ = ["PlacedWorkers"]


class PlacedWorkers:
    """The machines of a run, and the slots of the workers that are not on this one.

    hosts: the names of the machines by number; that of this one is empty. by_group: the machine of each worker. slots:
    of the workers elsewhere, once they are made.
    """

    def __init__(self, groups: Sequence[Group], launcher: Launcher) -> None:
        self._launcher = launcher
        self.hosts = ["", *launcher.names]
        places = iter(launcher.places)
        self.by_group: list[list[int]] = [
            [1 + machine for machine in next(places)] if group.is_elsewhere else [MAIN] * group.workers
            for group in groups
        ]
        self.slots: Mapping[Place, RemoteSlot] = {}

    def named(self, groups: Sequence[Group]) -> list[Group]:
        """The groups, with the names of the machines of their workers."""
        return [
            replace(group, hosts=[self.hosts[host] for host in hosts]) if group.is_elsewhere else group
            for group, hosts in zip(groups, self.by_group, strict=True)
        ]

    @property
    def launched(self) -> range:
        """The numbers of the other machines."""
        return range(1, len(self.hosts))

    @property
    def elsewhere(self) -> list[Place]:
        """The workers on other machines."""
        return [
            (group, number)
            for group, hosts in enumerate(self.by_group)
            for number, host in enumerate(hosts)
            if host != MAIN
        ]

    def host_of(self, place: Place) -> int:
        """The number of the machine on which the next worker of a slot starts."""
        return self.by_group[place[0]][place[1]]

    def name_of(self, place: Place) -> str:
        """The name of that machine."""
        return self.hosts[self.host_of(place)]

    def of(self, host: int) -> list[Place]:
        """The workers of a machine."""
        return [place for place in self.elsewhere if self.host_of(place) == host]

    def make_slots(
        self, facts: RunFacts, inherited: ExitStack
    ) -> tuple[Mapping[Place, Descriptor], Mapping[Place, Descriptor], Levels | None]:
        """Make the slots of the workers on other machines.

        inherited: closes what the switchboard inherits.
        Returns the other ends of their control pipes, those of their log pipes, and the levels of logging.
        """
        slots: dict[Place, RemoteSlot] = {}
        # Closed with the others, if one of them cannot be made.
        self.slots = slots
        controls: dict[Place, Descriptor] = {}
        logs: dict[Place, Descriptor] = {}
        levels: Levels | None = None
        for place in self.elsewhere:
            group, number = place
            work = facts.works[group].assignments(number, 0)
            near, controls[place] = control_pipe()
            inherited.callback(controls[place].close)
            log = facts.log_pipe(work[0].who)
            logs[place], levels = log.pipe, log.levels
            inherited.callback(log.pipe.close)
            slots[place] = RemoteSlot(
                ControlPipe(near),
                work[0].who,
                self.host_of(place),
                facts.connections.board,
                [each.row for each in work],
                facts.takers[group],
                facts.note,
            )
        return controls, logs, levels

    def move(self, dead: int, reason: str, alive: Collection[int]) -> int:
        """A machine is lost, and its workers go on on another one. Returns its number.

        reason: how the loss was noticed. alive: the other machines that are not lost.
        """
        machine = self._launcher.another(dead - 1, [host - 1 for host in alive])
        name = self._launcher.names[machine]
        new = machine + 1
        assert new == len(self.hosts)
        self.hosts.append(name)
        for place in self.of(dead):
            self.by_group[place[0]][place[1]] = new
            self.slots[place].move(new, name, reason)
        return new

    def lose(self, reason: str, host: int | None) -> bool:
        """A machine is lost for good, or all of them: None. Returns whether a worker reports that."""
        for place, slot in self.slots.items():
            # What it has reported before says more.
            slot.receive()
            if host is None or self.host_of(place) == host:
                slot.lose(reason)
        return any(slot.reports_loss for slot in self.slots.values())

    def close(self) -> None:
        """Close all slots."""
        for slot in self.slots.values():
            slot.close()

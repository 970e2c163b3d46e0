"""The machines of a run: what each one has to do, and who follows a lost one. It tells nobody.

    lose(2) ──► machine 3, with all places of 2: the junctions name it instead of 2, and it gets the plan that 2 had

A number is never used again, so that whatever still comes from a lost machine can be told from what its successor says.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from ..ipc.board import Board
from ..ipc.board_copies import Watch
from ..lazy_dataclass import replace
from ..transport.link import Kind, granted
from .links import Link
from .messages import Address, JunctionPlan, Place, Plan, Seal, ToWorker, pack

__all__ = ["MAIN", "Host", "Members"]

# The number of the machine of the main process.
MAIN = 0


class Host:
    """An agent, as the switchboard sees it.

    plan: what its places need; the rest of it is filled in when it is sent. unsent: messages for it that wait for its
    plan; None once it has that. joins_by: until when it must be ready, in seconds of the monotonic clock; None before
    it is launched. moved: how many machines had its places before. is_ready: it has made its links to the others.
    """

    def __init__(
        self, plan: Plan, unsent: Sequence[Any] = (), *, joins_by: float | None = None, moved: int = 0
    ) -> None:
        self.plan = plan
        self.moved = moved
        self.link: Link | None = None
        self.address: Address | None = None
        self.unsent: list[Any] | None = list(unsent)
        self.joins_by = joins_by
        self.watch: Watch | None = None
        self.is_ready = self.is_lost = False

    @property
    def has_plan(self) -> bool:
        """Whether it belongs to the run already, so that it must know of changes."""
        return self.unsent is None

    def send(self, message: Any) -> None:
        """Send a message, at the latest after its plan. Does nothing if the machine is lost."""
        if self.is_lost:
            return
        if self.unsent is not None:
            self.unsent.append(message)
        elif self.link is not None:
            self.link.send(Kind.CONTROL, 0, pack(message))

    def grant(self, junction: int, receiver: int, frames: int) -> None:
        """Its oldest frames of a junction, so many, go to a machine. It has its plan, since it has frames."""
        if not self.is_lost and self.link is not None:
            self.link.send(Kind.GRANT, junction, second=granted(receiver, frames))

    def begin(self, plan: Plan, watch: Watch) -> None:
        """Send its plan, and all that waits for it."""
        waiting, self.unsent, self.watch = self.unsent or (), None, watch
        for message in (plan, *waiting):
            self.send(message)


class Members:
    """The machines of a run, without that of the main process.

    moves: how often the workers of each group may go on elsewhere; not at all if it is not there. restoring: the board
    rows that restore order, which all machines copy. joins_by: until when each must be ready. junctions: as they are
    now.
    """

    def __init__(
        self, plans: Sequence[Plan], moves: Mapping[int, int], restoring: Sequence[int], joins_by: float
    ) -> None:
        first = plans[0]
        self._moves = moves
        self._restoring = restoring
        self._names = list(first.names)
        self._places = [list(hosts) for hosts in first.places]
        self.junctions: list[JunctionPlan | None] = list(first.junctions)
        self._hosts = {plan.host: Host(plan, joins_by=joins_by) for plan in plans}

    @property
    def living(self) -> Iterator[Host]:
        """The machines that are not lost, whether they have joined or not."""
        return (host for host in self._hosts.values() if not host.is_lost)

    def __getitem__(self, number: int) -> Host:
        return self._hosts[number]

    def at(self, place: Place) -> Host:
        """The machine of a worker."""
        return self._hosts[self._places[place[0]][place[1]]]

    def workers(self, host: int, group: int) -> list[int]:
        """The numbers, in their group, of the workers of a machine."""
        return [number for number, each in enumerate(self._places[group]) if each == host]

    def name(self, host: int) -> str:
        """The name of a machine."""
        return self._names[host]

    def call(self, host: int, name: str) -> None:
        """A machine is known by this name from now on."""
        self._names[host] = name

    # ------------------------------------------------------------------------------------------------------ changes

    def lose(self, dead: int, sealed: Collection[int]) -> int | None:
        """A machine is lost. The number of its successor; None if the run must end.

        sealed: the junctions whose producers have all finished, which the successor must know.
        """
        host = self._hosts[dead]
        host.is_lost = True
        groups = [group for group, hosts in enumerate(self._places) if dead in hosts]
        if min(self._moves.get(group, 0) for group in groups) == host.moved:
            return None
        new = len(self._names)
        self._names.append(self._names[dead])
        self._places = [_moved(hosts, dead, new) for hosts in self._places]
        self.junctions = [
            each and each._replace(left=_moved(each.left, dead, new), right=_moved(each.right, dead, new))
            for each in self.junctions
        ]
        unsent = [Seal(junction) for junction in sorted(sealed)]
        self._hosts[new] = Host(replace(host.plan, host=new), unsent, moved=host.moved + 1)
        return new

    def withdrawn(self, board: Board) -> list[tuple[Place, int]]:
        """The workers of cancelled groups that were to start on machines without a plan: they never do.

        Each is a place and a generation. board: has the flags of the groups.
        """
        found: dict[tuple[Place, int], None] = {}
        for host in self.living:
            if host.unsent is not None:
                for each in [
                    each for each in host.unsent if isinstance(each, ToWorker) and board.flag(each.place[0])[0]
                ]:
                    host.unsent.remove(each)
                    found[each.place, each.generation] = None
        return list(found)

    # -------------------------------------------------------------------------------------------------------- plans

    def greet(self, number: int, address: Address, board: Board) -> None:
        """An agent has started. It gets its plan, with the addresses of those that have started before it."""
        host = self._hosts[number]
        addresses = {each.plan.host: each.address for each in self.living if each.address is not None}
        host.address = address
        works = [
            replace(work, hosts=[self._names[each] for each in hosts]) if work.hosts else work
            for work, hosts in zip(host.plan.works, self._places, strict=True)
        ]
        own = self._rows(host)
        plan = replace(
            host.plan,
            names=self._names,
            addresses=addresses,
            junctions=self.junctions,
            works=works,
            places=self._places,
            cells=[(row, board.row(row).tobytes()) for row in own],
        )
        host.begin(plan, self._watch(number, board, own))

    def _rows(self, host: Host) -> list[int]:
        """The board rows of the workers of a machine."""
        return [
            each.siblings[number]
            for group, work in enumerate(host.plan.works)
            for number in self.workers(host.plan.host, group)
            for each in work.stages
        ]

    def _watch(self, number: int, board: Board, own: Sequence[int]) -> Watch:
        """What a machine needs of the board: what others write, and its own workers read."""
        hints = [
            junction
            for junction, each in enumerate(self.junctions)
            if each is not None and number in each.left and number not in each.right
        ]
        rows = [row for row in self._restoring if row not in own]
        return Watch(board, rows=rows, hints=hints, flags=range(len(self._places)))


def _moved(hosts: Sequence[int], dead: int, new: int) -> list[int]:
    return [new if host == dead else host for host in hosts]

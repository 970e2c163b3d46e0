"""The part of a run that is on other machines, as the main process sees it: it starts the programs that lead there.

    main process ──► switchboard, a program of this machine
                 ──► one command for each other machine, which starts its agent

The main process does not wait for the agents, and no frame passes through it unless one of its own workers sends or
receives it. Everything on the other machines ends with the standard input of the commands, and with the switchboard.
"""

from __future__ import annotations

import pickle
import secrets
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from typing import Any

from ..engine.connections import Junction
from ..engine.elsewhere import RunFacts
from ..engine.groups import Group, Section
from ..errors import RunError, StageOptionError
from ..executors.base import WorkerHandle
from ..executors.control_pipe import ControlPipe, control_pipe
from ..executors.program_process import passed_descriptors
from ..ipc.checkpoint import Checkpoint
from ..ipc.descriptors import opened
from ..ipc.system import text_file
from ..logs.records import Levels
from ..messages import host_texts
from ..worker.operator_run import Condemned
from ..worker.outcome import Failed
from ..worker.surroundings import search_path, working_directory
from .agent_control import Invitation
from .launched_program import LaunchedProgram, launched
from .launcher import Launched as Agent
from .launcher import Launcher
from .members import MAIN
from .messages import Broken, Cancel, HostDied, JunctionPlan, Launched, Plan, Replay, Seal, Unlinked, pack, unpack
from .placed_workers import PlacedWorkers
from .split_channel import SplitChannel, SplitJunction
from .started_program import python
from .switchboard_parts import Setup

__all__ = ["RemotePart"]

SWITCHBOARD = f"{__package__}.switchboard_main"
# The name of a file in memory. It is visible in `/proc`.
PARCEL = "chainpump-switchboard"
# Seconds without a sign of life of the switchboard after which it counts as dead. It gives one each second.
SILENCE = 10.0
KEY_BYTES = 32
# Seconds that the programs have to end by themselves at the end of a run, and of one that has lost a machine.
ENDS_WITHIN = 10.0
FAILED_ENDS_WITHIN = 1.0
# Seconds after the end of a command in which the switchboard says how it was lost.
EXPLAINED_WITHIN = 1.0
# The switchboard, in messages.
WAY = "the process that connects this machine with the others"


class RemotePart:
    """See `engine.elsewhere.Elsewhere`."""

    def __init__(self, groups: Sequence[Group], launcher: Launcher) -> None:
        self._launcher = launcher
        self._workers = PlacedWorkers(groups, launcher)
        self.hosts = self._workers.hosts
        self.groups = self._workers.named(groups)
        self._plans: list[JunctionPlan | None] = []
        self._main: ControlPipe | None = None
        self._switchboard: LaunchedProgram | None = None
        # The agents of the machines that are not lost, by the number of the machine, and those of lost ones.
        self._agents: dict[int, Agent] = {}
        self._lost_agents: list[Agent] = []
        self._key = secrets.token_bytes(KEY_BYTES)
        self._port = 0
        self._warn: Callable[[str], object] = lambda _: None
        # Machines whose command has ended, and when that counts as their loss.
        self._ended: dict[int, float] = {}
        self._alive_at = 0.0
        # cut off: nothing more comes from the switchboard.
        self._has_failed = self._is_cut_off = False

    # ------------------------------------------------------------------------------------------------------ channels

    def junctions(self, junctions: Sequence[Junction], sections: Sequence[Section]) -> Sequence[Junction]:
        """The junctions of the run, with those replaced that lead to other machines."""
        found: list[Junction] = []
        for number, junction in enumerate(junctions):
            left, right = self._workers.by_group[number], self._workers.by_group[number + 1]
            if {*left, *right} == {MAIN}:
                self._plans.append(None)
                found.append(junction)
                continue
            if junction.in_flight is not None:
                raise StageOptionError(host_texts.uncounted(self.groups[number + 1].who(0, 0), junction.in_flight))
            replay = self._replay_of(number, next((each for each in sections if number in each.junctions), None))
            self._plans.append(
                JunctionPlan(junction.producers, junction.consumers, sorted({*left}), sorted({*right}), replay)
            )
            found.append(
                SplitJunction(
                    junction.producers,
                    junction.consumers,
                    None,
                    renewable=True,
                    sends_packets=True,
                    senders=[worker for worker, host in enumerate(left) if host == MAIN],
                    receivers=right.count(MAIN),
                    on_seal=self._telling(Seal(number)),
                    on_hang_up=self._telling(Cancel(number + 1)),
                )
            )
        return found

    def _replay_of(self, number: int, section: Section | None) -> Replay | None:
        """What the machines must know of a junction of this section, to replay it."""
        if section is None or not section.is_replayed:
            return None
        return Replay(
            self.groups[section.end].rows[0][0],
            is_first=not any(self._plans[section.origin : number]),
            in_order=number == section.origin,
            keeps=number + 1 < section.end and self.groups[number + 1].moves > 0,
        )

    def _telling(self, message: object) -> Callable[[], None]:
        """What tells the switchboard something."""
        return lambda: self._tell(message)

    def _tell(self, message: object) -> None:
        if self._main is not None:
            self._main.send(0, pack(message))

    # --------------------------------------------------------------------------------------------------------- start

    def begin(self, facts: RunFacts) -> None:
        """Start the switchboard and the agents. Raises OSError, and the errors of pickling."""
        self._warn = facts.warn
        moves = {
            group: self.groups[group].moves
            for section in facts.sections
            if section.is_replayed
            for group in range(section.origin + 1, section.end)
        }
        with ExitStack() as inherited:
            listener = opened(self._listening)
            inherited.callback(listener.close)
            own, connection = control_pipe()
            inherited.callback(connection.close)
            self._main = ControlPipe(own)
            controls, logs, levels = self._workers.make_slots(facts, inherited)
            limits = facts.connections.limits()
            for limit in limits.values():
                inherited.callback(limit.close)
            setup = Setup(
                self._key,
                connection,
                listener,
                facts.connections.board,
                [limit for end, limit in limits.items() if self._workers.by_group[end][0] != MAIN],
                self._parts(facts),
                controls,
                logs,
                self._agent_plans(facts, levels),
                [facts.works[section.end].stages[0].row for section in facts.sections if section.restores],
                moves,
                self._launcher.join_within,
                self._launcher.lost_after,
            )
            self._port = listener.socket().getsockname()[1]
            self._launch_switchboard(setup)
        for host in self._workers.launched:
            self._launch(host)
        self._alive_at = time.monotonic()

    def _listening(self) -> int:
        address = "127.0.0.1" if self._launcher.is_local else ""
        return socket.create_server((address, 0), backlog=len(self.hosts) * 4).detach()

    def _parts(self, facts: RunFacts) -> Mapping[int, tuple[Any, Any]]:
        channels = enumerate(facts.connections.channels)
        split = [(number, each) for number, each in channels if isinstance(each, SplitChannel)]
        return {number: (each.left, each.right) for number, each in split if each.left or each.right}

    def _agent_plans(self, facts: RunFacts, levels: Levels | None) -> Sequence[Plan]:
        """The plan of each agent, without the addresses."""
        codes = {index: group.code.packed() for index, group in enumerate(self.groups) if group.is_elsewhere}
        rows = facts.works[-1].stages[-1].siblings[-1] + 1
        return [
            Plan(
                host,
                ["this machine", *self.hosts[1:]],
                {},
                rows,
                facts.sections,
                self._plans,
                facts.works,
                self._workers.by_group,
                {group: code for group, code in codes.items() if host in self._workers.by_group[group]},
                facts.seed,
                {place: facts.variables(*place) for place in self._workers.of(host)},
                search_path(),
                working_directory(),
                levels,
            )
            for host in self._workers.launched
        ]

    def _launch_switchboard(self, setup: Setup) -> None:
        with closing(text_file(PARCEL)) as parcel:
            with passed_descriptors() as passed, open(parcel.fileno(), "wb", closefd=False) as file:
                pickle.dump(setup, file, pickle.HIGHEST_PROTOCOL)
            command = [*python(SWITCHBOARD), str(parcel.fileno())]
            self._switchboard = launched("the switchboard", command, descriptors=[*passed, parcel.fileno()])

    def _launch(self, host: int) -> None:
        """Start the agent of a machine, without waiting for it. Raises OSError."""
        launcher = self._launcher
        invitation = Invitation((launcher.address, self._port), host, self._key, launcher.lost_after)
        self._agents[host] = launcher.launch(host - 1, invitation)

    # ------------------------------------------------------------------------------------------------------- the run

    def host_of(self, group: int, number: int) -> str:
        """The name of the machine on which the next worker of a slot starts."""
        return self._workers.name_of((group, number))

    def start(
        self,
        group: int,
        number: int,
        generation: int,
        checkpoint: Checkpoint | None,
        condemned: Mapping[int, Condemned] | None,
    ) -> WorkerHandle:
        """Start a worker on its machine."""
        return self._workers.slots[group, number].start(generation, checkpoint, condemned)

    @property
    def waitables(self) -> Sequence[int]:
        """The connection to the switchboard and the ends of the commands. A second machine may fail after the first."""
        if self._is_cut_off or self._main is None:
            return ()
        return [self._main.fileno(), *(fd for program in self._agents.values() for fd in program.waitables)]

    @property
    def dues(self) -> Sequence[float]:
        """When the switchboard counts as dead, without another sign of life; and machines whose command has ended."""
        if self._is_cut_off or self._main is None:
            return ()
        return [self._alive_at + SILENCE, *self._ended.values()]

    def look(self) -> Failed | None:
        """The failure of a machine or of the switchboard, once there is one that no worker reports."""
        if self._is_cut_off or self._main is None:
            return None
        now = time.monotonic()
        failed: Failed | None = None
        for host, agent in self._agents.items():
            if agent.check_ended():
                # The switchboard will say more, if the agent had joined the run.
                self._ended[host] = now + EXPLAINED_WITHIN
        for message in self._received():
            if isinstance(message, HostDied):
                # Without a run, nobody needs the successor.
                if message.successor is None or self._has_failed:
                    failed = self._fail(message.reason, message.host) or failed
                    continue
                self._move(message.host, message.reason, message.successor)
            elif isinstance(message, Unlinked):
                self._warn(host_texts.unlinked(message.name, message.reason))
        if self._main.is_broken or now > self._alive_at + SILENCE:
            self._is_cut_off = True
            return self._fail(f"{WAY} has {'died' if self._main.is_broken else f'not answered for {SILENCE:g} s'}")
        for host in [host for host, by in self._ended.items() if now > by]:
            del self._ended[host]
            self._tell(Broken(host, self._ending_of(host)))
        return failed

    def _move(self, dead: int, reason: str, new: int) -> None:
        """The workers of a lost machine go on elsewhere: launch an agent there. All that happens in order."""
        self._ended.pop(dead, None)
        self._lost_agents.append(agent := self._agents.pop(dead))
        agent.ask_to_end()
        moved = self._workers.move(dead, reason, self._agents)
        assert moved == new
        name = self.hosts[new]
        self._warn(host_texts.gone_on(reason, name))
        self._tell(Launched(new, name))
        try:
            self._launch(new)
        except (OSError, RunError) as error:
            self._tell(Broken(new, f"the agent of {name} cannot be launched: {error}"))

    def _ending_of(self, host: int) -> str:
        """How an agent has ended before the run."""
        ended_alone = f"the agent of {self.hosts[host]} has ended, because {WAY} did not answer it"
        return self._agents[host].ending or ended_alone

    def _received(self) -> Iterator[object]:
        """The messages of the switchboard that have arrived."""
        assert self._main is not None
        for _, data in self._main.receive():
            self._alive_at = time.monotonic()
            yield unpack(data)

    def _fail(self, reason: str, host: int | None = None) -> Failed | None:
        """A machine is lost for good, or all of them. The failure, unless a worker reports it."""
        is_reported = self._workers.lose(reason, host)
        if self._has_failed:
            return None
        self._has_failed = True
        return None if is_reported else Failed(host_texts.host_broken(reason))

    def close(self) -> None:
        """End the switchboard and all agents, and wait for their ends."""
        if self._main is not None:
            self._main.close()
        switchboard = [self._switchboard] if self._switchboard is not None else []
        programs = [*switchboard, *self._agents.values()]
        for program in programs:
            program.ask_to_end()
        now = time.monotonic()
        # A machine that does not answer has had its time.
        for program in self._lost_agents:
            program.end(now + FAILED_ENDS_WITHIN)
        for program in programs:
            program.end(now + (FAILED_ENDS_WITHIN if self._has_failed else ENDS_WITHIN))
        self._workers.close()

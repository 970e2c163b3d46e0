"""The launcher on a Ray cluster: Ray reserves room for all workers, and starts an actor for each agent.

    placement group of the run     one bundle for each worker
    actor                          for the workers of equal options on one machine, in the bundle of the first of them

The actors of a machine do not use the bundles of their other workers: they hold the room for them.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Protocol

from ..engine.opening import wait_to_open
from ..errors import RunError
from ..ipc.descriptors import pipe
from ..lazy_dataclass import dataclass, replace
from ..messages import failure_texts, ray_texts
from .agent_control import Invitation
from .ray_actor import RayActor
from .ray_connection import Connection, connected

__all__ = ["Machine", "RayLauncher", "RayStage", "machines_of"]

# Seconds in which Ray must find room for the workers. It may have to start machines.
RESERVED_WITHIN = 60.0
# The same for a Ray that was started for the run: there will be no more room than there is.
RESERVED_LOCALLY_WITHIN = 5.0
# Seconds in which Ray tells the end of an actor that it has killed.
KILLED_WITHIN = 5.0


class RayStage(Protocol):
    """The options of a stage on Ray: see `ray_executor.Ray`."""

    @property
    def workers(self) -> int:
        """The number of its workers."""
        ...

    @property
    def num_gpus(self) -> float:
        """The devices for each worker."""
        ...

    @property
    def bundle(self) -> Mapping[str, float]:
        """What Ray reserves for a worker."""
        ...

    # Any: the values are those of Ray.
    @property
    def runtime_env(self) -> Mapping[str, Any] | None:
        """The environment of Ray in which its agents start."""
        ...

    @property
    def scheduling_strategy(self) -> str:
        """That of the placement group."""
        ...

    @property
    def lost_after(self) -> float:
        """Seconds of silence after which a machine counts as lost."""
        ...


@dataclass(frozen=True, slots=True)
class Machine:
    """What one agent is for. node: the id of its machine. first: the bundle in which it runs."""

    node: str
    first: int
    bundle: Mapping[str, float]
    # Any: as above.
    runtime_env: Mapping[str, Any] | None

    def takes(self, stage: RayStage, node: str) -> bool:
        """Whether a worker of this stage that has its room on this machine may share the agent."""
        return not stage.num_gpus and (self.node, self.bundle, self.runtime_env) == (
            node,
            stage.bundle,
            stage.runtime_env,
        )


def machines_of(stages: Sequence[RayStage], nodes: Sequence[str]) -> tuple[list[Machine], list[list[int]]]:
    """The agents of a run, and which of them each worker of each stage has. nodes: of the bundles of all workers."""
    machines: list[Machine] = []
    places: list[list[int]] = []
    bundle = 0
    for stage in stages:
        places.append([])
        for _ in range(stage.workers):
            node = nodes[bundle]
            machine = next((n for n, each in enumerate(machines) if each.takes(stage, node)), len(machines))
            if machine == len(machines):
                machines.append(Machine(node, bundle, stage.bundle, stage.runtime_env))
            places[-1].append(machine)
            bundle += 1
    return machines, places


class RayLauncher:
    """See `launcher.Launcher`."""

    # As long as Ray itself gives an environment to be installed. It tells an actor that cannot start.
    join_within = 600.0

    def __init__(self, stages: Sequence[RayStage]) -> None:
        bundles = [stage.bundle for stage in stages for _ in range(stage.workers)]
        with ExitStack() as undo:
            connection = undo.enter_context(connected(sum(bundle.get("CPU", 0) for bundle in bundles)))
            self._ray = connection.ray
            self._group = _reserved(connection, bundles, stages[0].scheduling_strategy, undo)
            nodes = self._nodes()
            self._machines, self.places = machines_of(stages, [nodes[bundle] for bundle in range(len(bundles))])
            hosts = self._hosts()
            self.names = [hosts.get(machine.node, machine.node) for machine in self._machines]
            self._agents: dict[int, RayAgent] = {}
            self.is_local, self.address = connection.is_own, connection.address
            # All machines have links to each other. The most patient stage decides.
            self.lost_after = max(stage.lost_after for stage in stages)
            self._closing = undo.pop_all()

    def _nodes(self) -> Mapping[int, str]:
        """The id of the machine of each bundle. Ray finds another one for the bundles of a machine that is lost."""
        found: Mapping[int, str] = self._ray.util.placement_group_table(self._group)["bundles_to_node_id"]
        return found

    def _hosts(self) -> Mapping[str, str]:
        """The names of the machines of the cluster, by id."""
        return {node["NodeID"]: node["NodeManagerHostname"] for node in self._ray.nodes() if node["Alive"]}

    def another(self, lost: int, alive: Collection[int]) -> int:
        """The room of a lost agent, on its machine or on one that Ray finds: an actor may have to wait for that."""
        if lost in self._agents:
            # A frozen one would keep the room.
            self._agents[lost].kill()
        wanted = self._machines[lost]
        node = self._nodes().get(wanted.first, "")
        self._machines.append(replace(wanted, node=node))
        self.names.append(self._hosts().get(node, "a machine that Ray is to find"))
        return len(self.names) - 1

    def launch(self, machine: int, invitation: Invitation) -> RayAgent:
        """Start an actor that runs the agent. Raises RunError if Ray refuses its options."""
        wanted = self._machines[machine]
        others = {name: amount for name, amount in wanted.bundle.items() if name not in {"CPU", "GPU", "memory"}}
        strategies = self._ray.util.scheduling_strategies
        options = {
            "num_cpus": wanted.bundle.get("CPU", 0),
            "num_gpus": wanted.bundle.get("GPU", 0),
            "memory": wanted.bundle.get("memory"),
            "resources": others or None,
            "runtime_env": dict(wanted.runtime_env) if wanted.runtime_env is not None else None,
            # One call runs the agent, and one ends it.
            "max_concurrency": 2,
            "max_restarts": 0,
            "scheduling_strategy": strategies.PlacementGroupSchedulingStrategy(self._group, wanted.first),
        }
        try:
            actor = self._ray.remote(RayActor).options(**options).remote(invitation.line())
        except Exception as error:
            raise RunError(ray_texts.refused(error)) from error
        agent = self._agents[machine] = RayAgent(self._ray, actor, self.names[machine])
        return agent

    def close(self) -> None:
        """Return what was reserved, and leave the cluster as it was found."""
        self._closing.close()


# Any: the classes of Ray have no types here.
def _reserved(connection: Connection, bundles: Sequence[Mapping[str, float]], strategy: str, undo: ExitStack) -> Any:
    """A placement group with room for all workers. Waits until Ray has found that. Raises RunError and Cancelled."""
    ray = connection.ray
    group = ray.util.placement_group([dict(bundle) for bundle in bundles], strategy=strategy)
    undo.callback(ray.util.remove_placement_group, group)
    seconds = RESERVED_LOCALLY_WITHIN if connection.is_own else RESERVED_WITHIN
    reserved = group.ready().future()
    if not wait_to_open(lambda happen: reserved.add_done_callback(lambda _: happen()), seconds):
        raise RunError(ray_texts.no_room(bundles, seconds, ray.cluster_resources(), ray.available_resources()))
    return group


class RayAgent:
    """An agent that an actor runs. See `launcher.Launched`."""

    # Any: the classes of Ray have no types here.
    def __init__(self, ray: Any, actor: Any, name: str) -> None:
        self._ray = ray
        self._actor = actor
        self._name = name
        self._exit_code: int | None = 0
        self._error: BaseException | None = None
        self._has_ended = self._is_noticed = False
        self._reading, self._writing = pipe()
        # Ray tells the end in a thread of its own, at any time. Held while the pipe is written to or closed.
        self._lock = threading.Lock()
        actor.run.remote().future().add_done_callback(self._take_end)

    # Any: as above.
    def _take_end(self, future: Any) -> None:
        self._error = future.exception()
        if self._error is None:
            self._exit_code = future.result()
        with self._lock:
            self._has_ended = True
            if not self._writing.closed:
                os.write(self._writing.fileno(), b"!")

    @property
    def waitables(self) -> Sequence[int]:
        """A pipe that is written to at its end."""
        return () if self._is_noticed else (self._reading.fileno(),)

    def check_ended(self) -> bool:
        """Whether it has ended; true once."""
        if self._is_noticed or not self._has_ended:
            return False
        self._is_noticed = True
        return True

    @property
    def ending(self) -> str:
        """How the actor or the agent has ended."""
        if self._error is not None:
            return ray_texts.actor_ended(self._name, self._error)
        return f"the agent of {self._name} {failure_texts.death(self._exit_code)}" if self._exit_code != 0 else ""

    def ask_to_end(self) -> None:
        """Tell the actor that the run is over."""
        self._actor.end.remote()

    def end(self, by: float) -> None:
        """Wait until it has ended, or kill it, and remove the actor."""
        self._wait(by)
        self.kill()
        self._wait(time.monotonic() + KILLED_WITHIN)
        with self._lock:
            self._reading.close()
            self._writing.close()

    def kill(self) -> None:
        """Remove the actor, and with it the agent. Does not wait for that."""
        self._ray.kill(self._actor, no_restart=True)

    def _wait(self, by: float) -> None:
        poll = select.poll()
        poll.register(self._reading.fileno(), select.POLLIN)
        poll.poll(max(0.0, by - time.monotonic()) * 1000)

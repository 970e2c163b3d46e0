"""The executor for a Ray cluster, which decides on which machines the workers are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Literal, get_args

from ..errors import StageOptionError
from ..lazy_dataclass import dataclass, field
from ..plan.placement import LOST_AFTER, check_whole, check_workers
from .elsewhere_executor import ElsewhereOptions

if TYPE_CHECKING:
    from ..engine.elsewhere import Elsewhere
    from ..engine.groups import Group

__all__ = ["Ray"]

Strategy = Literal["PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD"]
# Ray has options of its own for these resources.
NAMED_APART = {"CPU": "num_cpus", "GPU": "num_gpus", "memory": "memory"}


@dataclass(frozen=True, slots=True, repr=False)
class Ray(ElsewhereOptions):
    """Run a stage on a Ray cluster. Ray finds the machines; it needs `pip install "chainpump[ray]"`.

    >>> Ray(8, num_cpus=2)
    Ray(8, num_cpus=2)

    A cluster is used to which the program is connected (`ray.init`), or else that of RAY_ADDRESS. If there is none, a
    Ray of this machine is started for the run. Items do not pass through Ray: each machine runs an agent, see
    docs/cluster.md.
    workers: in all.
    restarts, env: as for `Processes`. lost_after: as for `Hosts`.
    num_cpus, num_gpus, memory, resources: what Ray reserves for each worker, in the units of Ray (memory: bytes). With
    num_gpus, each worker has an agent of its own, and sees only its own devices.
    runtime_env: the environment of Ray in which the agents start. It must have this version of chainpump.
    scheduling_strategy: as of a placement group with one bundle for each worker. "PACK" takes as few machines as
    possible, "SPREAD" as many; with "STRICT_" Ray waits for one machine, or for one for each worker.
    Raises StageOptionError if an option has a value that cannot work.
    """

    workers: int = 1
    num_cpus: float = field(default=1, kw_only=True)
    num_gpus: float = field(default=0, kw_only=True)
    memory: int = field(default=0, kw_only=True)
    resources: Mapping[str, float] | None = field(default=None, kw_only=True)
    # Any: the values are those of Ray.
    runtime_env: Mapping[str, Any] | None = field(default=None, kw_only=True)
    scheduling_strategy: Strategy = field(default="PACK", kw_only=True)

    def __post_init__(self) -> None:
        check_workers(self, self.workers, elsewhere=True)
        ElsewhereOptions.__post_init__(self)
        check_whole(self.memory, "Ray: memory", least=0)
        for name, value in (("num_cpus", self.num_cpus), ("num_gpus", self.num_gpus)):
            _check_amount(name, value)
        if self.num_gpus > 1 and self.num_gpus != int(self.num_gpus):
            raise StageOptionError(f"Ray: num_gpus above 1 must be a whole number but got: {self.num_gpus!r}.")
        _check_resources(self.resources)
        if self.runtime_env is not None and not isinstance(self.runtime_env, Mapping):
            raise StageOptionError(
                f'Ray: runtime_env must be a dict, such as {{"pip": ["torch"]}}, but got: {self.runtime_env!r}.'
            )
        if self.scheduling_strategy not in get_args(Strategy):
            names = ", ".join(map(repr, get_args(Strategy)))
            raise StageOptionError(
                f"Ray: scheduling_strategy must be one of {names} but got: {self.scheduling_strategy!r}."
            )
        if not self.bundle:
            raise StageOptionError("Ray: a worker must need something that Ray counts, such as num_cpus=0.1.")
        self._copy("resources", "runtime_env", "env")

    def __hash__(self) -> int:
        # A mapping has no hash.
        return hash((self.workers, self.restarts, self.num_cpus, self.num_gpus, self.memory, self.scheduling_strategy))

    def __repr__(self) -> str:
        return f"Ray({self.workers}{self._given(DEFAULTS)}"

    @property
    def bundle(self) -> Mapping[str, float]:
        """What Ray reserves for a worker."""
        wanted = {"CPU": self.num_cpus, "GPU": self.num_gpus, "memory": self.memory, **(self.resources or {})}
        return {name: amount for name, amount in wanted.items() if amount}

    def elsewhere(self, groups: Sequence[Group], undo: ExitStack) -> Elsewhere:
        """The part of a run that is on the cluster."""
        # They import `subprocess` and Ray, which a program that only builds pipelines does not need.
        from .ray_launcher import RayLauncher
        from .remote_part import RemotePart

        # All executors elsewhere in a run are of one kind: `building.elsewhere_checks`.
        stages: list[Ray] = [group.executor for group in groups if group.is_elsewhere]  # type: ignore[misc]
        launcher = RayLauncher(stages)
        undo.callback(launcher.close)
        return RemotePart(groups, launcher)


DEFAULTS = {
    "restarts": 0,
    "num_cpus": 1,
    "num_gpus": 0,
    "memory": 0,
    "resources": None,
    "runtime_env": None,
    "scheduling_strategy": "PACK",
    "lost_after": LOST_AFTER,
}


def _check_amount(name: str, value: object) -> None:
    """Raise StageOptionError unless this is an amount of a resource."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
        raise StageOptionError(f"Ray: {name} must be a number of at least 0 but got: {value!r}.")


def _check_resources(resources: object) -> None:
    """Raise StageOptionError unless these are custom resources of Ray."""
    if resources is None:
        return
    if not isinstance(resources, Mapping) or not all(isinstance(name, str) for name in resources):
        raise StageOptionError(f'Ray: resources must be a dict, such as {{"tpu": 1}}, but got: {resources!r}.')
    for name, amount in resources.items():
        if name in NAMED_APART:
            raise StageOptionError(f"Ray: resources cannot contain {name!r}: use the option {NAMED_APART[name]}.")
        _check_amount(f"resources[{name!r}]", amount)

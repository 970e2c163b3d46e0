"""The part of a run that is on other machines, as the engine sees it.

An executor whose workers run elsewhere makes it. The engine asks it for the channels that lead there, lets it start the
workers there, and watches it. It does not know how they are reached.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Protocol

from ..durable.notes import Notes
from ..errors import DeadItem
from ..executors.base import Executor, WorkerHandle
from ..ipc.checkpoint import Checkpoint
from ..lazy_dataclass import dataclass
from ..logs.records import LogsEnd
from ..messages.names import WorkerName
from ..worker.operator_run import Condemned
from ..worker.outcome import Failed
from ..worker.seeds import Seed
from ..worker.work import Work
from .connections import Connections, Junction
from .groups import Group, Section

__all__ = ["Elsewhere", "ElsewhereExecutor", "RunFacts", "elsewhere_of"]


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What workers elsewhere need of a run.

    takers: by group, the functions that receive the dead letters of each element-wise stage. note: receives what
    workers tell the journal of a durable run. log_pipe: makes the log pipe of a worker. variables: the environment
    variables of a worker, by the index of its group and its number. warn: logs a text.
    """

    sections: Sequence[Section]
    connections: Connections
    works: Sequence[Work]
    seed: Seed
    takers: Sequence[Sequence[Callable[[DeadItem], object]]]
    note: Callable[[Notes], object]
    log_pipe: Callable[[WorkerName], LogsEnd]
    variables: Callable[[int, int], Mapping[bytes, bytes]]
    warn: Callable[[str], object]


class Elsewhere(Protocol):
    """The part of a run that is on other machines. One thread uses it at a time."""

    @property
    def groups(self) -> Sequence[Group]:
        """The groups of the run, with the names of machines."""
        ...

    @property
    def hosts(self) -> Sequence[str]:
        """The names of the machines by number, as `Cell.HOST` has it. The name of this one, number 0, is empty."""
        ...

    def junctions(self, junctions: Sequence[Junction], sections: Sequence[Section]) -> Sequence[Junction]:
        """The junctions of the run, with those replaced that lead to other machines."""
        ...

    def begin(self, facts: RunFacts) -> None:
        """Start what reaches the machines. Does not wait for them. Raises OSError, and the errors of pickling."""
        ...

    def host_of(self, group: int, number: int) -> str:
        """The name of the machine on which the next worker of a slot starts."""
        ...

    def start(
        self,
        group: int,
        number: int,
        generation: int,
        checkpoint: Checkpoint | None,
        condemned: Mapping[int, Condemned] | None,
    ) -> WorkerHandle:
        """Start a worker on its machine. The arguments are those of `WorkerMaker.worker`."""
        ...

    @property
    def waitables(self) -> Sequence[int]:
        """Descriptors that become readable when `look` has something to do."""
        ...

    @property
    def dues(self) -> Sequence[float]:
        """When `look` has something to do in any case, in seconds of the monotonic clock."""
        ...

    def look(self) -> Failed | None:
        """The failure of a machine, or of the way to it, once there is one. Never waits."""
        ...

    def close(self) -> None:
        """End all that belongs to the run on the other machines."""
        ...


class ElsewhereExecutor(Executor, Protocol):
    """An executor with the capability `elsewhere`."""

    def elsewhere(self, groups: Sequence[Group], undo: ExitStack) -> Elsewhere:
        """Make the part of a run that is elsewhere, for all groups of the run whose executor is of this kind.

        undo: closes what has been opened for that. Raises StageOptionError and OSError.
        """
        ...


class NowhereElse:
    """All of the run is on this machine."""

    hosts: Sequence[str] = ("",)
    waitables: Sequence[int] = ()
    dues: Sequence[float] = ()

    def __init__(self, groups: Sequence[Group]) -> None:
        self.groups = groups

    def junctions(self, junctions: Sequence[Junction], sections: Sequence[Section]) -> Sequence[Junction]:
        """Replace none."""
        return junctions

    def begin(self, facts: RunFacts) -> None:
        """Start nothing."""

    def host_of(self, group: int, number: int) -> str:
        """Never called: no group is elsewhere."""
        raise AssertionError(group)

    def start(
        self,
        group: int,
        number: int,
        generation: int,
        checkpoint: Checkpoint | None,
        condemned: Mapping[int, Condemned] | None,
    ) -> WorkerHandle:
        """Never called: no group is elsewhere."""
        raise AssertionError(group)

    def look(self) -> Failed | None:
        """Nothing can fail."""

    def close(self) -> None:
        """Nothing is there to end."""


def elsewhere_of(groups: Sequence[Group], undo: ExitStack) -> Elsewhere:
    """The part of a run that is elsewhere, which may be nothing. undo: as above."""
    group = next((group for group in groups if group.is_elsewhere), None)
    if group is None:
        return NowhereElse(groups)
    # The capability says that the executor has this method.
    executor: ElsewhereExecutor = group.executor  # type: ignore[assignment]
    return executor.elsewhere(groups, undo)

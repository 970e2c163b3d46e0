"""The surroundings of the workers of a run: those of the program, with the variables of each worker."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ..ipc.descriptors import Descriptor
from ..messages.names import WorkerName
from ..messages.printable import printable
from ..plan.variables import variables_of
from ..worker.surroundings import Surroundings
from .groups import Group

__all__ = ["WorkerSurroundings"]


class WorkerSurroundings:
    """The surroundings of this process now, for the workers that have an interpreter of their own.

    output_pipe: makes the pipe that takes their output in place of a terminal; None if they write there themselves.
    """

    def __init__(self, groups: Sequence[Group], output_pipe: Callable[[], Descriptor] | None = None) -> None:
        # A function of the user gives them. It is called once, so a replacement has those of its predecessor.
        self._variables: Mapping[tuple[int, int], Mapping[bytes, bytes]] = {
            (index, number): variables_of(group.executor, number, group.who(0, number).label)
            for index, group in enumerate(groups)
            if group.has_own_interpreter
            for number in range(group.workers)
        }
        around = (Surroundings.now(),) if self._variables else ()
        if around and output_pipe is not None:
            end = output_pipe()
            around = (around[0].with_output(end),)
            end.close()
        # The first is for the worker of the source, the second for all other workers.
        self._around: Sequence[Surroundings] = (*around, *(each.without_input() for each in around))

    def of(self, group: int, number: int, who: WorkerName) -> Surroundings:
        """The surroundings of one worker."""
        name, worker = printable(who.stage).encode(), b"%d" % number
        own = {**self._variables[group, number], b"CHAINPUMP_STAGE": name, b"CHAINPUMP_WORKER": worker}
        return self._around[min(group, 1)].with_variables(own)

    def variables(self, group: int, number: int) -> Mapping[bytes, bytes]:
        """The variables that the executor of one worker adds."""
        return self._variables[group, number]

    def close(self) -> None:
        """Close the descriptors."""
        for around in self._around[:1]:
            around.close()

"""The contract of executors: an executor starts a worker and returns a handle on it.

Both are protocols: every class with these members is accepted. An executor has three: `workers`, `capabilities` and
`start`. A handle that derives from `WorkerHandle` defines the methods that the supervisor always needs, and inherits
the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from ..lazy_dataclass import dataclass, field
from ..plan.placement import Placement

if TYPE_CHECKING:
    from ..worker.outcome import Outcome, SuccessorWanted
    from ..worker.worker import Worker

__all__ = ["Executor", "Lost", "LostWithMachine", "WorkerHandle"]


@dataclass(frozen=True, slots=True)
class Lost:
    """A process died without a report of how it ended.

    exit_code: negative if a signal killed it; None if other code of the program has read it from the system.
    """

    exit_code: int | None = None


@dataclass(frozen=True, slots=True)
class LostWithMachine(Lost):
    """The whole machine of a worker is lost. Another worker may go on elsewhere.

    machine: names it, and says how its loss was noticed.
    """

    machine: str = field(kw_only=True)


class WorkerHandle(Protocol):
    """The supervisor's handle on a started worker. Only the supervisor's thread uses it."""

    @property
    def pid(self) -> int:
        """The process id of the worker. 0 while a process on another machine has not started."""
        ...

    @property
    def dies_within(self) -> float:
        """How many seconds after `kill` and the grace period the worker is left behind, if it has not ended by then."""
        return 0.0

    @property
    def waitables(self) -> Sequence[int]:
        """Descriptors that become readable when `poll` has something to do. None are left once the worker has ended."""
        ...

    def poll(self) -> Outcome | Lost | SuccessorWanted | None:
        """Return once how the worker ended, as soon as that is known. This never blocks.

        A worker process whose executor recycles workers may request a successor before that.
        """
        ...

    @property
    def remains(self) -> Sequence[str]:
        """The processes that a dead worker left behind, each as text. Signals go to these then."""
        return ()

    def interrupt(self) -> None:
        """Request that the worker stops what it is doing. Its clean-up runs."""
        ...

    def kill(self) -> None:
        """Kill the worker, if that is possible. A thread that blocks for ever cannot be killed and is left behind."""
        ...

    def strike(self) -> None:
        """Kill the worker so that it counts as lost. This is called only for processes that can be replaced."""
        self.kill()

    def ask_stack(self) -> None:
        """Request that the worker writes its stack soon."""
        return

    def trim_stacks(self) -> None:
        """Delete the stacks that the worker has written, if they are large."""
        return

    def read_stack(self) -> str:
        """The stack after `ask_stack`: one line for each call, the innermost first.

        It is empty if the worker did not write it.
        """
        return ""

    def read_tasks(self) -> Sequence[tuple[str, str]]:
        """The items that the worker processes as tasks, and where each task is. It is empty without an event loop."""
        return ()

    def is_current_thread(self) -> bool:
        """Whether this code runs in the worker's own thread. Any thread may call this."""
        return False

    def close(self) -> None:
        """Release the resources of the handle. The worker has ended, or is left behind."""
        ...


class Executor(Placement, Protocol):
    """Where the workers of a stage run. It is a frozen dataclass: `dataclasses.replace` changes the number of workers.

    `capabilities` describes what the workers can do and what they share; those of plain threads are `Capabilities()`.
    The plan derives from the capabilities which stages share a worker, which channels connect them, and whether a
    worker can be replaced.
    """

    def start(self, worker: Worker) -> WorkerHandle:
        """Start one worker, which then owns its endpoints. Raises OSError, and the errors of pickling."""
        ...

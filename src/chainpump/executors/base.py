"""The contract of an executor: a frozen value that can start a worker, and the handle on a started one.

Both are protocols: any class with these methods will do. One that derives from them inherits what is not abstract
here, and is short: an executor needs `workers` and `start`, a handle what the supervisor cannot do without.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from ..lazy_dataclass import dataclass
from ..plan.placement import Placement

if TYPE_CHECKING:
    from ..worker.outcome import Outcome
    from ..worker.worker import Worker

__all__ = ["Executor", "Lost", "WorkerHandle"]


@dataclass(frozen=True, slots=True)
class Lost:
    """A process died without having said how it ended.

    exit_code: negative for a signal; None if other code of the program has taken it from the system.
    """

    exit_code: int | None


class WorkerHandle(Protocol):
    """A started worker, as the supervisor sees it. Only the supervisor's thread uses it."""

    @property
    def pid(self) -> int:
        """The process that it runs in."""
        ...

    @property
    def dies_within(self) -> float:
        """How many seconds to wait after `kill`, besides the grace, before it is left behind."""
        return 0.0

    @property
    def waitables(self) -> Sequence[int]:
        """Descriptors that become readable when `poll` has something to do; none once it has ended."""
        ...

    def poll(self) -> Outcome | Lost | None:
        """How it ended, once, as soon as that is known; never blocks."""
        ...

    @property
    def remains(self) -> Sequence[str]:
        """What it has started and left behind, once it has died: a text for each process. Signals go to these then."""
        return ()

    def interrupt(self) -> None:
        """Ask it to stop what it is doing, politely: its clean-up runs."""
        ...

    def kill(self) -> None:
        """End it by the strongest means there is; a thread that blocks for ever survives that, and is left behind."""
        ...

    def strike(self) -> None:
        """End it by force, which is to be told as its death. Only of processes that can be replaced."""
        self.kill()

    def ask_stack(self) -> None:
        """Have it write where it is, soon."""
        return

    def trim_stacks(self) -> None:
        """Throw away what it has written of where it was, if that is much."""
        return

    def read_stack(self) -> str:
        """Where it was when it was asked: a line for each call, the innermost first; empty if it could not say."""
        return ""

    def read_tasks(self) -> Sequence[tuple[str, str]]:
        """The items that it has in hand as tasks, and where each of them is; none where it has no event loop."""
        return ()

    def is_current_thread(self) -> bool:
        """Whether this code runs in the worker's own thread. Any thread may ask."""
        return False

    def close(self) -> None:
        """Release what the handle holds; it has ended, or is left behind."""
        ...


class Executor(Placement, Protocol):
    """Where the workers of a stage run. A frozen dataclass: `dataclasses.replace` changes how many there are.

    `capabilities` says what they can do and what they share; by default they are threads of the main process. The plan
    derives from that which stages share a worker, what their channels are, and whether a worker can be replaced.
    """

    def start(self, worker: Worker) -> WorkerHandle:
        """Start one worker. The worker's ends belong to it from then on. Raises OSError and what pickling raises."""
        ...

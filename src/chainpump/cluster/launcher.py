"""What decides where the agents of a run are, and starts them: the contract."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from .agent_control import Invitation

__all__ = ["LOCAL", "Launched", "Launcher"]

# The name of this machine as one of the machines of a run.
LOCAL = "localhost"


class Launched(Protocol):
    """An agent that was launched. `end` must be called."""

    @property
    def waitables(self) -> Sequence[int]:
        """A descriptor that becomes readable when it ends. None after its end was noticed."""
        ...

    def check_ended(self) -> bool:
        """Whether it has ended, or cannot start; true once."""
        ...

    @property
    def ending(self) -> str:
        """How it has ended: a noun that names its machine, and a verb. Empty if it ended without an error."""
        ...

    def ask_to_end(self) -> None:
        """Tell it that the run is over. Never waits."""
        ...

    def end(self, by: float) -> None:
        """Wait until it has ended; kill it if that takes longer than until this time of the monotonic clock."""
        ...


class Launcher(Protocol):
    """Launches the agents of one run, for all of its stages that are on other machines.

    A machine is its position in `names`. Each agent reads the invitation to the run from its standard input, and ends
    when that ends. Whoever has made a launcher closes it.
    """

    @property
    def names(self) -> Sequence[str]:
        """The names of the machines, as messages show them. A name that comes twice is two machines."""
        ...

    @property
    def places(self) -> Sequence[Sequence[int]]:
        """For each stage on other machines, the machine of each of its workers."""
        ...

    @property
    def address(self) -> str:
        """The address at which the machines reach this one."""
        ...

    @property
    def lost_after(self) -> float:
        """Seconds of silence after which a machine counts as lost."""
        ...

    @property
    def is_local(self) -> bool:
        """Whether all machines are this one, so that no other machine needs to reach it."""
        ...

    @property
    def join_within(self) -> float:
        """Seconds after which an agent that has not joined the run counts as lost."""
        ...

    def another(self, lost: int, alive: Collection[int]) -> int:
        """A machine for what a lost one had to do, as one more name. alive: the machines that are not lost."""
        ...

    def launch(self, machine: int, invitation: Invitation) -> Launched:
        """Start the agent of a machine. Does not wait for it. Raises OSError."""
        ...

    def close(self) -> None:
        """Release what it has. All agents have ended."""
        ...

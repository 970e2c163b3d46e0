"""The executor for other machines, each reached by a command."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from ..errors import StageOptionError
from ..lazy_dataclass import dataclass, field
from ..plan.placement import LOST_AFTER, check_workers
from .elsewhere_executor import ElsewhereOptions

if TYPE_CHECKING:
    from ..engine.elsewhere import Elsewhere
    from ..engine.groups import Group

__all__ = ["Hosts"]

# Stands for as many workers as there are machines.
EACH: Any = None
COMMAND = "ssh -o BatchMode=yes {host} python3"
# Options that a repr names if they differ.
DEFAULTS = {"command": COMMAND, "restarts": 0, "address": None, "lost_after": LOST_AFTER}


@dataclass(frozen=True, slots=True, repr=False)
class Hosts(ElsewhereOptions):
    """Run a stage on processes of other machines.

    >>> Hosts(["n1", "n2"], workers=8)
    Hosts(['n1', 'n2'], workers=8)

    hosts: the names of the machines. "localhost" is this machine, as one more host. All stages on equal hosts share the
    agents of a run, one on each machine.
    workers: in all; worker n, counted from 0, is on machine n modulo the number of machines. By default one on each.
    command: how a Python starts on a machine; `{host}` is its name. The Python must have this version of chainpump.
    restarts, env: as for `Processes`.
    address: the name or the address at which the other machines reach this one; by default the host name.
    lost_after: seconds of silence after which a machine counts as lost, at least 2; the longest one of a run counts.
    See docs/cluster.md. Raises StageOptionError if an option has a value that cannot work.
    """

    hosts: Sequence[str]
    # The default is replaced by the number of machines.
    workers: int = field(default=EACH)
    command: str = field(default=COMMAND, kw_only=True)
    address: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "hosts", _checked_names(self.hosts))
        if self.workers is EACH:
            object.__setattr__(self, "workers", len(self.hosts))
        check_workers(self, self.workers, elsewhere=True)
        ElsewhereOptions.__post_init__(self)
        if "{host}" not in self.command:
            raise StageOptionError(
                f"Hosts: command must be a text with {{host}}, such as {COMMAND!r}, but got: {self.command!r}."
            )
        self._copy("env")

    def __hash__(self) -> int:
        # A mapping has no hash.
        return hash((self.hosts, self.workers, self.command, self.restarts, self.address, self.lost_after))

    def __repr__(self) -> str:
        return f"Hosts({list(self.hosts)!r}, workers={self.workers}{self._given(DEFAULTS)}"

    def elsewhere(self, groups: Sequence[Group], undo: ExitStack) -> Elsewhere:
        """The part of a run that is on these machines, and on those of other stages."""
        # They import `subprocess`, which a program that only builds pipelines does not need.
        from .commands import CommandLauncher, CommandStage
        from .remote_part import RemotePart

        # All executors elsewhere in a run are of one kind: `building.elsewhere_checks`.
        stages: list[CommandStage] = [group.executor for group in groups if group.is_elsewhere]  # type: ignore[misc]
        return RemotePart(groups, CommandLauncher(stages))


def _checked_names(names: object) -> tuple[str, ...]:
    """The names of machines, as the user has given them. Raises StageOptionError."""
    if isinstance(names, str) or not isinstance(names, Sequence) or not names:
        raise StageOptionError(f'Hosts: hosts must be a list of names, as in Hosts(["n1", "n2"]), but got: {names!r}.')
    for name in names:
        # A name that begins so would be an option of the command.
        if not isinstance(name, str) or not name or name.startswith("-"):
            raise StageOptionError(f"Hosts: the name of a machine must be a text, but got: {name!r}.")
    return tuple(names)

"""What all executors for other machines have: how workers are replaced there, and what they are capable of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..hints.objects import name_of
from ..lazy_dataclass import dataclass, field
from ..messages.user_call import user_call
from ..plan.placement import LEAST_LOST_AFTER, LOST_AFTER, Capabilities, Env, check_seconds, check_whole

if TYPE_CHECKING:
    from ..executors.base import WorkerHandle
    from ..worker.worker import Worker

__all__ = ["ElsewhereOptions"]


@dataclass(frozen=True, slots=True, repr=False)
class ElsewhereOptions:
    """The options that these executors share. A subclass says where the workers are.

    restarts, env: as for `Processes`. lost_after: seconds of silence after which a machine counts as lost.
    """

    __init_decorator__ = staticmethod(user_call)
    restarts: int = field(default=0, kw_only=True)
    env: Env | None = field(default=None, kw_only=True)
    lost_after: float = field(default=LOST_AFTER, kw_only=True)

    def __post_init__(self) -> None:
        name = type(self).__name__
        check_whole(self.restarts, f"{name}: restarts", least=0)
        check_seconds(self.lost_after, f"{name}: lost_after", least=LEAST_LOST_AFTER)

    def _copy(self, *names: str) -> None:
        """Copy these options, where they are mappings: later changes by the user have no effect."""
        for name in names:
            if isinstance(value := getattr(self, name), Mapping):
                object.__setattr__(self, name, dict(value))

    # Any: the values of any options.
    def _given(self, defaults: Mapping[str, Any]) -> str:
        """The options that differ from these defaults, and the environment, as the end of a repr."""
        options = "".join(
            f", {name}={getattr(self, name)!r}" for name, default in defaults.items() if getattr(self, name) != default
        )
        env = f", env={name_of(self.env) if callable(self.env) else repr(self.env)}" if self.env is not None else ""
        return f"{options}{env})"

    @property
    def capabilities(self) -> Capabilities:
        """Those of processes, on other machines."""
        return Capabilities(
            own_process=True, pickles_functions=True, restarts=self.restarts, env=self.env, elsewhere=True
        )

    def start(self, worker: Worker) -> WorkerHandle:
        """Not used: a worker of another machine is made there."""
        raise NotImplementedError

"""The executor for processes of this machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, get_args

from ..errors import StageOptionError
from ..hints.objects import name_of
from ..lazy_dataclass import dataclass, field
from ..messages.user_call import user_call
from ..plan.placement import Capabilities, Env, StartMethod, Workers, check_whole, check_workers

if TYPE_CHECKING:
    from ..worker.worker import Worker
    from .keeping import Keeper
    from .process_handle import ProcessHandle
    from .start_methods import Method

__all__ = ["Processes"]


@dataclass(frozen=True, slots=True, repr=False)
class Processes:
    """Run a stage on processes of this machine.

    >>> Processes(8)
    Processes(workers=8, start_method='forkserver')

    workers: "auto" starts with one worker, and adds workers while that makes the run faster: see docs/auto.md.
    start_method: "forkserver" (the default: clean and fast), "spawn", or "fork". A forked worker shares the memory of
    the main process, and has a copy of every lock that a thread holds at that moment: it waits for ever if it takes one
    of them.
    restarts: how often each worker of an element-wise stage (such as `map`) is replaced when its process dies. The
    replacement continues with the items that the worker had not finished. An item may be processed more than once, but
    its result is sent once. A worker of `flat_map` then holds all results of an item until the item is finished.
    env: environment variables, set before a worker imports anything of the program: a mapping for all workers, such as
    `{"OMP_NUM_THREADS": "1"}`, or a function of the worker's number from 0, such as
    `lambda n: {"CUDA_VISIBLE_DEVICES": str(n)}`. They are no secret: the plan shows them. See docs/surroundings.md.
    recycle_after, recycle_above: after this many items, or above this many bytes of memory, a worker ends between two
    items, and a fresh one takes its place: see docs/recycling.md.
    Raises StageOptionError if workers < 1, restarts < 0, recycle_after or recycle_above < 1, or the start method is
    unknown.
    """

    __init_decorator__ = staticmethod(user_call)
    workers: Workers = 1
    start_method: StartMethod = field(default="forkserver", kw_only=True)
    restarts: int = field(default=0, kw_only=True)
    env: Env | None = field(default=None, kw_only=True)
    recycle_after: int | None = field(default=None, kw_only=True)
    recycle_above: int | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        check_workers(self, self.workers, or_auto=True)
        check_whole(self.restarts, "Processes: restarts", least=0)
        for name in ("recycle_after", "recycle_above"):
            if getattr(self, name) is not None:
                check_whole(getattr(self, name), f"Processes: {name}", least=1)
        methods = get_args(StartMethod)
        if self.start_method not in methods:
            raise StageOptionError(
                f"Processes: start_method must be one of {', '.join(methods)} but got: {self.start_method!r}."
            )
        if isinstance(self.env, Mapping):
            # Later changes of the mapping have no effect.
            object.__setattr__(self, "env", dict(self.env))

    def __hash__(self) -> int:
        # A mapping has no hash.
        return hash((self.workers, self.start_method, self.restarts))

    def __repr__(self) -> str:
        options = ("restarts", "recycle_after", "recycle_above")
        given = "".join(f", {name}={getattr(self, name)}" for name in options if getattr(self, name))
        env = f", env={name_of(self.env) if callable(self.env) else repr(self.env)}" if self.env is not None else ""
        return f"Processes(workers={self.workers!r}, start_method={self.start_method!r}{given}{env})"

    @property
    def capabilities(self) -> Capabilities:
        """Functions are pickled, except for a forked process, which inherits them."""
        pickles = self.start_method != "fork"
        return Capabilities(
            own_process=True,
            pickles_functions=pickles,
            restarts=self.restarts,
            recycle_after=self.recycle_after,
            recycle_above=self.recycle_above,
            env=self.env,
            # A forked process has its functions in memory, so it cannot get a worker by a message.
            can_be_kept=pickles,
        )

    def start(self, worker: Worker) -> ProcessHandle:
        """Start one process."""
        # These modules import `multiprocessing`, which a program that only builds pipelines does not need.
        from .process_handle import ProcessHandle

        return ProcessHandle(worker, self._method().start)

    def start_kept(self, worker: Worker, keeper: Keeper) -> ProcessHandle:
        """Start one worker in a process that fits and has been kept, or in a new one, which is kept."""
        from .keeping import keeping
        from .process_handle import ProcessHandle

        return ProcessHandle(worker, keeping(self._method(), keeper))

    def _method(self) -> Method:
        from .start_methods import METHODS, before_imports

        method = METHODS[self.start_method]
        return method if self.env is None else before_imports(method)

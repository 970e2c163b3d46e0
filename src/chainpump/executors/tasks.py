"""The executor for asyncio tasks: one event loop processes many items at once."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from ..errors import StageOptionError
from ..lazy_dataclass import dataclass, field
from ..messages.extras import install, too_old
from ..messages.user_call import user_call
from ..plan.placement import Capabilities, check_workers

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from ..worker.worker import Worker
    from .tasks_handle import TasksHandle

__all__ = ["LoopTasks", "Tasks"]

# Who makes the event loop.
LoopMaker: TypeAlias = Literal["asyncio", "uvloop"]


@dataclass(frozen=True, slots=True, repr=False)
class Tasks:
    """Run async functions as asyncio tasks in one event loop. At most `workers` items are processed at once.

    >>> from chainpump import Pipeline
    >>> async def doubled(number: int) -> int:
    ...     return 2 * number
    >>> list(Pipeline(range(3)).map(doubled, on=Tasks(100)))
    [0, 2, 4]

    It takes `async def` functions in `map`, `filter`, `flat_map`, `tap` and `each`, and an async generator as a source.
    When the run is cancelled, every task is cancelled, and the run waits for their clean-up. Items pass by reference,
    as between threads.
    loop: "asyncio", or "uvloop" for an event loop of uvloop, which takes less time for sockets and timers; it needs the
    extra `chainpump[uvloop]`.
    Raises StageOptionError if workers < 1, the loop is unknown, or uvloop is not installed.
    """

    __init_decorator__ = staticmethod(user_call)
    workers: int = 1
    loop: LoopMaker = field(default="asyncio", kw_only=True)

    def __post_init__(self) -> None:
        check_workers(self, self.workers)
        makers = get_args(LoopMaker)
        if self.loop not in makers:
            raise StageOptionError(f"Tasks: loop must be one of {', '.join(makers)} but got: {self.loop!r}.")
        if self.loop == "uvloop" and (find_spec("uvloop") is None or too_old("uvloop")):
            raise StageOptionError(install("uvloop", 'Tasks: loop="uvloop" needs'))

    def __repr__(self) -> str:
        loop = f", loop={self.loop!r}" if self.loop != "asyncio" else ""
        return f"Tasks(workers={self.workers!r}{loop})"

    @property
    def capabilities(self) -> Capabilities:
        """The workers run async functions."""
        return Capabilities(runs_async=True)

    def start(self, worker: Worker) -> TasksHandle:
        """Start the thread of the event loop."""
        # This import is late for the reason given in `Threads.start`.
        from .own_loop import OwnLoop
        from .tasks_handle import TasksHandle

        return TasksHandle(worker, self.workers, OwnLoop(_maker(self.loop)))


@dataclass(frozen=True, slots=True)
class LoopTasks:
    """As `Tasks`, in an event loop of the program: the functions may use objects that belong to that loop.

    loop: it runs in another thread than the worker. So a task of it must await the run, and must not block meanwhile.
    """

    workers: int
    loop: asyncio.AbstractEventLoop = field(repr=False)

    @property
    def capabilities(self) -> Capabilities:
        """As in `Tasks`."""
        return Capabilities(runs_async=True)

    def start(self, worker: Worker) -> TasksHandle:
        """Start the thread of the worker, which waits for the event loop."""
        from .program_loop import ProgramLoop
        from .tasks_handle import TasksHandle

        return TasksHandle(worker, self.workers, ProgramLoop(self.loop, worker.wake))


def _maker(name: LoopMaker) -> Callable[[], asyncio.AbstractEventLoop] | None:
    """What makes the event loop; None for the loop that asyncio makes itself."""
    if name == "asyncio":
        return None
    import uvloop

    make: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return make

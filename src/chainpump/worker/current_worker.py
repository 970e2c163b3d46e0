"""The worker that runs this code: `current_worker()`.

Three places say which worker it is. The first one that does counts:

1. The call stack of this thread. It is right where stages share a thread and pull items from each other, where runs are
   nested, and where the caller's thread is the worker. Nothing is stored while items move, so an item costs nothing.
2. The context of a thread worker. `asyncio.to_thread`, and threads that inherit the context, have a copy of it.
3. The process of a process worker, which runs one stage only. This also holds for all threads that user code starts.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextvars import ContextVar
from types import FrameType
from typing import Any, TypeVar

from ..lazy_dataclass import dataclass

__all__ = ["CurrentWorker", "current_worker", "runs_stages", "set_for_process", "worker_of_context"]

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class CurrentWorker:
    """The worker that runs this code; `current_worker` returns it.

    stage: the name of its stage; empty outside of a run.
    number: its number among the workers of the stage, counted from 0. (Messages count them from 1.)
    count: the number of workers of the stage; of an "auto" stage, the largest number that it may have.
    generation: how many workers have run in its place before it, and have died or were replaced.
    executor: the name of the class of its executor, such as "Processes".
    pid: the id of this process.
    """

    stage: str
    number: int
    count: int
    generation: int
    executor: str
    pid: int


# Makes the value of a worker. A lookup calls it, so that a worker that is never looked up makes none.
Identity = Callable[[], CurrentWorker]

worker_of_context: ContextVar[Identity | None] = ContextVar("worker_of_context", default=None)
_of_process: list[Identity] = []
# By the id of a code object: how an object tells which worker runs while one of its methods with this code is called.
_on_stack: dict[int, Callable[[Any], CurrentWorker]] = {}


def current_worker() -> CurrentWorker:
    """The worker that runs this code. Outside of a run, a value for the only worker: number 0, count 1.

    >>> from chainpump import Pipeline, Threads, current_worker
    >>> def placed(item: str) -> str:
    ...     worker = current_worker()
    ...     return f"{item} by worker {worker.number} of {worker.count} of {worker.stage!r}"
    >>> list(Pipeline(["a"]).map(placed, on=Threads(1)))
    ["a by worker 0 of 1 of 'placed'"]

    On `Tasks`, all tasks run in one worker. A thread that user code starts belongs to its worker on `Processes`. On
    `Threads`, `Tasks` and `Inline` it does so if it has the context of the worker, as with `asyncio.to_thread` or
    `contextvars.copy_context().run`.
    """
    # This is documented for debuggers. Only CPython is supported, which has it.
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001
    while frame is not None:
        identify = _on_stack.get(id(frame.f_code))
        if identify is not None:
            return identify(frame.f_locals["self"])
        frame = frame.f_back
    identity = worker_of_context.get()
    if identity is None and _of_process:
        identity = _of_process[0]
    return identity() if identity is not None else CurrentWorker("", 0, 1, 0, "Inline", os.getpid())


def runs_stages(identify: Callable[[Any], CurrentWorker]) -> Callable[[F], F]:
    """Mark a method: while it is called, the innermost such call of a thread tells which worker runs.

    identify: gets the object of the method, which must name it `self`. The method must have no locals that are to be
    released before it calls user code: a lookup in CPython 3.12 and earlier keeps a copy of them until its end.
    """

    def mark(method: F) -> F:
        # Any: there is no type for functions with any signature that have code.
        function: Any = method
        _on_stack[id(function.__code__)] = identify
        return method

    return mark


def set_for_process(identity: Identity) -> None:
    """From now on this process belongs to a worker. A forked process has the context of the thread that forked it."""
    _of_process[:] = [identity]
    worker_of_context.set(None)
